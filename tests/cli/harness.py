"""What the tests of the program weft have in common. Everything happens on loopback, and
every process that is started is ended by its id."""

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import threading
import time
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WEFT = os.environ["WEFT_PROGRAM"]
SDP = {"Content-Type": "application/sdp"}
FRAGMENT = "application/trickle-ice-sdpfrag"


@contextlib.contextmanager
def program(*arguments):
    process = subprocess.Popen([WEFT, *map(str, arguments)], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.communicate()


class Server:
    """A `weft serve` that says where it listens."""

    def __init__(self, process):
        line = process.stdout.readline()
        match = re.fullmatch(r"listening on (http://(127\.0\.0\.1):(\d+))\n", line)
        assert match, f"said {line!r}"
        self.process, self.url = process, match[1]
        self.host, self.port = match[2], int(match[3])

    def request(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection(self.host, self.port, timeout=20)
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        response.text = response.read().decode()
        connection.close()
        return response

    def offer(self):
        """An offer without candidates, such as a browser sends that trickles."""
        made = self.request("POST", "/echo")
        assert made.status == 201, made.text
        self.request("DELETE", made.headers["Location"])
        return re.sub(r"a=(candidate:[^\r]*|end-of-candidates)\r\n", "", made.text)

    def session(self):
        """A session that has answered an offer of nobody."""
        made = self.request("POST", "/echo", self.offer(), SDP)
        assert made.status == 201, made.text
        return made


@contextlib.contextmanager
def serve(*arguments):
    with program("serve", "--port", 0, *arguments) as process:
        yield Server(process)


def run(*arguments, limit=120):
    return subprocess.run([WEFT, *map(str, arguments)], capture_output=True, text=True,
                          timeout=limit)


def call(url, *arguments, limit=120):
    """Runs `weft call --json` and returns the process with its report."""
    done = run("call", url, "--json", *arguments, limit=limit)
    done.report = json.loads(done.stdout)
    return done


@contextlib.contextmanager
def fake_server(respond):
    """An HTTP server that answers every request with respond(handler)."""

    class Handler(BaseHTTPRequestHandler):
        def do(self):
            self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            respond(self)

        do_POST = do_PATCH = do_DELETE = do

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/echo"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def answer(handler, status, body, headers):
    handler.send_response(status)
    for name, value in {**headers, "Content-Length": str(len(body))}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body.encode())


def until(condition, limit=20):
    end = time.monotonic() + limit
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


main = unittest.main
TestCase = unittest.TestCase
