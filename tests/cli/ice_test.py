"""What `weft call` and `weft serve` make of servers, TCP and trust."""

import socket
import tempfile

from harness import SDP, TestCase, answer, call, fake_server, main, serve
from turn_test import ALICE, turn_server


def candidates(text):
    return [line.split() for line in text.splitlines() if line.startswith("a=candidate:")]


def tcp_types(text):
    return {c[c.index("tcptype") + 1] for c in candidates(text) if "tcptype" in c}


class Tcp(TestCase):
    def test_the_answer_has_candidates_over_tcp_when_asked_for(self):
        with serve() as plain, serve("--tcp") as asked:
            self.assertEqual(tcp_types(plain.session().text), set())
            self.assertEqual(tcp_types(asked.session().text), {"active", "passive"})

    def test_so_has_the_offer(self):
        offers = []

        def refuse(handler):
            offers.append(handler.body)
            answer(handler, 503, "later\r\n", {"Content-Type": "text/plain"})

        with fake_server(refuse) as url:
            call(url)
            call(url, "--tcp")
        self.assertEqual([tcp_types(offer) for offer in offers], [set(), {"active", "passive"}])

    def test_a_call_needs_no_udp(self):
        with serve("--tcp") as server:
            def without_udp(handler):
                """The caller's way to the server: nobody hears of addresses for UDP."""
                kept = drop_udp(handler.body) if handler.command == "POST" else handler.body
                there = server.request(handler.command, handler.path, kept, SDP)
                headers = {name: there.headers[name] for name in ("Location", "ETag", "Content-Type")
                           if there.headers[name]}
                answer(handler, there.status, drop_udp(there.text), headers)

            with fake_server(without_udp) as url:
                done = call(url, "--tcp", "--count", 24)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.report["messages"]["intact"], 24)


def drop_udp(text):
    return "".join(line for line in text.splitlines(keepends=True)
                   if not (line.startswith("a=candidate:") and line.split()[2].lower() == "udp"))


class Servers(TestCase):
    def test_a_relay_over_tls_or_dtls_is_used_if_its_certificate_is_trusted(self):
        with tempfile.TemporaryDirectory() as directory, serve() as server, \
                turn_server(directory, "--allow-peer", "127.0.0.0/8") as (_, tls, cert):
            for transport in ("tcp", "udp"):
                relay = ("--relay", "--ice-server", f"turns:localhost:{tls}?transport={transport}",
                         *ALICE)
                with self.subTest(transport):
                    done = call(server.url, "--count", 12, *relay, "--ca", cert)
                    self.assertEqual(done.returncode, 0, done.stderr)
                    self.assertEqual(done.report["messages"]["intact"], 12)
                    done = call(server.url, "--timeout", 2, *relay)
                    self.assertNotEqual(done.returncode, 0)

    def test_a_call_does_not_fail_for_servers_that_are_dead(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            silent.bind(("127.0.0.1", 0))
            host = f"127.0.0.1:{silent.getsockname()[1]}"
            dead = ("--ice-server", f"stun:{host}", "--ice-server", f"turn:{host}", *ALICE)
            with serve(*dead) as server:
                done = call(server.url, "--count", 12, *dead)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.report["messages"]["intact"], 12)


if __name__ == "__main__":
    main()
