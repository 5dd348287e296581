"""weft turn, against coturn where it is installed and against weft turn-server."""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import unittest

from harness import program
from stun_test import certificate, free_ports, wait_for

COTURN = shutil.which("turnserver")
ALICE = ("--username", "alice", "--credential", "secret")


def measure(*arguments):
    """The exit status, and what --json prints."""
    with program("turn", "--json", "--count", "20", "--interval", "5", *arguments) as process:
        out, err = process.communicate(timeout=60)
        return process.returncode, json.loads(out) if out else err


@contextlib.contextmanager
def coturn(directory, *arguments):
    key, cert = certificate(directory)
    port, tls = free_ports(2)
    process = subprocess.Popen(
        [COTURN, "-n", "--log-file", "stdout", "-L", "127.0.0.1", "-E", "127.0.0.1", "-p",
         str(port), "--tls-listening-port", str(tls), "--cert", cert, "--pkey", key, "--no-cli",
         "--allow-loopback-peers", "--realm", "example.org", "--userdb",
         os.path.join(directory, "db"), "--pidfile", os.path.join(directory, "pid"), *arguments],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(port)
        yield port, tls, cert
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def turn_server(directory, *arguments):
    key, cert = certificate(directory)
    port, tls = free_ports(2)
    with program("turn-server", "--listen", f"127.0.0.1:{port}", "--tls-listen",
                 f"127.0.0.1:{tls}", "--tls-cert", cert, "--tls-key", key, "--threads", "1",
                 "--user", "alice:secret", "--realm", "example.org", *arguments):
        wait_for(port)
        yield port, tls, cert


class Measurements(unittest.TestCase):
    def check(self, transport, *arguments):
        code, said = measure(*arguments)
        self.assertEqual(code, 0, said)
        self.assertEqual(said["transport"], transport)
        self.assertEqual((said["sent"], said["arrived"]), (20, 20))
        self.assertEqual((said["changed"], said["duplicated"]), (0, 0))
        for relayed in said["relayed"]:
            self.assertRegex(relayed, r"^127\.0\.0\.1:\d+$")
        self.assertGreater(said["one_way_ms"]["p50"], 0)
        self.assertLessEqual(said["one_way_ms"]["p50"], said["one_way_ms"]["max"])

    def check_all(self, port, tls, cert):
        self.check("udp", f"turn:127.0.0.1:{port}", *ALICE)
        self.check("tcp", f"turn:127.0.0.1:{port}?transport=tcp", *ALICE)
        self.check("tls", f"turns:localhost:{tls}", "--ca", cert, *ALICE)
        code, said = measure(f"turns:localhost:{tls}", *ALICE)
        self.assertEqual(code, 4)
        self.assertIn("not trusted", said["error"])
        code, said = measure(f"turn:127.0.0.1:{port}", "--username", "alice", "--credential", "no")
        self.assertEqual(code, 5)
        self.assertIn("401", said["error"])

    @unittest.skipUnless(COTURN, "coturn is not installed")
    def test_coturn_by_udp_tcp_and_tls(self):
        with tempfile.TemporaryDirectory() as directory, \
                coturn(directory, "-a", "-u", "alice:secret") as server:
            self.check_all(*server)

    @unittest.skipUnless(COTURN, "coturn is not installed")
    def test_coturn_with_a_shared_secret(self):
        with tempfile.TemporaryDirectory() as directory, \
                coturn(directory, "--use-auth-secret", "--static-auth-secret=shared") as server:
            self.check("udp", f"turn:127.0.0.1:{server[0]}", "--rest-secret", "shared")
            code, said = measure(f"turn:127.0.0.1:{server[0]}", "--rest-secret", "other")
            self.assertEqual(code, 5, said)

    def test_weft_turn_server_by_udp_tcp_and_tls(self):
        with tempfile.TemporaryDirectory() as directory, \
                turn_server(directory, "--allow-peer", "127.0.0.0/8") as server:
            self.check_all(*server)

    def test_weft_turn_server_with_a_shared_secret(self):
        with tempfile.TemporaryDirectory() as directory, \
                turn_server(directory, "--allow-peer", "127.0.0.0/8", "--rest-secret",
                            "shared") as server:
            self.check("udp", f"turn:127.0.0.1:{server[0]}", "--rest-secret", "shared",
                       "--username", "bob")


class Failures(unittest.TestCase):
    def test_what_is_no_uri_of_a_turn_server(self):
        for uri in ("stun:127.0.0.1", "turn://a", "turn:a:0", "turn:a?transport=sctp",
                    "turns:a?transport=udp"):
            code, _ = measure(uri)
            self.assertEqual(code, 2, uri)

    def test_nobody_there(self):
        port, = free_ports(1)
        code, said = measure(f"turn:127.0.0.1:{port}", "--timeout", "1", *ALICE)
        self.assertEqual((code, said["error"]), (6, "no allocation in time"))
        code, said = measure(f"turn:127.0.0.1:{port}?transport=tcp", "--timeout", "5", *ALICE)
        self.assertEqual(code, 4, said)


if __name__ == "__main__":
    unittest.main()
