"""`weft turn` against coturn's server, and against `weft turn-server`."""

import json

from harness import (CERTIFICATE, PASSWORD, SECRET, USER, WEFT, TestCase, coturn_server, run,
                     weft_server)

KNOWN = ("--username", USER, "--credential", PASSWORD)
TRANSPORTS = {
    "UDP": lambda s, host: f"turn:{host}:{s.port}",
    "TCP": lambda s, host: f"turn:{host}:{s.port}?transport=tcp",
    "TLS": lambda s, host: f"turns:{host}:{s.tls_port}?transport=tcp",
    "DTLS": lambda s, host: f"turns:{host}:{s.tls_port}?transport=udp",
}
DATA = {"channels": (), "Send": ("--send",)}


def measure(uri, *arguments):
    """Returns 0 if every packet has come by the relays, or what the program said."""
    done = run(WEFT, "turn", uri, "--ca", CERTIFICATE, "--count", 20, "--json", *arguments)
    if done.returncode != 0:
        return f"exit {done.returncode}: {done.stdout}{done.stderr}"
    said = json.loads(done.stdout)
    family = "[" if "--ipv6" in arguments else "127."
    whole = (said["arrived"] == 20 and said["changed"] == 0 and
             all(relay.startswith(family) for relay in said["relayed"]))
    return 0 if whole else done.stdout


class Client:
    def test_measures_over_every_transport_for_both_families(self):
        with self.server_of_users() as server:
            self.all_at_once({
                f"{name} to {host}, {data}, relays {family}":
                    (uri(server, host), *KNOWN, *flags, *extra)
                for name, uri in TRANSPORTS.items()
                for data, flags in DATA.items()
                for host in ("127.0.0.1", "[::1]")
                for family, extra in {"IPv4": (), "IPv6": ("--ipv6",)}.items()}, measure)

    def test_makes_credentials_that_expire(self):
        with self.server_of_secret() as server:
            self.all_at_once({
                name: (uri(server, "127.0.0.1"), "--username", "bob", "--rest-secret", SECRET)
                for name, uri in TRANSPORTS.items()}, measure)

    def test_is_told_that_a_password_is_wrong(self):
        with self.server_of_users() as server:
            said = measure(TRANSPORTS["UDP"](server, "127.0.0.1"), "--username", USER,
                           "--credential", "guess")
            self.assertIn("exit 5", str(said))

    def test_believes_no_certificate_that_nobody_vouches_for(self):
        with self.server_of_users() as server:
            for name in ("TLS", "DTLS"):
                with self.subTest(name):
                    done = run(WEFT, "turn", TRANSPORTS[name](server, "127.0.0.1"), *KNOWN)
                    self.assertIn("certificate is not trusted", done.stdout)
                    self.assertNotEqual(done.returncode, 0)


class AgainstCoturn(Client, TestCase):
    def server_of_users(self):
        return coturn_server("--lt-cred-mech", "--user", f"{USER}:{PASSWORD}")

    def server_of_secret(self):
        return coturn_server("--use-auth-secret", "--static-auth-secret", SECRET)


class AgainstWeft(Client, TestCase):
    def server_of_users(self):
        return weft_server("--user", f"{USER}:{PASSWORD}")

    def server_of_secret(self):
        return weft_server("--rest-secret", SECRET)
