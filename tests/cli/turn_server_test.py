"""What `weft turn-server` says and does around the relaying itself."""

import contextlib
import os
import re
import signal
import socket
import struct
import tempfile
import urllib.request

from harness import TestCase, main, program, run

LOCAL = ("--listen", "127.0.0.1:0", "--threads", 2)


@contextlib.contextmanager
def turn_server(*arguments):
    with program("turn-server", *LOCAL, *arguments) as process:
        process.line = process.stdout.readline()
        process.port = int(re.match(r"listening on udp 127\.0\.0\.1:(\d+),", process.line)[1])
        yield process


def ask(port, kind, attributes=b""):
    """Sends a request and returns the type of the answer and all of it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(20)
        request = struct.pack(">HHI12s", kind, len(attributes), 0x2112A442, os.urandom(12))
        s.sendto(request + attributes, ("127.0.0.1", port))
        answer = s.recv(1500)
        return struct.unpack(">H", answer[:2])[0], answer


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class TurnServer(TestCase):
    def test_says_where_it_listens_and_what_it_denies(self):
        with turn_server("--user", "alice:wonderland", "--deny-peer", "198.51.100.0/24",
                         "--allow-peer", "10.0.0.0/8") as server:
            self.assertRegex(server.line, r", tcp 127\.0\.0\.1:\d+; relaying from 127\.0\.0\.1 ports "
                                          r"49152-65535; denying peers at special-purpose addresses ")
            self.assertIn(", in 198.51.100.0/24; allowing 10.0.0.0/8\n", server.line)

    def test_without_users_it_is_a_stun_server(self):
        with turn_server() as server:
            self.assertIn("no users: STUN alone", server.line)
            self.assertEqual(ask(server.port, 0x0001)[0], 0x0101)
            self.assertEqual(ask(server.port, 0x0003)[0], 0x0113)

    def test_counts_for_prometheus(self):
        port = free_port()
        with turn_server("--metrics-port", port) as server:
            ask(server.port, 0x0001)
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as page:
                text = page.read().decode()
            self.assertIn('weft_turn_requests_total{outcome="binding"} 1\n', text)
            self.assertIn("weft_turn_allocations 0\n", text)

    def test_reads_a_file_and_lets_the_command_line_go_before(self):
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
            file.write('# A small server\nuser = ["a:b", "c:d"]\nport-range = "50000-50100"\n'
                       'tcp-relay = true\ndeny-peer = "192.0.2.0/24"\n')
            file.flush()
            with turn_server("--config", file.name, "--port-range", "60000-60100") as server:
                self.assertIn("ports 60000-60100;", server.line)
                self.assertIn("192.0.2.0/24", server.line)
                self.assertNotIn("STUN alone", server.line)

    def test_refuses_what_it_does_not_understand(self):
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("no-such-option = 1\n")
            file.flush()
            for wrong in (["--config", file.name], ["--user", "nobody"], ["--port-range", "5-4"],
                          ["--allow-peer", "10.0.0.1/8"], ["--tls-cert", "x"],
                          ["--oauth-key", "kid:???"], ["--relay-address", "here"],
                          ["--behaviour", "0.0.0.0:3479"],
                          ["--behaviour-alternate", "127.0.0.2:3480"],
                          ["--behaviour", "127.0.0.1:3479", "--behaviour-alternate",
                           "127.0.0.1:3480"]):
                done = run("turn-server", *LOCAL, *wrong, limit=20)
                self.assertEqual((done.returncode, bool(done.stderr)), (2, True), wrong)

    def test_says_which_listener_cannot_be(self):
        done = run("turn-server", "--listen", "192.0.2.1:3478", limit=20)
        self.assertEqual(done.returncode, 3)
        self.assertIn("192.0.2.1:3478", done.stderr)

    def test_ends_at_once_when_nobody_is_there(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with turn_server() as server:
                server.send_signal(number)
                self.assertEqual(server.wait(20), 0)


if __name__ == "__main__":
    main()
