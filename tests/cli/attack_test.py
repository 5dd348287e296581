"""100,000 packets of strangers at both sockets of a call change nothing."""

import json
import os
import random
import re
import socket
import struct
import time

from harness import TestCase, main, program, serve

PACKETS = 100_000
MESSAGES = 8000  # At 2 ms each they take longer than the attack.


def stun(kind, attributes):
    return struct.pack(">HHI12s", kind, len(attributes), 0x2112A442, os.urandom(12)) + attributes


def attribute(kind, value):
    return struct.pack(">HH", kind, len(value)) + value + b"\0" * (-len(value) % 4)


def dtls(content_type, body, epoch=0):
    return struct.pack(">BHHHIH", content_type, 0xFEFD, epoch, 0, random.getrandbits(32),
                       len(body)) + body


def client_hello():
    hello = struct.pack(">H32sBB", 0xFEFD, os.urandom(32), 0, 0) + b"\0\2\xc0\x2b\1\0"
    handshake = struct.pack(">B", 1) + len(hello).to_bytes(3, "big") + b"\0\0" + b"\0\0\0"
    return dtls(22, handshake + len(hello).to_bytes(3, "big") + hello)


def sctp_abort():
    return struct.pack(">HHIIBBH", 5000, 5000, random.getrandbits(32), 0, 6, 1, 4)


KINDS = [
    lambda: os.urandom(random.randrange(0, 1400)),
    lambda: stun(0x0001, attribute(0x0006, b"guess:guess") + attribute(0x0024, b"\x7f\0\0\0") +
                 attribute(0x0025, b"") + attribute(0x0008, os.urandom(20))),
    lambda: stun(0x0101, attribute(0x0020, os.urandom(8)) + attribute(0x0008, os.urandom(20))),
    lambda: stun(0x0111, attribute(0x0009, b"\0\0\4\x57Role Conflict")),
    client_hello,
    lambda: dtls(21, b"\2\x28"),  # A fatal alert,
    lambda: dtls(21, b"\1\0"),    # and close_notify.
    lambda: dtls(23, os.urandom(100), epoch=1),
    sctp_abort,
]


def port_of(text, what):
    return int(re.search(rf"^{what} 127\.0\.0\.1:(\d+)$", text, re.M)[1])


class Attack(TestCase):
    def test_a_call_survives_and_no_message_is_harmed(self):
        with serve("--verbose") as server, program(
                "call", server.url, "--verbose", "--json", "--count", MESSAGES, "--interval", 2,
                "--sizes", "0,1,1200,5000", "--timeout", 100) as caller:
            seen = ""
            while len(re.findall(r"^(?:local|remote) 127\.0\.0\.1:", seen, re.M)) < 2:
                line = caller.stderr.readline()
                self.assertTrue(line, seen)
                seen += line
            victims = [("127.0.0.1", port_of(seen, what)) for what in ("local", "remote")]
            strangers = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(8)]
            sent = 0
            while sent < PACKETS:
                packet = KINDS[sent % len(KINDS)]()
                stranger = strangers[sent % len(strangers)]
                for victim in victims:
                    stranger.sendto(packet, victim)
                    sent += 1
                if sent % 100 == 0:
                    time.sleep(0.001)  # A full socket would drop them before weft sees them.
            self.assertIsNone(caller.poll(), "the call was over before the attack")
            for stranger in strangers:
                stranger.close()
            out, errors = caller.communicate(timeout=110)
            server.process.terminate()
            said = server.process.communicate(timeout=20)[1]
        self.assertEqual(caller.returncode, 0, errors)
        report = json.loads(out)
        self.assertEqual(report["messages"]["intact"], MESSAGES)
        self.assertEqual(report["messages"]["changed"], 0)
        dropped = report["datagrams"]
        self.assertGreater(dropped["unvalidated"], 1000, dropped)
        self.assertGreater(dropped["unknown"], 1000, dropped)
        self.assertGreater(dropped["received"], PACKETS // 4, dropped)
        counted = re.search(r"dropped (\d+) unknown, (\d+) unvalidated", said)
        self.assertGreater(int(counted[1]), 1000, said)
        self.assertGreater(int(counted[2]), 1000, said)


if __name__ == "__main__":
    main()
