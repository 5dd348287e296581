"""coturn's tools against `weft turn-server`."""

import base64
import json
import os
import time

from harness import (PASSWORD, SECRET, USER, WEFT, TestCase, free_port, run, uclient,
                     weft_server)

KNOWN = ("-u", USER, "-w", PASSWORD)
# Left alone, coturn's client takes TLS and DTLS 1.0 every other time, which RFC 8996 forbids;
# with a cipher of version 1.2 it cannot.
MODERN = ("-S", "-F", "ECDHE-ECDSA-AES128-GCM-SHA256")
CONTROL = {
    "UDP": lambda s: ("-p", s.port),
    "TCP": lambda s: ("-p", s.port, "-t"),
    "TLS": lambda s: ("-p", s.tls_port, "-t", *MODERN),
    "DTLS": lambda s: ("-p", s.tls_port, *MODERN),
}
DATA = {"channels": (), "Send": ("-s",)}


class WeftServer(TestCase):
    def test_relays_over_every_transport_by_channels_and_by_send_for_both_families(self):
        with weft_server("--user", f"{USER}:{PASSWORD}") as server:
            cases = {}
            for control, to in CONTROL.items():
                for data, flags in DATA.items():
                    for family, extra in {"IPv4": ("127.0.0.1",), "IPv6": ("-x", "::1")}.items():
                        cases[f"{control}, {data}, {family}"] = (*KNOWN, "-y", "-c", *flags,
                                                                 *to(server), *extra)
            self.all_at_once(cases, uclient)

    def test_takes_credentials_that_expire(self):
        with weft_server("--rest-secret", SECRET) as server:
            self.all_at_once({
                name: ("-u", "bob", "-W", SECRET, "-y", "-c", *CONTROL[name](server), "127.0.0.1")
                for name in ("UDP", "TCP")}, uclient)

    def test_refuses_a_wrong_password(self):
        with weft_server("--user", f"{USER}:{PASSWORD}") as server:
            said = uclient("-u", USER, "-w", "guess", "-y", "-c", "-p", server.port, "127.0.0.1")
            self.assertIn("Cannot complete Allocation", str(said))

    def test_has_what_else_coturns_client_can_do(self):
        with weft_server("--user", f"{USER}:{PASSWORD}", "--tcp-relay") as server:
            to = (*KNOWN, "-p", server.port)
            self.all_at_once({
                "EVEN-PORT and RESERVATION-TOKEN": (*to, "-y", "127.0.0.1"),
                "DONT-FRAGMENT": (*to, "-y", "-c", "-g", "127.0.0.1"),
                "padding of ChannelData": (*to, "-y", "-c", "-D", "127.0.0.1"),
                "more requests": (*to, "-y", "-c", "-G", "127.0.0.1"),
                "wrong requests": (*to, "-y", "-c", "-N", "127.0.0.1"),
                "TCP allocations": (*to, "-T", "127.0.0.1"),
                "mobility": (*to, "-M", "-y", "-c", "127.0.0.1"),
            }, uclient)

    def test_tells_the_addresses_that_coturns_stunclient_asks_for(self):
        with weft_server("--user", f"{USER}:{PASSWORD}") as server:
            said = run("turnutils_stunclient", "-p", server.port, "127.0.0.1")
            self.assertRegex(said.stdout + said.stderr, r"UDP reflexive addr: 127\.0\.0\.1:\d+")


    # uclient -J is not among these: it signs with 16 of the 20 octets of a token's MAC key.
    def test_takes_tokens_that_turnutils_oauth_makes(self):
        for algorithm, size in {"A128GCM": 16, "A256GCM": 32}.items():
            key = base64.b64encode(os.urandom(size)).decode()
            with self.subTest(algorithm), weft_server("--oauth-key", f"kid:{key}", "--server-name",
                                                      "turn.example.org") as server:
                self.assertEqual(measured(server, key, algorithm, "turn.example.org"), 0)
                self.assertEqual(measured(server, key, algorithm, "another.example.org"), 5)


def measured(server, key, algorithm, server_name):
    """The exit status of `weft turn` with a token that turnutils_oauth has made."""
    mac_key = base64.b64encode(os.urandom(15))  # As text it has 20 octets, what HMAC-SHA-1 takes.
    made = run("turnutils_oauth", "-e", "-i", server_name, "-j", "kid", "-k", key, "-l",
               int(time.time()), "-m", 3600, "-n", algorithm, "-p",
               base64.b64encode(mac_key).decode(), "-r", 600)
    token = json.loads(made.stdout)
    return run(WEFT, "turn", f"turn:127.0.0.1:{server.port}", "--username", token["kid"],
               "--access-token", token["access_token"], "--mac-key", token["key"]).returncode


class BehaviourServer(TestCase):
    """RFC 5780: nothing is between the tools and the server."""

    def setUp(self):
        self.port, self.other = free_port(), free_port()
        self.server = weft_server("--behaviour", f"127.0.0.1:{self.port}",
                                  "--behaviour-alternate", f"127.0.0.2:{self.other}")
        self.server.__enter__()
        self.addCleanup(self.server.__exit__, None, None, None)

    def natdiscovery(self, *arguments):
        done = run("turnutils_natdiscovery", *arguments, "-L", "127.0.0.1", "-p", self.port,
                   "127.0.0.1")
        return done.stdout + done.stderr

    def test_shows_natdiscovery_mapping_and_filtering(self):
        for padding in ((), ("-P",)):
            with self.subTest(padding):
                mapping = self.natdiscovery("-m", *padding)
                self.assertIn("NAT with Endpoint Independent Mapping!", mapping)
                self.assertIn(f"Response origin: : 127.0.0.2:{self.port}", mapping)
                self.assertIn(f"Other addr: : 127.0.0.2:{self.other}", mapping)
                filtering = self.natdiscovery("-f", *padding)
                self.assertIn("NAT with Endpoint Independent Filtering!", filtering)
                self.assertIn(f"Response origin: : 127.0.0.2:{self.other}", filtering)

    def test_shows_natdiscovery_hairpinning_collisions_and_lifetimes(self):
        self.assertIn("successful hairpinning", self.natdiscovery("-H"))
        self.assertIn("UDP reflexive addr: 127.0.0.3:", self.natdiscovery("-c", "-A", "127.0.0.3"))
        self.assertIn("RFC 5780 response 2", self.natdiscovery("-t", "-T", 1))

    def test_answers_stunclient_from_and_to_other_ports(self):
        done = run("turnutils_stunclient", "-f", "-p", self.port, "127.0.0.1")
        self.assertIn("RFC 5780 response 3", done.stdout + done.stderr)

    def test_tells_weft_stun_what_there_is(self):
        done = run(WEFT, "stun", "--behaviour", "--json", f"stun:127.0.0.1:{self.port}")
        said = json.loads(done.stdout)["behaviour"]
        self.assertEqual(
            (said["mapping"], said["filtering"], said["translated"], said["hairpin"]),
            ("endpoint-independent", "endpoint-independent", False, True))
