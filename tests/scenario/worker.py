"""A real DNS worker process on loopback, and the words to make it serve.

It goes by a clock of ours (`tests.standing`): who answers it on a machine that stood for seconds
was not slow, and while the clock is held no wait is over. Whoever waits here counts looks.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import dns.exception
import dns.flags
import dns.message
import dns.query

from resolver import parts, protocol
from resolver.control import difference
from resolver.message import wire
from resolver.space import outward
from tests import standing

HANGS_S = standing.HANGS_S
LOOK_S = 0.1
LOOKS = (50, 100, 200)  # for an answer over UDP, before a stub asks again
ROOT = Path(__file__).parents[2]


class Session:
    """The conversation of one sdd with the worker; `clock` is what that goes by."""

    def __init__(self, path: Path, clock: standing.Seen) -> None:
        self.clock = clock
        self.link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.link.settimeout(HANGS_S)
        self.link.connect(str(path))
        hello = self.hear()
        assert isinstance(hello, protocol.Inventory)
        self.inventory = hello

    def hear(self) -> protocol.FromWorker:
        """One whole answer; each of its parts fits."""
        heard: list[protocol.FromWorker] = []
        while not heard or not parts.is_last(heard[-1]):
            data, _, flags, _ = self.link.recvmsg(protocol.MOST_BYTES)
            assert not flags & socket.MSG_TRUNC
            heard.append(protocol.decode_from_worker(data))
        return parts.joined(heard)

    def say(self, message: protocol.Message, *links: socket.socket) -> None:
        socket.send_fds(self.link, [protocol.encode(message)], [each.fileno() for each in links])

    def notes(self) -> list[str]:
        """What the worker has told people since this was asked before."""
        self.say(protocol.Ping())
        pong = self.hear()
        assert isinstance(pong, protocol.Pong)
        return pong.notes

    def apply(self, revision: int = 1) -> Mapping[str, str]:
        self.say(protocol.Apply(revision))
        applied = self.hear()
        assert isinstance(applied, protocol.Applied)
        assert applied.revision == revision
        return applied.problems

    def serve(
        self,
        sandbox: str = "s",
        names: protocol.Names | None = None,
        upstreams: list[protocol.Upstream] | None = None,
        inside: int = 0,
        *,
        rate: int = 0,
        inode: int = 7,
    ) -> tuple[int, int]:
        """Serves `names` to a sandbox on fresh loopback ports, which it returns (UDP, TCP)."""
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        for each in (udp, tcp):
            each.bind(("127.0.0.1", 0))
        ports = udp.getsockname()[1], tcp.getsockname()[1]
        if names is not None:
            self.table("net", names)
        self.view(sandbox, ["net"] if names is not None else [], upstreams, rate)
        self.say(protocol.Listen(sandbox, protocol.Listening(inode, *ports)), udp, tcp)
        for each in (udp, tcp):
            each.close()
        if inside:
            self.lend(sandbox, inside, inode=inode)
        return ports

    def lend(
        self,
        sandbox: str = "s",
        count: int = 2,
        family: protocol.Family = protocol.Family.IPV4,
        *,
        inode: int = 7,
    ) -> None:
        """So many sockets of each kind towards upstreams of that family."""
        domain = outward.DOMAINS[family]
        links = [socket.socket(domain, kind) for kind in outward.KINDS for _ in range(count)]
        lend = protocol.Lend(sandbox, family, protocol.Outward(inode, count, count))
        self.say(lend, *links)
        for each in links:
            each.close()

    def table(self, name: str, names: protocol.Names, digest: str = "d") -> None:
        for part in difference.table_parts(name, names):
            self.say(part)
        self.say(protocol.TableEnd(name, digest))

    def view(
        self,
        sandbox: str,
        tables: list[str],
        upstreams: list[protocol.Upstream] | None = None,
        rate: int = 0,
        *,
        sealed: bool = False,
    ) -> None:
        self.say(
            protocol.View(
                sandbox=sandbox,
                digest="v",
                tables=tables,
                suffixes=[],
                own={},
                upstreams=upstreams or [],
                network=tables[0] if tables else "",
                rate=rate,
                sealed=sealed,
            )
        )


class Worker:
    """The process; `path` is its control socket."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.path = folder / "dns.sock"
        self.clock = standing.Seen(folder / "clock")
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listening.bind(str(self.path))
        listening.listen(4)
        self.errors = (folder / "stderr").open("w+")
        self.process = subprocess.Popen(
            [sys.executable, "-c", LAUNCH, str(listening.fileno()), str(self.clock.path), *options],
            pass_fds=(listening.fileno(),),
            stderr=self.errors,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        listening.close()
        self.sessions: list[Session] = []

    def session(self) -> Session:
        """A new conversation, which ends with the worker at the latest."""
        self.sessions.append(Session(self.path, self.clock))
        return self.sessions[-1]

    def stop(self) -> str:
        """Ends it as systemd would; what it said meanwhile."""
        for session in self.sessions:
            session.link.close()
        self.process.send_signal(signal.SIGTERM)
        return self.ended()

    def ended(self) -> str:
        """What it said until it ended by itself."""
        code = self.process.wait(HANGS_S)
        self.clock.end()
        assert code == 0
        self.errors.seek(0)
        said = self.errors.read()
        self.errors.close()
        return said


LAUNCH = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
program = ["-m", "tests.standing", sys.argv[2], "resolver.worker", "--user", "no-such-user"]
os.execv(sys.executable, [sys.executable, *program, *sys.argv[3:]])
"""


@contextmanager
def running(folder: Path) -> Iterator[Worker]:
    """A worker that must end silently: nothing that it is told or sent is a defect."""
    worker = Worker(folder)
    try:
        yield worker
    except BaseException:
        worker.process.kill()
        worker.process.wait()
        worker.clock.end()
        raise
    said = worker.stop()
    assert said == "", said


def address(kind: int, *texts: str) -> list[bytes]:
    family = socket.AF_INET if kind == wire.A else socket.AF_INET6
    return [wire.record(kind, 5, socket.inet_pton(family, each)) for each in texts]


def ask(
    ports: tuple[int, int], name: str, kind: str = "A", *, tcp: bool = False
) -> dns.message.Message:
    """One question; over UDP asked again as a stub would, because a full queue drops datagrams."""
    query = dns.message.make_query(name, kind)
    if tcp:
        return over_tcp(query, ports)
    for looks in LOOKS:
        with contextlib.suppress(TimeoutError):
            return over_udp(query, ports, looks)
    raise AssertionError(f"no answer for {name} {kind}")


def over_tcp(query: dns.message.Message, ports: tuple[int, int]) -> dns.message.Message:
    """What is said to `query`, which is asked once."""
    return dns.query.tcp(query, "127.0.0.1", HANGS_S, ports[1])


def over_udp(
    query: dns.message.Message, ports: tuple[int, int], looks: int = max(LOOKS)
) -> dns.message.Message:
    """The same; raises TimeoutError after so many looks of `LOOK_S`."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.connect(("127.0.0.1", ports[0]))
        link.settimeout(LOOK_S)
        link.send(query.to_wire())
        while True:
            looks -= 1
            try:
                reply = dns.message.from_wire(link.recv(65535))
            except TimeoutError:
                if looks <= 0:
                    raise
            else:
                assert query.is_response(reply), f"{query}\nis answered by\n{reply}"
                return reply


def both_transports() -> tuple[socket.socket, socket.socket]:
    """A UDP and a listening TCP socket of one number, which somebody else may hold for TCP."""
    for _ in range(100):
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", 0))
        try:
            return udp, socket.create_server(udp.getsockname())
        except OSError:
            udp.close()
    raise AssertionError("no port is free for both transports")


class Upstream:
    """A scripted server on loopback, UDP and TCP; `heard` are the questions that reached it.

    `names` are those that were asked for over UDP: the root is a question of the resolver's own.
    """

    def __init__(self) -> None:
        self.heard: list[tuple[str, int]] = []
        self.names: list[str] = []
        self.held: list[socket.socket] = []
        self.holds_tcp = False
        self.udp, self.tcp = both_transports()
        self.port = self.udp.getsockname()[1]
        for work in (self._udp, self._tcp):
            threading.Thread(target=work, daemon=True).start()

    def reply(self, query: dns.message.Message, *, stream: bool) -> bytes | None:
        """What tests override."""
        raise NotImplementedError

    def close(self) -> None:
        for link in (self.udp, self.tcp, *self.held):
            link.close()

    def refuse_tcp(self) -> None:
        """Nobody is at the port for TCP any more."""
        self.tcp.shutdown(socket.SHUT_RDWR)  # wakes who accepts

    def hang_tcp(self) -> None:
        """Connections are made and nothing ever comes."""
        self.holds_tcp = True

    def _udp(self) -> None:
        with contextlib.suppress(OSError):  # closed, maybe between a question and its answer
            while True:
                data, peer = self.udp.recvfrom(4096)
                try:
                    query = dns.message.from_wire(data)
                except dns.exception.DNSException:
                    continue  # for whoever had the port before
                if query.flags & dns.flags.QR:
                    continue  # the same: an answer that came late
                self.heard.append(("udp", peer[1]))
                self.names.append(query.question[0].name.to_text().lower())
                if reply := self.reply(query, stream=False):
                    self.udp.sendto(reply, peer)

    def _tcp(self) -> None:
        while True:
            try:
                link, peer = self.tcp.accept()
            except OSError:
                return
            if self.holds_tcp:
                self.held.append(link)
                continue
            with link, contextlib.suppress(OSError):  # who asked may be gone
                self.heard.append(("tcp", peer[1]))
                data = link.recv(4096)
                if reply := self.reply(dns.message.from_wire(data[2:]), stream=True):
                    link.sendall(len(reply).to_bytes(2, "big") + reply)
