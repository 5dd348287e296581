"""Networks of one machine: namespaces with hosts, translators and a public network between them.

All of it lives in namespaces that the test enters first and that vanish with it, so that nothing is
left behind, whatever happens, and nothing can leave the machine."""

import contextlib
import ctypes
import fcntl
import heapq
import os
import random
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

SKIPPED = 77
INSIDE = "WEFT_NETNS_INSIDE"
os.environ["PATH"] += ":/usr/sbin:/sbin"


def skip(why):
    print(f"skipped: {why}")
    sys.exit(SKIPPED)


def isolate():
    """Goes on in namespaces of its own, for network, mounts and processes; skips the test where
    that is not permitted."""
    if os.environ.get(INSIDE):
        os.environ.pop(INSIDE)
        command("mount", "-t", "tmpfs", "tmpfs", "/run")
        command("ip", "link", "set", "lo", "up")
        return
    for tool in ("unshare", "mount", "ip", "nft"):
        if not shutil.which(tool):
            skip(f"there is no {tool} here")
    unshare = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if os.geteuid() != 0:
        unshare.insert(1, "--map-root-user")
    trial = ("mount -t tmpfs tmpfs /run && ip netns add a && ip link add name x0 type veth peer name x1"
             " && nft add table ip t && nft add chain ip t c '{ type nat hook postrouting priority"
             " srcnat; }' && nft add rule ip t c masquerade fully-random")
    tried = subprocess.run([*unshare, "sh", "-c", trial], capture_output=True, text=True)
    if tried.returncode != 0:
        skip("no namespaces or no NAT here: " + (tried.stderr.strip() or "refused"))
    os.environ[INSIDE] = "1"
    os.execvp("unshare", [*unshare, sys.executable, *sys.argv])


def command(*words, check=True, text=None):
    done = subprocess.run(words, capture_output=True, text=True, input=text)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip()}")
    return done


LIBC = ctypes.CDLL(None, use_errno=True)


class Namespace:
    """A network namespace: a host, or what stands between hosts."""

    def __init__(self, name):
        self.name = name
        command("ip", "netns", "add", name)
        self.ip("link", "set", "lo", "up")

    def ip(self, *words, check=True):
        return command("ip", "-n", self.name, *words, check=check)

    def nft(self, rules):
        """All of them in one transaction: each may take the kernel a while."""
        command(*self.words("nft", "-f", "-"), text=rules)

    def set(self, key, value):
        command("ip", "netns", "exec", self.name, "sysctl", "-qw", f"{key}={value}")

    def words(self, *words):
        """What runs a program here, in this process's stead."""
        return ["ip", "netns", "exec", self.name, *map(str, words)]

    @contextlib.contextmanager
    def program(self, *words, **options):
        """Runs a program here, ends it, and closes its output: not before, or who reads that
        elsewhere and this would wait for each other."""
        process = subprocess.Popen(self.words(*words), **options)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(5)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            if process.stdout:
                process.stdout.close()

    def enter(self):
        """Sockets that this thread makes from now on are in this namespace."""
        with open(f"/run/netns/{self.name}") as file:
            if LIBC.setns(file.fileno(), 0x40000000) != 0:  # CLONE_NEWNET
                raise OSError(ctypes.get_errno(), "setns")

    def do(self, function):
        """The result of a function that makes sockets, which then are in this namespace."""
        result = []

        def run():
            try:
                self.enter()
                result.append((function(), None))
            except Exception as error:
                result.append((None, error))

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        value, error = result[0]
        if error:
            raise error
        return value

    def link(self, name, other, other_name):
        """A cable to another namespace."""
        command("ip", "link", "add", "name", name, "netns", self.name, "type", "veth", "peer", "name",
                other_name, "netns", other.name)

    def address(self, interface, address, *routes):
        self.ip("address", "add", address, "dev", interface, *(["nodad"] if ":" in address else []))
        self.ip("link", "set", interface, "up")
        for route in routes:
            self.ip("route", "add", *route.split())


class Wire(threading.Thread):
    """A cable between interfaces of two namespaces that delays frames and loses some: there is
    no netem on many machines."""

    def __init__(self, one, one_name, other, other_name, delay=0.0, loss=0.0, seed=1):
        super().__init__(daemon=True)
        self.delay, self.loss, self.random = delay, loss, random.Random(seed)
        self.taps = [self.tap(one, one_name), self.tap(other, other_name)]
        self.lost = self.passed = 0
        self.wake_read, self.wake_write = os.pipe()

    @staticmethod
    def tap(namespace, name):
        def make():
            tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
            # TUNSETIFF: IFF_TAP | IFF_NO_PI
            fcntl.ioctl(tap, 0x400454CA, struct.pack("16sH22x", name.encode(), 0x1002))
            return tap

        return namespace.do(make)

    @staticmethod
    def is_possible():
        return os.access("/dev/net/tun", os.R_OK | os.W_OK)

    def run(self):
        under_way, order = [], 0
        while True:
            wait = max(0, under_way[0][0] - time.monotonic()) if under_way else None
            ready, _, _ = select.select([*self.taps, self.wake_read], [], [], wait)
            if self.wake_read in ready:
                return
            for tap in ready:
                with contextlib.suppress(BlockingIOError):
                    while True:
                        frame = os.read(tap, 65536)
                        if self.random.random() < self.loss:
                            self.lost += 1
                            continue
                        order += 1
                        to = self.taps[1 - self.taps.index(tap)]
                        heapq.heappush(under_way, (time.monotonic() + self.delay, order, to, frame))
            while under_way and under_way[0][0] <= time.monotonic():
                _, _, to, frame = heapq.heappop(under_way)
                self.passed += 1
                with contextlib.suppress(OSError):  # Down, or full.
                    os.write(to, frame)

    def stop(self):
        os.write(self.wake_write, b".")
        self.join()
        for descriptor in (*self.taps, self.wake_read, self.wake_write):
            os.close(descriptor)


class Forwarder(threading.Thread):
    """Carries connections to an address of one namespace over to a loopback port of another,
    as signalling does for peers that cannot reach each other."""

    def __init__(self, one, address, other, port):
        super().__init__(daemon=True)
        self.other, self.port = other, port
        self.listener = one.do(lambda: socket.create_server((address, 0)))
        self.own_port = self.listener.getsockname()[1]

    def run(self):
        self.other.enter()
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self.port))
            except OSError:
                near.close()
                continue
            for pair in ((near, far), (far, near)):
                threading.Thread(target=self.carry, args=pair, daemon=True).start()

    @staticmethod
    def carry(from_socket, to_socket):
        with contextlib.suppress(OSError):
            while chunk := from_socket.recv(65536):
                to_socket.sendall(chunk)
        with contextlib.suppress(OSError):
            to_socket.shutdown(socket.SHUT_WR)

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


class Internet:
    """Two homes with a host and a translator each, and a server, in one public network.

            a ---- nat_a ---- public ---- nat_b ---- b
      192.168.1.2   203.0.113.1   |   203.0.113.2   192.168.1.3
                                server
                             198.51.100.1, .2
    """

    SERVER, SERVER_OTHER = "198.51.100.1", "198.51.100.2"
    OUTSIDE = {"a": "203.0.113.1", "b": "203.0.113.2"}
    INSIDE = {"a": "192.168.1.2", "b": "192.168.1.3"}

    def __init__(self, delay=0.0, loss=0.0):
        self.public = Namespace("public")
        self.public.ip("link", "add", "bridge", "type", "bridge")
        self.public.ip("link", "set", "bridge", "up")
        self.wires = []
        self.server = Namespace("server")
        self.plug(self.server, "server")
        self.server.address("wan", f"{self.SERVER}/24", "203.0.113.0/24 dev wan")
        self.server.address("wan", f"{self.SERVER_OTHER}/24")
        self.hosts, self.nats = {}, {}
        for side in ("a", "b"):
            self.make_home(side, delay, loss)
        for wire in self.wires:
            wire.start()

    def plug(self, namespace, name, delay=0.0, loss=0.0):
        """Connects a namespace's interface `wan` to the public network."""
        if delay or loss:
            wire = Wire(namespace, "wan", self.public, name, delay, loss, seed=len(self.wires))
            self.wires.append(wire)
        else:
            namespace.link("wan", self.public, name)
        self.public.ip("link", "set", name, "master", "bridge", "up")

    def make_home(self, side, delay, loss):
        nat, host = Namespace(f"nat_{side}"), Namespace(side)
        self.nats[side], self.hosts[side] = nat, host
        self.plug(nat, f"nat_{side}", delay, loss)
        nat.address("wan", f"{self.OUTSIDE[side]}/24", "198.51.100.0/24 dev wan")
        nat.link("lan", host, "lan")
        nat.address("lan", "192.168.1.1/24")
        host.address("lan", f"{self.INSIDE[side]}/24", "default via 192.168.1.1")
        nat.set("net.ipv4.ip_forward", 1)
        nat.nft("""
            add table ip home
            add chain ip home out { type nat hook postrouting priority srcnat; }
            add chain ip home through { type filter hook forward priority filter; policy drop; }
            add chain ip home to_nat { type filter hook input priority filter; }
            add chain ip home rules
            add rule ip home through jump rules
            add rule ip home through ct state established,related accept
            add rule ip home through iifname "lan" accept
            # What comes unasked must not leave a trace: a confirmed entry would take its port
            # from the mapping that is made later.
            add rule ip home to_nat iifname "wan" ct state new drop
            add rule ip home out oifname "wan" masquerade
            """)

    def masquerade(self, side, how=""):
        """How a home's NAT chooses ports: preserving them where it can, and thereby mapping
        independently of the destination; or, `fully-random`, one for each destination. It filters
        by address and port in both cases."""
        nat = self.nats[side]
        nat.nft(f"""
            flush chain ip home out
            add rule ip home out oifname "wan" masquerade {how}
            """)

    def block(self, side, rule):
        """A rule about what may not pass a home's gateway, such as `meta l4proto udp`."""
        self.nats[side].nft(f"add rule ip home rules {rule} drop")

    def stop(self):
        for wire in self.wires:
            wire.stop()
        # Processes and namespaces end with the test; interfaces with their namespaces.
        for namespace in (self.public, self.server, *self.nats.values(), *self.hosts.values()):
            command("ip", "netns", "delete", namespace.name, check=False)
