"""Calls of the program weft between homes behind translators, on real sockets.

`weft serve` in one home and `weft call` in the other; signalling goes by a wire of its own, as it
goes by a server elsewhere. `weft turn-server` stands in the public network and answers STUN too."""

import contextlib
import json
import os
import subprocess
import threading
import time
import unittest

import network

network.isolate()
WEFT = os.environ["WEFT_PROGRAM"]
CREDENTIALS = ["--username", "user", "--credential", "password"]
STUN = ["--ice-server", f"stun:{network.Internet.SERVER}"]
TURN = ["--ice-server", f"turn:{network.Internet.SERVER}"]
TURN_TCP = ["--ice-server", f"turn:{network.Internet.SERVER}?transport=tcp"]


class Call(unittest.TestCase):
    def internet(self, **conditions):
        if conditions and not network.Wire.is_possible():
            self.skipTest("no /dev/net/tun here")
        self.net = network.Internet(**conditions)
        self.addCleanup(self.net.stop)
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.audit = []

    def program(self, namespace, *words):
        return self.stack.enter_context(namespace.program(
            WEFT, *words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True))

    def start_relay(self):
        relay = self.program(
            self.net.server, "turn-server", "--listen", f"{self.net.SERVER}:3478",
            "--realm", "example.org", "--user", "user:password", "--log", "-",
            "--allow-peer", "203.0.113.0/24", "--allow-peer", "198.51.100.0/24")
        ready = threading.Event()

        def read():
            for line in relay.stdout:
                ready.set()
                with contextlib.suppress(ValueError):
                    self.audit.append(json.loads(line))
            ready.set()

        threading.Thread(target=read, daemon=True).start()
        self.assertTrue(ready.wait(10))
        self.assertIsNone(relay.poll(), "weft turn-server has ended")

    def start_serve(self, *servers):
        """Returns the URL under which the other home reaches it."""
        serve = self.program(self.net.hosts["b"], "serve", "--host", "127.0.0.1", "--port", 0,
                             *servers, *CREDENTIALS)
        line = serve.stdout.readline()
        self.assertIn("listening on", line)
        forwarder = network.Forwarder(self.net.hosts["a"], self.net.INSIDE["a"],
                                      self.net.hosts["b"], int(line.rsplit(":", 1)[1]))
        forwarder.start()
        self.addCleanup(forwarder.stop)
        return f"http://{self.net.INSIDE['a']}:{forwarder.own_port}/echo"

    def call(self, url, *words, meanwhile=None):
        process = self.program(self.net.hosts["a"], "call", url, "--json", *CREDENTIALS, *words)
        if meanwhile:
            meanwhile()
        out, _ = process.communicate(timeout=120)
        return json.loads(out)

    def assert_intact(self, report):
        self.assertTrue(report["ok"], report["error"])
        self.assertEqual(report["messages"]["intact"], report["messages"]["planned"])

    def types(self, report):
        self.assertIsNotNone(report["path"])
        return {report["path"]["local"]["type"], report["path"]["remote"]["type"]}

    def test_two_homes_connect_directly_where_nats_keep_ports(self):
        self.internet()
        self.start_relay()
        report = self.call(self.start_serve(*STUN), *STUN)
        self.assert_intact(report)
        self.assertNotIn("relayed", self.types(report))
        self.assertLess(report["timings_ms"]["channel_open"], 3000)

    def test_without_a_relay_nats_with_a_port_for_each_destination_are_too_much(self):
        self.internet()
        self.start_relay()
        for side in ("a", "b"):
            self.net.masquerade(side, "fully-random")
        report = self.call(self.start_serve(*STUN), *STUN, "--timeout", 8)
        self.assertFalse(report["ok"])

    def test_a_relay_connects_them(self):
        for urls in (TURN, TURN_TCP):
            with self.subTest(urls[1]), contextlib.ExitStack() as world:
                world.callback(self.doCleanups)
                self.internet()
                self.start_relay()
                for side in ("a", "b"):
                    self.net.masquerade(side, "fully-random")
                report = self.call(self.start_serve(*urls), *urls)
                self.assert_intact(report)
                self.assertIn("relayed", self.types(report))
                self.assertLess(report["timings_ms"]["channel_open"], 5000)

    def test_without_udp_a_relay_is_reached_by_tcp(self):
        self.internet()
        self.start_relay()
        self.net.block("a", "meta l4proto udp")
        report = self.call(self.start_serve(*TURN), *TURN_TCP)
        self.assert_intact(report)
        self.assertIn("relayed", self.types(report))

    def test_a_call_over_a_bad_line_brings_all_messages(self):
        self.internet(delay=0.03, loss=0.02)
        self.start_relay()
        for side in ("a", "b"):
            self.net.masquerade(side, "fully-random")
        report = self.call(self.start_serve(*TURN), *TURN, "--sizes", "0,1,1200,16384",
                           "--count", 60, "--timeout", 60)
        self.assert_intact(report)
        self.assertGreater(sum(wire.lost for wire in self.net.wires), 0)

    def test_a_call_survives_another_address_in_its_midst(self):
        self.internet()
        self.start_relay()
        url = self.start_serve(*TURN)
        host = self.net.hosts["a"]

        def move():
            time.sleep(3)
            host.ip("address", "delete", f"{self.net.INSIDE['a']}/24", "dev", "lan")
            host.ip("address", "add", "192.168.1.77/24", "dev", "lan")
            # Its route goes with it.
            host.ip("route", "replace", "default", "via", "192.168.1.1", "src", "192.168.1.77")

        report = self.call(url, *TURN, "--sizes", "100", "--count", 200, "--interval", 50,
                           "--timeout", 60, meanwhile=move)
        self.assert_intact(report)
        self.assertLess(report["rtt_ms"]["max"], 15000)

    def test_a_call_survives_an_interface_that_goes_down_and_up(self):
        self.internet()
        self.start_relay()
        url = self.start_serve(*TURN)
        host = self.net.hosts["a"]

        def flap():
            time.sleep(3)
            host.ip("link", "set", "lan", "down")
            time.sleep(2)
            host.ip("link", "set", "lan", "up")
            host.ip("route", "replace", "default", "via", "192.168.1.1")

        report = self.call(url, *TURN, "--sizes", "100", "--count", 200, "--interval", 50,
                           "--timeout", 60, meanwhile=flap)
        self.assert_intact(report)
        self.assertLess(report["rtt_ms"]["max"], 15000)


if __name__ == "__main__":
    unittest.main()
