"""weft stun, against coturn where it is installed and against weft turn-server."""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
import unittest

from harness import program

COTURN = shutil.which("turnserver")


def free_ports(count):
    """Ports that nobody listens on, for UDP and TCP, on two addresses."""
    ports, held = [], []
    while len(ports) < count:
        with contextlib.suppress(OSError):
            s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            held.append(s)
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
            for address in ("127.0.0.1", "127.0.0.2"):
                u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                held.append(u)
                u.bind((address, port))
            ports.append(port)
    for s in held:
        s.close()
    return ports


def ask(*arguments):
    """The exit status, and what --json prints."""
    with program("stun", "--json", *arguments) as process:
        out, err = process.communicate(timeout=60)
        return process.returncode, json.loads(out) if out else err


def certificate(directory):
    key, cert = os.path.join(directory, "key.pem"), os.path.join(directory, "cert.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", cert,
                    "-days", "2", "-subj", "/CN=localhost", "-addext",
                    "subjectAltName=DNS:localhost,IP:127.0.0.1"],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return key, cert


def wait_for(port, address="127.0.0.1"):
    for _ in range(200):
        with contextlib.suppress(OSError):
            socket.create_connection((address, port), timeout=1).close()
            return
        time.sleep(0.05)
    raise AssertionError("the server does not listen")


@contextlib.contextmanager
def coturn(directory):
    """coturn on two addresses and two ports, as RFC 5780 wants it."""
    key, cert = certificate(directory)
    port, other, tls, other_tls = free_ports(4)
    process = subprocess.Popen(
        [COTURN, "-n", "--log-file", "stdout", "-L", "127.0.0.1", "-L", "127.0.0.2", "-p",
         str(port), "--alt-listening-port", str(other), "--tls-listening-port", str(tls),
         "--alt-tls-listening-port", str(other_tls), "--cert", cert, "--pkey", key, "--no-cli",
         "--no-auth", "--realm", "example.org", "--userdb", os.path.join(directory, "db"),
         "--pidfile", os.path.join(directory, "pid")],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(port)
        yield port, other, tls, cert
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def turn_server(directory):
    key, cert = certificate(directory)
    port, tls = free_ports(2)
    with program("turn-server", "--listen", f"127.0.0.1:{port}", "--tls-listen",
                 f"127.0.0.1:{tls}", "--tls-cert", cert, "--tls-key", key, "--user",
                 "user:pass", "--realm", "example.org"):
        wait_for(port)
        yield port, tls, cert


class Answers(unittest.TestCase):
    def check(self, transport, *arguments):
        code, said = ask(*arguments)
        self.assertEqual(code, 0, said)
        self.assertEqual(said["transport"], transport)
        self.assertTrue(said["ok"])
        self.assertRegex(said["address"], r"^127\.0\.0\.1:\d+$")
        self.assertGreater(said["rtt_ms"], 0)

    @unittest.skipUnless(COTURN, "coturn is not installed")
    def test_coturn_by_udp_tcp_and_tls(self):
        with tempfile.TemporaryDirectory() as directory, coturn(directory) as server:
            port, _, tls, cert = server
            self.check("udp", f"stun:127.0.0.1:{port}")
            self.check("udp", f"127.0.0.1:{port}")
            self.check("udp", f"stun:localhost:{port}", "--username", "a", "--credential", "b")
            self.check("tcp", f"stun:127.0.0.1:{port}", "--tcp")
            self.check("tls", f"stuns:localhost:{tls}", "--ca", cert)
            self.check("tls", f"stuns:127.0.0.1:{tls}", "--insecure")
            code, said = ask(f"stuns:localhost:{tls}")
            self.assertEqual(code, 4)
            self.assertIn("not trusted", said["error"])

    @unittest.skipUnless(COTURN, "coturn is not installed")
    def test_coturn_says_that_there_is_no_nat(self):
        with tempfile.TemporaryDirectory() as directory, coturn(directory) as server:
            port, other, _, _ = server
            code, said = ask(f"stun:127.0.0.1:{port}", "--behaviour", "--timeout", "50")
            self.assertEqual(code, 0, said)
            self.assertEqual(said["behaviour"]["other_address"], f"127.0.0.2:{other}")
            self.assertEqual(said["behaviour"]["mapping"], "endpoint-independent")
            self.assertEqual(said["behaviour"]["filtering"], "endpoint-independent")
            self.assertEqual(said["behaviour"]["translated"], False)
            self.assertEqual(said["behaviour"]["rewritten"], False)
            self.assertEqual(said["behaviour"]["hairpin"], True)
            self.assertIsNone(said["behaviour"]["lifetime_s"])

    def test_weft_turn_server_by_udp_tcp_and_tls(self):
        with tempfile.TemporaryDirectory() as directory, turn_server(directory) as server:
            port, tls, cert = server
            self.check("udp", f"stun:127.0.0.1:{port}")
            self.check("tcp", f"stun:127.0.0.1:{port}", "--tcp")
            self.check("tls", f"stuns:localhost:{tls}", "--ca", cert)
            code, said = ask(f"stun:127.0.0.1:{port}", "--behaviour")
            self.assertEqual(code, 5)
            self.assertIn("no other address", said["error"])


class Failures(unittest.TestCase):
    def test_what_is_no_uri_of_a_stun_server(self):
        for uri in ("turn:127.0.0.1", "stun://a", "http://a", "stun:a:0", "stun:a?transport=udp"):
            code, _ = ask(uri)
            self.assertEqual(code, 2, uri)
        code, _ = ask("stun:a", "--lifetime")
        self.assertEqual(code, 2)
        code, _ = ask("stun:a", "--behaviour", "--tcp")
        self.assertEqual(code, 2)

    def test_nobody_there(self):
        port, = free_ports(1)
        code, said = ask(f"stun:127.0.0.1:{port}", "--timeout", "1")
        self.assertEqual((code, said["error"]), (6, "no answer"))
        code, said = ask(f"stun:127.0.0.1:{port}", "--tcp", "--timeout", "5")
        self.assertEqual(code, 4)
        self.assertIn("no connection", said["error"])

    def test_what_people_read(self):
        port, = free_ports(1)
        with program("stun", f"127.0.0.1:{port}", "--timeout", "0.2") as process:
            out, _ = process.communicate(timeout=20)
        self.assertRegex(out, re.compile(rf"^weft stun stun:127\.0\.0\.1:{port}$", re.M))
        self.assertRegex(out, re.compile(r"^  result +no answer$", re.M))


if __name__ == "__main__":
    unittest.main()
