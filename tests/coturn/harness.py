"""Servers and tools of the TURN tests. Everything happens on loopback, and every process that
is started is ended by its id."""

import concurrent.futures
import contextlib
import os
import re
import signal
import socket
import subprocess
import time
import unittest

WEFT = os.environ["WEFT_PROGRAM"]
SCRATCH = os.environ["SCRATCH"]
USER, PASSWORD, REALM, SECRET = "alice", "wonderland", "weft.test", "shared secret"
CERTIFICATE, KEY = f"{SCRATCH}/cert.pem", f"{SCRATCH}/key.pem"


def make_certificate():
    if os.path.exists(CERTIFICATE):
        return
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-keyout", KEY, "-out", CERTIFICATE, "-days", "30", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1"],
        check=True, capture_output=True)


def free_port():
    """A port that neither UDP nor TCP has in use, and with it the next one."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as a:
            a.bind(("127.0.0.1", 0))
            port = a.getsockname()[1]
        try:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                for near in (port, port + 1):
                    with socket.socket(socket.AF_INET, kind) as b:
                        b.bind(("127.0.0.1", near))
            return port
        except OSError:
            continue


@contextlib.contextmanager
def process(command):
    started = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               cwd=SCRATCH)
    try:
        yield started
    finally:
        if started.poll() is None:
            started.send_signal(signal.SIGKILL)
        started.communicate()


class Server:
    def __init__(self, port, tls_port):
        self.port, self.tls_port = port, tls_port


@contextlib.contextmanager
def weft_server(*arguments, hosts=("127.0.0.1", "[::1]")):
    make_certificate()
    port, tls = free_port(), free_port()
    command = [WEFT, "turn-server", "--realm", REALM, "--tls-cert", CERTIFICATE, "--tls-key", KEY,
               "--allow-peer", "127.0.0.0/8", "--allow-peer", "::1", "--threads", "2",
               *(w for h in hosts for w in ("--listen", f"{h}:{port}", "--tls-listen", f"{h}:{tls}")),
               *arguments]
    with process(command) as started:
        line = started.stdout.readline()
        assert line.startswith("listening on udp "), line
        yield Server(port, tls)
        assert started.poll() is None, "the server is gone"


@contextlib.contextmanager
def coturn_server(*arguments):
    make_certificate()
    port, tls = free_port(), free_port()
    command = ["turnserver", "-n", "--listening-ip", "127.0.0.1", "--listening-ip", "::1",
               "--relay-ip", "127.0.0.1", "--relay-ip", "::1", "--listening-port", str(port),
               "--tls-listening-port", str(tls), "--realm", REALM, "--cert", CERTIFICATE,
               "--pkey", KEY, "--allow-loopback-peers", "--no-cli", "--log-file", "/dev/null",
               "--simple-log", "--no-stdout-log", "--pidfile", "/dev/null", "--relay-threads", "1",
               *arguments]
    with process(command) as started:
        server = Server(port, tls)
        assert until(lambda: answers(port)), "coturn does not answer"
        yield server
        assert started.poll() is None, "coturn is gone"


def answers(port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(0.2)
        with contextlib.suppress(OSError):
            s.sendto(bytes.fromhex("000100002112a442") + os.urandom(12), ("127.0.0.1", port))
            return s.recv(1500)[:2] == b"\x01\x01"
    return False


def until(condition, limit=20):
    end = time.monotonic() + limit
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def run(*command, limit=90):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          errors="replace", timeout=limit, cwd=SCRATCH)


def uclient(*arguments):
    """Runs coturn's test client and returns how many of its packets were lost, or what it said.
    It takes one message out of a TLS record and drops the others, while a stream has no borders
    and our server puts into one record what waits together. Packets 60 ms apart do not wait for
    each other: a delayed acknowledgement, which holds them back in the client, takes 40 ms."""
    try:
        done = run("turnutils_uclient", "-n", 10, "-z", 60, *arguments)
    except subprocess.TimeoutExpired:
        return "it does not end"
    lost = re.findall(r"Total lost packets (\d+)", done.stdout + done.stderr)
    return int(lost[-1]) if lost else done.stdout[-2000:] + done.stderr[-2000:]


class TestCase(unittest.TestCase):
    def all_at_once(self, cases, test):
        """Runs test(*arguments) for each `name: arguments` side by side: most of it is waiting."""
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            running = {name: pool.submit(test, *arguments) for name, arguments in cases.items()}
        for name, future in running.items():
            with self.subTest(name):
                self.assertEqual(future.result(), 0)
