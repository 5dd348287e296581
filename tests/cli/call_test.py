"""weft call and weft serve test each other."""

import json
import socket
import time

from harness import TestCase, answer, call, fake_server, main, run, serve


class Calls(TestCase):
    def test_every_message_comes_back_intact_and_the_text_report_says_so(self):
        with serve() as server:
            done = run("call", server.url + "/echo")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("120 of 120 intact, 0 lost, 0 changed", done.stdout)
        for word in ("signalled", "ice connected", "channel open", "throughput", "round trip"):
            self.assertIn(word, done.stdout)
        self.assertEqual(done.stderr, "")

    def test_the_report_for_machines_has_all_figures(self):
        with serve() as server:
            done = call(server.url, "--count", 24)
        self.assertEqual(done.returncode, 0, done.stderr)
        report = done.report
        self.assertTrue(report["ok"])
        self.assertIsNone(report["error"])
        self.assertEqual(report["messages"], {
            "planned": 24, "sent": 24, "intact": 24, "lost": 0, "changed": 0,
            "sizes": [0, 1, 1200, 16384, 65536, 262144]})
        self.assertEqual(report["bytes_each_way"], 4 * (1 + 1200 + 16384 + 65536 + 262144))
        stages = [report["timings_ms"][name] for name in
                  ("signalled", "ice_connected", "connected", "channel_open", "done")]
        self.assertEqual(stages, sorted(stages))
        self.assertGreater(report["throughput_mb_s"], 0)
        self.assertLessEqual(report["rtt_ms"]["p50"], report["rtt_ms"]["p99"])
        self.assertTrue(any(e.startswith("127.0.0.1:") for e in report["local"]))
        self.assertTrue(any(e.startswith("127.0.0.1:") for e in report["remote"]))

    def test_the_server_may_make_the_offer(self):
        with serve() as server:
            done = call(server.url, "--reverse", "--count", 12)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.report["messages"]["intact"], 12)

    def test_unordered_and_partially_reliable_channels(self):
        with serve() as server:
            for options in (["--unordered"], ["--unordered", "--max-retransmits", 0],
                            ["--max-retransmits", 3]):
                done = call(server.url, "--count", 24, *options)
                self.assertEqual(done.returncode, 0, (options, done.stderr))
                counts = done.report["messages"]
                self.assertEqual(counts["intact"] + counts["lost"], 24, options)
                self.assertEqual(counts["changed"], 0, options)

    def test_many_calls_one_after_the_other(self):
        with serve("--max-sessions", 2) as server:
            for _ in range(10):
                done = call(server.url, "--count", 2, "--sizes", "1,1200")
                self.assertEqual(done.returncode, 0, done.stderr)

    def test_a_server_that_goes_away_ends_the_call(self):
        with serve() as server:
            from harness import program
            with program("call", server.url, "--interval", 50, "--count", 400, "--json",
                         "--verbose", "--timeout", 60) as caller:
                self.assertIn("session http", caller.stderr.readline())
                time.sleep(1)
                server.process.terminate()
                began = time.monotonic()
                out, _ = caller.communicate(timeout=50)
        self.assertEqual(caller.returncode, 1)
        self.assertLess(time.monotonic() - began, 10)
        self.assertIn("closed", json.loads(out)["error"])


class Failures(TestCase):
    def check(self, url, code, text, *options):
        done = call(url, *options)
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertIn(text, done.stderr)
        self.assertFalse(done.report["ok"])
        self.assertEqual(done.report["exit_code"], code)
        self.assertIn(text, done.report["error"])

    def test_a_url_that_is_none(self):
        for url in ("nonsense", "http://", "https://127.0.0.1/", "http://127.0.0.1:99999/"):
            self.check(url, 2, url)

    def test_a_server_that_is_not_there(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.check(f"http://127.0.0.1:{port}/echo", 4, "cannot be reached")

    def test_a_server_that_does_not_answer(self):
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen()
            self.check(f"http://127.0.0.1:{silent.getsockname()[1]}/echo", 6, "does not answer",
                       "--timeout", 1)

    def test_a_refused_offer_is_told_with_the_servers_words(self):
        with fake_server(lambda h: answer(h, 403, "not on \x1b[31mSundays\nsecond line", {})) as url:
            self.check(url, 5, "403 not on ?[31mSundays")

    def test_a_page_is_no_answer(self):
        with fake_server(lambda h: answer(h, 201, "hello", {"Content-Type": "text/plain"})) as url:
            self.check(url, 5, "'text/plain'")

    def test_an_answer_without_a_place_is_none(self):
        headers = {"Content-Type": "application/sdp"}
        with fake_server(lambda h: answer(h, 201, "v=0\r\n", headers)) as url:
            self.check(url, 5, "Location")

    def test_an_answer_that_is_no_sdp(self):
        headers = {"Content-Type": "application/sdp", "Location": "/echo/1"}
        with fake_server(lambda h: answer(h, 201, "garbage\r\n", headers)) as url:
            self.check(url, 5, "bad answer")
            self.check(url, 5, "bad offer", "--reverse")

    def test_a_peer_that_nobody_hears_is_a_timeout(self):
        with serve() as server:
            made = server.request("POST", "/echo")
            nowhere = "\r\n".join(line for line in made.text.split("\r\n")
                                  if not line.startswith("a=candidate"))
        headers = {"Content-Type": "application/sdp", "Location": "/echo/1"}
        with fake_server(lambda h: answer(h, 201, nowhere, headers)) as url:
            done = call(url, "--reverse", "--timeout", 2)
        self.assertIn(done.returncode, (1, 6), done.stderr)
        self.assertTrue(done.report["error"])

    def test_options_that_make_no_sense(self):
        for options in (["call"], ["call", "http://h", "--count", "0"], ["call", "http://h", "x"],
                        ["serve", "--port", "99999"], ["serve", "--idle", "-1"], ["nonsense"], []):
            done = run(*options)
            self.assertEqual(done.returncode, 2, options)
            self.assertNotEqual(done.stderr + done.stdout, "")

    def test_version_and_help(self):
        self.assertRegex(run("--version").stdout, r"^weft \d+\.\d+\.\d+\n$")
        self.assertIn("Exit status", run("--help").stdout)
        self.assertEqual(run("call", "--help").returncode, 0)


if __name__ == "__main__":
    main()
