"""weft turn, and what it says; tests/coturn has it relay in all ways."""

import contextlib
import json
import tempfile
import unittest

from harness import program
from stun_test import certificate, free_ports, wait_for

ALICE = ("--username", "alice", "--credential", "secret")


def measure(*arguments):
    """The exit status, and what --json prints."""
    with program("turn", "--json", "--count", "20", "--interval", "5", *arguments) as process:
        out, err = process.communicate(timeout=60)
        return process.returncode, json.loads(out) if out else err


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
        self.check("dtls", f"turns:localhost:{tls}?transport=udp", "--ca", cert, *ALICE)
        code, said = measure(f"turns:localhost:{tls}", *ALICE)
        self.assertEqual(code, 4)
        self.assertIn("not trusted", said["error"])
        code, said = measure(f"turn:127.0.0.1:{port}", "--username", "alice", "--credential", "no")
        self.assertEqual(code, 5)
        self.assertIn("401", said["error"])

    def test_weft_turn_server_by_every_transport(self):
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
        for uri in ("stun:127.0.0.1", "turn://a", "turn:a:0", "turn:a?transport=sctp"):
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
