"""The translators of these networks are of the kinds that the tests of calls rely on."""

import contextlib
import socket
import time
import unittest

import network

network.isolate()


class Nat(unittest.TestCase):
    def setUp(self):
        self.net = network.Internet()
        self.addCleanup(self.net.stop)
        self.servers = [self.listen(self.net.server, address, port)
                        for address in (self.net.SERVER, self.net.SERVER_OTHER)
                        for port in (3478, 3479)]

    def listen(self, namespace, address, port):
        def make():
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.bind((address, port))
            return sock

        sock = namespace.do(make)
        self.addCleanup(sock.close)
        return sock

    def seen_at(self, sock, server):
        sock.settimeout(5)
        sock.sendto(b"?", server.getsockname())
        server.settimeout(5)
        _, asker = server.recvfrom(100)
        return asker

    def receives(self, sock, wait=0.3):
        sock.settimeout(wait)
        try:
            return sock.recvfrom(100)[1]
        except TimeoutError:
            return None

    def test_masquerade_maps_independently_of_the_destination_and_filters_by_port(self):
        client = self.listen(self.net.hosts["a"], self.net.INSIDE["a"], 5000)
        seen = {self.seen_at(client, server) for server in self.servers[1:]}
        self.assertEqual(seen, {("203.0.113.1", 5000)})
        self.servers[0].sendto(b"!", ("203.0.113.1", 5000))
        self.assertIsNone(self.receives(client))
        self.servers[1].sendto(b"!", ("203.0.113.1", 5000))
        self.assertEqual(self.receives(client), self.servers[1].getsockname())

    def test_fully_random_masquerade_maps_by_address_and_port(self):
        self.net.masquerade("a", "fully-random")
        client = self.listen(self.net.hosts["a"], self.net.INSIDE["a"], 5000)
        seen = {self.seen_at(client, server) for server in self.servers}
        self.assertGreaterEqual(len(seen), 3)  # Two in 64,512 may be the same.
        self.assertEqual(len({self.seen_at(client, self.servers[0]) for _ in range(3)}), 1)

    def test_what_comes_unasked_leaves_the_port_to_who_asks_for_it(self):
        client = self.listen(self.net.hosts["a"], self.net.INSIDE["a"], 5000)
        self.servers[0].sendto(b"!", ("203.0.113.1", 5000))
        time.sleep(0.1)
        self.assertEqual(self.seen_at(client, self.servers[0]), ("203.0.113.1", 5000))

    def test_two_homes_meet_when_both_send(self):
        a = self.listen(self.net.hosts["a"], self.net.INSIDE["a"], 5000)
        b = self.listen(self.net.hosts["b"], self.net.INSIDE["b"], 5000)
        a.sendto(b"!", ("203.0.113.2", 5000))
        self.assertIsNone(self.receives(b))
        b.sendto(b"!", ("203.0.113.1", 5000))
        self.assertEqual(self.receives(a), ("203.0.113.2", 5000))
        a.sendto(b"!", ("203.0.113.2", 5000))
        self.assertEqual(self.receives(b), ("203.0.113.1", 5000))

    def test_a_firewall_keeps_udp_and_lets_tcp_pass(self):
        self.net.block("a", "meta l4proto udp")
        client = self.listen(self.net.hosts["a"], self.net.INSIDE["a"], 5000)
        client.sendto(b"?", self.servers[0].getsockname())
        self.assertIsNone(self.receives(self.servers[0]))
        listener = self.net.server.do(lambda: socket.create_server((self.net.SERVER, 3478)))
        self.addCleanup(listener.close)
        address = (self.net.SERVER, 3478)
        connection = self.net.hosts["a"].do(lambda: socket.create_connection(address, timeout=5))
        connection.close()


class Wire(unittest.TestCase):
    def test_a_wire_delays_and_loses(self):
        if not network.Wire.is_possible():
            self.skipTest("no /dev/net/tun here")
        net = network.Internet(delay=0.03, loss=0.2)
        self.addCleanup(net.stop)

        def bound(namespace, address):
            def make():
                sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                sock.bind((address, 5000))
                return sock

            sock = namespace.do(make)
            self.addCleanup(sock.close)
            return sock

        client = bound(net.hosts["a"], net.INSIDE["a"])
        server = bound(net.server, net.SERVER)
        server.settimeout(0.2)
        delays = []
        for _ in range(40):
            sent = time.monotonic()
            client.sendto(b"?", (net.SERVER, 5000))
            with contextlib.suppress(TimeoutError):
                server.recvfrom(100)
                delays.append(time.monotonic() - sent)
        self.assertGreater(len(delays), 20)
        self.assertGreaterEqual(sorted(delays)[len(delays) // 2], 0.03)
        self.assertGreater(net.wires[0].lost, 0)


if __name__ == "__main__":
    unittest.main()
