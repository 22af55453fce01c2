"""A small town of namespaces for balancing: a switch, a client, backends that say who they are.

Servers are sockets opened inside the backends and served by one thread of the test process, so a
connection costs no process. Everything is in namespaces named `t-lb-…` and gone after `close`.
"""

import contextlib
import ipaddress
import itertools
import re
import selectors
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lb import table
from sdd.linux import namespaces
from sdd.model.network import IPAddress

VIP = ipaddress.ip_address("10.77.0.200")
VIP6 = ipaddress.ip_address("fd77::200")
PORTS = (53, 80)
PATIENCE_S = 30.0  # what comes at all comes much sooner, but for a machine that is busy
SOURCES = range(21_000, 32_768)  # below the ports that the kernel hands out (`ip_local_port_range`)


@dataclass(frozen=True)
class Answer:
    """Who answered, and the client address it saw."""

    who: str
    peer: str


class Town:
    """`client` and `b1`…`bN` on one switch; servers on all backends and both protocols."""

    def __init__(self, tag: str, backends: int = 3) -> None:
        self.tag = tag
        self.doors = namespaces.Namespaces()
        self.backends = tuple(f"b{number}" for number in range(1, backends + 1))
        self._selector = selectors.DefaultSelector()
        self._servers: dict[str, list[socket.socket]] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._sources = itertools.cycle(SOURCES)
        self._thread = threading.Thread(target=self._serve, name="town", daemon=True)
        self._build()
        for name in self.backends:
            self.start(name)
        self._thread.start()

    def close(self) -> None:
        self._over.set()
        self._thread.join()
        for sockets in self._servers.values():
            for each in sockets:
                each.close()
        self._selector.close()
        self.doors.close()
        for name in ("switch", "client", *self.backends):
            sh("ip", "netns", "del", self.netns(name), check=False)

    # --- places -----------------------------------------------------------------------------

    def netns(self, name: str) -> str:
        return f"t-lb-{self.tag}-{name}"

    def path(self, name: str) -> str:
        return f"/run/netns/{self.netns(name)}"

    def number(self, name: str) -> int:
        return 100 if name == "client" else int(name[1:])

    def address(self, name: str, family: int = 4) -> IPAddress:
        number = self.number(name)
        return ipaddress.ip_address(f"10.77.0.{number}" if family == 4 else f"fd77::{number:x}")

    def place(self, name: str = "client") -> table.Place:
        return table.Place(
            netns=self.path(name),
            addresses=(
                ipaddress.ip_interface(f"{self.address(name)}/24"),
                ipaddress.ip_interface(f"{self.address(name, 6)}/64"),
            ),
        )

    def backend(self, name: str, weight: int = 1, family: int = 4) -> table.Backend:
        return table.Backend(address=self.address(name, family), weight=weight)

    # --- traffic ----------------------------------------------------------------------------

    def opened(
        self, name: str, kind: socket.SocketKind, family: int = 4, port: int = 0
    ) -> socket.socket:
        """A client socket of `name`, bound to source port `port` unless it is 0."""
        where = socket.AF_INET if family == 4 else socket.AF_INET6
        opened = self.doors.run_sync(self.path(name), lambda: socket.socket(where, kind))
        opened.settimeout(PATIENCE_S)
        if not port:
            return opened
        try:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.bind(("", port))
        except OSError:
            opened.close()
            raise
        return opened

    def connect(self, name: str = "client", to: IPAddress = VIP, port: int = 80) -> socket.socket:
        opened = self.opened(name, socket.SOCK_STREAM, to.version)
        try:
            opened.connect((str(to), port))
        except OSError:
            opened.close()
            raise
        return opened

    def ask(self, name: str = "client", to: IPAddress = VIP, port: int = 80) -> Answer:
        """One TCP connection from `name`."""
        with contextlib.closing(self.connect(name, to, port)) as opened:
            return say(opened)

    def ask_udp(self, name: str = "client", to: IPAddress = VIP, port: int = 53) -> Answer:
        """One datagram from a source port that none had before: no flow is taken for another."""
        source = next(self._sources)
        with contextlib.closing(self.opened(name, socket.SOCK_DGRAM, to.version, source)) as opened:
            opened.connect((str(to), port))
            return say(opened)

    def ping(self, name: str = "client", to: IPAddress = VIP) -> bool:
        where = f"--net={self.path(name)}"
        return not sh("nsenter", where, "ping", "-c1", "-W30", str(to), check=False).returncode

    def nft(self, name: str, *command: str) -> str:
        return sh("nsenter", f"--net={self.path(name)}", "nft", *command).stdout

    def edit(self, name: str, chain: str, at: int, rule: str) -> None:
        """As who edits by hand: `nft -a list`, then `rule` in a rule's place, with its comment."""
        listed = self.nft(name, "-a", "list", "chain", "inet", "sdd-lb", chain)
        comment, handle = re.findall(r'comment "([^"]*)" # handle (\d+)', listed)[at]
        where = f"inet sdd-lb {chain} handle {handle}"
        self.nft(name, f'replace rule {where} {rule} comment "{comment}"')

    def inside(self, name: str, *command: str) -> str:
        return sh("nsenter", f"--net={self.path(name)}", *command).stdout

    # --- servers ----------------------------------------------------------------------------

    def start(self, name: str) -> None:
        """`name` serves both ports of both protocols and both families."""
        sockets = self.doors.run_sync(self.path(name), lambda: list(_listeners()))
        with self._lock:
            self._servers[name] = sockets
            for each in sockets:
                self._selector.register(each, selectors.EVENT_READ, name)

    def stop(self, name: str) -> None:
        """The server of `name` dies with all its connections."""
        with self._lock:
            for key in list(self._selector.get_map().values()):
                if key.data == name:
                    self._selector.unregister(key.fileobj)
                    assert isinstance(key.fileobj, socket.socket)
                    key.fileobj.close()
            self._servers.pop(name, None)

    def _serve(self) -> None:
        while not self._over.is_set():
            ready = self._selector.select(0.02)
            with self._lock:
                for key, _ in ready:
                    assert isinstance(key.fileobj, socket.socket)
                    if key.fileobj.fileno() >= 0:
                        self._answer(key.data, key.fileobj)

    def _answer(self, name: str, one: socket.socket) -> None:
        if one.type == socket.SOCK_DGRAM:
            data, peer = one.recvfrom(2048)
            one.sendto(f"{name} {plain(peer[0])}".encode(), peer)
        elif one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            accepted, _ = one.accept()
            self._servers[name].append(accepted)
            self._selector.register(accepted, selectors.EVENT_READ, name)
        else:
            try:
                data = one.recv(2048)
                if data:
                    one.sendall(f"{name} {plain(one.getpeername()[0])}".encode())
                    return
            except OSError:
                pass
            self._selector.unregister(one)
            self._servers[name].remove(one)
            one.close()

    # --- building ---------------------------------------------------------------------------

    def _build(self) -> None:
        names = ("client", *self.backends)
        for name in ("switch", *names):
            sh("ip", "netns", "del", self.netns(name), check=False)
            sh("ip", "netns", "add", self.netns(name))
        lines = ["link add br0 type bridge", "link set br0 up"]
        for name in names:
            peer = f"peer name eth0 netns {self.netns(name)}"
            lines += [f"link add {name} type veth {peer}", f"link set {name} master br0 up"]
        batch(self.netns("switch"), lines)
        for name in names:
            lines = [
                "link set lo up",
                "link set eth0 up",
                f"addr add {self.address(name)}/24 dev eth0",
            ]
            lines += [f"addr add {self.address(name, 6)}/64 dev eth0 nodad"]
            batch(self.netns(name), lines)
            self.doors.run_sync(self.path(name), _quiet_arp)


def say(opened: socket.socket, words: bytes = b"who?") -> Answer:
    """Send once, read the answer."""
    opened.sendall(words)
    text = opened.recv(2048).decode()
    if not text:
        raise ConnectionResetError("the peer closed")
    return Answer(*text.split())


def sent_again(one: socket.socket) -> int:
    """How often the kernel had to send: tcpi_total_retrans of struct tcp_info (linux/tcp.h)."""
    info = one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    return int.from_bytes(info[100:104], sys.byteorder)


def interfaces(*texts: str) -> tuple[ipaddress.IPv4Interface | ipaddress.IPv6Interface, ...]:
    return tuple(map(ipaddress.ip_interface, texts))


def plain(address: str) -> str:
    return address.removeprefix("::ffff:")


def _quiet_arp() -> None:
    # What netns sets in every sandbox: nobody answers for an address that is not on the link.
    Path("/proc/sys/net/ipv4/conf/all/arp_ignore").write_text("1")


def _listeners() -> Iterator[socket.socket]:
    for port in PORTS:
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            opened = socket.socket(socket.AF_INET6, kind)
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.bind(("::", port))
            if kind == socket.SOCK_STREAM:
                opened.listen(256)
            yield opened


def batch(netns: str, lines: list[str]) -> None:
    subprocess.run(
        ["ip", "-n", netns, "-batch", "-"],
        input="\n".join(lines),
        text=True,
        check=True,
        timeout=60,
    )


def sh(*command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert not (check and done.returncode), f"{command}: {done.stdout}{done.stderr}"
    return done
