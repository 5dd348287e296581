"""The API of weft serve, asked as curl would (RFC 9725)."""

import re
import signal
import socket

from harness import FRAGMENT, SDP, TestCase, call, main, program, run, serve, until

CANDIDATE = "a=candidate:1 1 udp 2130706431 127.0.0.1 9 typ host"


def fragment(session_offer, lines, ufrag=None):
    ufrag = ufrag or re.search(r"a=ice-ufrag:(\S+)", session_offer)[1]
    return "\r\n".join([f"a=ice-ufrag:{ufrag}", "a=ice-pwd:" + "p" * 22, "m=audio 9 RTP/AVP 0",
                        "a=mid:" + re.search(r"a=mid:(\S+)", session_offer)[1], *lines, ""])


class Serving(TestCase):
    def test_an_offer_gets_201_with_location_etag_and_answer(self):
        with serve() as server:
            made = server.session()
            self.assertEqual(made.headers["Content-Type"], "application/sdp")
            self.assertRegex(made.headers["Location"], r"^/echo/[0-9a-f]{32}$")
            self.assertRegex(made.headers["ETag"], r'^"[0-9a-f]+"$')
            self.assertIn("a=setup:", made.text)
            self.assertRegex(made.text, r"a=candidate:\S+ 1 udp \d+ 127\.0\.0\.1 \d+ typ host")
            other = server.session()
            self.assertNotEqual(made.headers["Location"], other.headers["Location"])

    def test_no_body_gets_an_offer_and_its_answer_comes_by_patch(self):
        with serve() as server:
            offering = server.request("POST", "/echo")
            self.assertEqual(offering.status, 201)
            self.assertIn("a=setup:actpass", offering.text)
            # Another session's answer to that offer is one.
            answering = server.request("POST", "/echo", offering.text, SDP)
            path = offering.headers["Location"]
            bad = server.request("PATCH", path, "v=0\r\nnonsense", SDP)
            self.assertEqual(bad.status, 400)
            self.assertEqual(server.request("PATCH", path, answering.text, SDP).status, 204)
            again = server.request("PATCH", path, answering.text, SDP)
            self.assertEqual(again.status, 409)

    def test_a_channel_may_be_negotiated_out_of_band(self):
        with serve() as server:
            made = server.request("POST", "/echo?negotiated=7", server.offer(), SDP)
            self.assertEqual(made.status, 201, made.text)
            for wrong in ["", "-1", "65536", "7x"]:
                refused = server.request("POST", f"/echo?negotiated={wrong}", server.offer(), SDP)
                self.assertEqual(refused.status, 400, wrong)

    def test_a_post_without_a_length_has_no_body(self):
        with serve() as server, socket.create_connection((server.host, server.port)) as raw:
            raw.sendall(b"POST /echo HTTP/1.1\r\nHost: weft\r\n\r\n")
            raw.settimeout(3)
            self.assertIn(b" 201 ", raw.recv(100))

    def test_a_bad_offer_is_refused_with_line_and_reason(self):
        with serve() as server:
            offer = server.offer()
            lines = offer.split("\r\n")
            at = next(i for i, line in enumerate(lines) if line.startswith("a=ice-pwd"))
            lines[at] = "a=ice-pwd:short"
            refused = server.request("POST", "/echo", "\r\n".join(lines), SDP)
            self.assertEqual(refused.status, 400)
            self.assertIn(f"line {at + 1}", refused.text)
            for text in ("garbage", "v=0\r\n", "\0" * 50, "v=0\r\n" * 20000):
                refused = server.request("POST", "/echo", text, SDP)
                self.assertEqual(refused.status, 400, text[:20])
                self.assertEqual(refused.headers["Content-Type"], "text/plain")
                self.assertGreater(len(refused.text), 10)

    def test_other_types_methods_and_places(self):
        with serve() as server:
            path = server.session().headers["Location"]
            for method, where, headers, status in (
                    ("POST", "/echo", {"Content-Type": "text/plain"}, 415),
                    ("PATCH", path, {"Content-Type": "text/plain"}, 415),
                    ("PUT", "/echo", {}, 405), ("DELETE", "/echo", {}, 405),
                    ("POST", path, SDP, 405), ("POST", "/", {}, 405),
                    ("PATCH", "/echo/" + "0" * 32, SDP, 404), ("GET", "/nonsense", {}, 404)):
                got = server.request(method, where, "hello", headers)
                self.assertEqual(got.status, status, (method, where, got.text))
                self.assertGreater(len(got.text), 10)
                if status == 405:
                    self.assertIn("GET", got.headers["Allow"])
            # RFC 9725 §4.1: nothing to see.
            self.assertEqual(server.request("GET", "/echo").status, 204)
            self.assertEqual(server.request("GET", path).status, 204)

    def test_parameters_and_case_of_the_media_type_do_not_matter(self):
        with serve() as server:
            made = server.request("POST", "/echo", server.offer(),
                                  {"Content-Type": "Application/SDP; charset=utf-8"})
            self.assertEqual(made.status, 201, made.text)

    def test_a_body_too_large_is_refused(self):
        with serve() as server:
            self.assertEqual(server.request("POST", "/echo", "v" * 300_000, SDP).status, 413)

    def test_pages_of_other_origins_may_ask(self):
        with serve() as server:
            preflight = server.request("OPTIONS", "/echo")
            self.assertEqual(preflight.status, 200)
            self.assertEqual(preflight.headers["Accept-Post"], "application/sdp")
            self.assertIn("POST", preflight.headers["Access-Control-Allow-Methods"])
            self.assertIn("If-Match", preflight.headers["Access-Control-Allow-Headers"])
            made = server.session()
            self.assertEqual(made.headers["Access-Control-Allow-Origin"], "*")
            self.assertIn("Location", made.headers["Access-Control-Expose-Headers"])

    def test_trickled_candidates(self):
        with serve() as server:
            offer = server.offer()
            made = server.request("POST", "/echo", offer, SDP)
            path, etag = made.headers["Location"], made.headers["ETag"]
            headers = {"Content-Type": FRAGMENT, "If-Match": etag}
            good = fragment(offer, [CANDIDATE, "a=end-of-candidates"])
            # RFC 9725 §4.3.2: also such as are no use are taken in silence.
            odd = fragment(offer, ["a=candidate:2 1 tcp 1 127.0.0.1 9 typ host tcptype active",
                                   "a=candidate:3 1 udp 1 www.example.org 9 typ host"])
            for body in (odd, good):
                taken = server.request("PATCH", path, body, headers)
                self.assertEqual(taken.status, 204, taken.text)
                self.assertIsNone(taken.headers["ETag"])
            for change, status in (({"If-Match": '"other"'}, 412), ({"If-Match": None}, 428)):
                changed = {k: v for k, v in {**headers, **change}.items() if v}
                self.assertEqual(server.request("PATCH", path, good, changed).status, status)
            restart = fragment(offer, [CANDIDATE], ufrag="other")
            self.assertEqual(server.request("PATCH", path, restart, headers).status, 422)
            broken = server.request("PATCH", path, "a=candidate:nonsense\r\n", headers)
            self.assertEqual(broken.status, 400)
            self.assertIn("line", broken.text)

    def test_delete_ends_a_session(self):
        with serve() as server:
            path = server.session().headers["Location"]
            self.assertEqual(server.request("DELETE", path).status, 200)
            for method in ("DELETE", "GET"):
                self.assertEqual(server.request(method, path).status, 404)

    def test_sessions_are_bounded_in_number(self):
        with serve("--max-sessions", 2) as server:
            first = server.request("POST", "/echo")
            self.assertEqual(server.request("POST", "/echo").status, 201)
            full = server.request("POST", "/echo")
            self.assertEqual(full.status, 503)
            self.assertGreater(int(full.headers["Retry-After"]), 0)
            self.assertEqual(call(server.url).returncode, 5)
            server.request("DELETE", first.headers["Location"])
            self.assertEqual(call(server.url, "--count", 1).returncode, 0)

    def test_sessions_that_never_connect_end(self):
        with serve("--setup", 0.3) as server:
            path = server.session().headers["Location"]
            self.assertEqual(server.request("GET", path).status, 204)
            self.assertTrue(until(lambda: server.request("GET", path).status == 404))

    def test_idle_sessions_end_and_the_caller_hears_of_it(self):
        with serve("--idle", 0.4) as server:
            done = call(server.url, "--count", 2, "--interval", 8000, "--sizes", 10)
            self.assertEqual(done.returncode, 1)
            self.assertEqual(done.report["messages"]["intact"], 1)
            self.assertIn("closed", done.report["error"])

    def test_the_page_is_whole_and_asks_nobody_else(self):
        with serve() as server:
            page = server.request("GET", "/")
            self.assertEqual(page.status, 200)
            self.assertIn("default-src 'self'", page.headers["Content-Security-Policy"])
            for name in re.findall(r'(?:src|href)="([^":]+)"', page.text):
                self.assertEqual(server.request("GET", "/" + name).status, 200, name)
            script = server.request("GET", "/weft.js").text
            self.assertNotRegex(page.text + script, r"https?://")


class Program(TestCase):
    def test_a_port_in_use(self):
        with serve() as server:
            second = run("serve", "--port", server.port)
            self.assertEqual(second.returncode, 3)
            self.assertIn("in use", second.stderr)
            self.assertIn(str(server.port), second.stderr)

    def test_an_address_of_somebody_else(self):
        second = run("serve", "--host", "192.0.2.1", "--port", 0)
        self.assertEqual(second.returncode, 3)
        self.assertIn("192.0.2.1", second.stderr)

    def test_signals_end_it_in_good_order_with_sessions_open(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            with serve() as server:
                server.session()
                server.process.send_signal(number)
                self.assertEqual(server.process.wait(10), 0)

    def test_verbose_tells_of_sessions(self):
        with serve("--verbose") as server:
            call(server.url, "--count", 1)
            server.process.terminate()
            _, told = server.process.communicate()
        self.assertRegex(told, r"[0-9a-f]{32} answers\n(.*\n)*[0-9a-f]{32} ended: .*; 1 messages")


if __name__ == "__main__":
    main()
