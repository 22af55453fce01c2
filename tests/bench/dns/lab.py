"""A scratch namespace, servers in it, and what a query costs the server: CPU time from /proc.

Our worker is the real process: it gets sockets that were opened inside the namespace and one
table, as sdd would send them. Peers get the same names. dnsperf loads one after the other.
"""

import contextlib
import os
import random
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from resolver import protocol, wire
from sdd.linux import namespaces
from tests.bench import report

HOST = "127.0.0.11"
OURS = "sdd-dns"
ROUNDS = 3
SECONDS = 3
NOTHING: Mapping[str, str] = MappingProxyType({})
TICKS = os.sysconf("SC_CLK_TCK")
_DONE = re.compile(r"Queries completed:\s+(\d+)")
_LOST = re.compile(r"Queries lost:\s+(\d+)")
_LATENCY = re.compile(r"Average Latency \(s\):\s+([0-9.]+)")


@dataclass(frozen=True, slots=True)
class Server:
    """A process that answers on `port` inside the namespace."""

    name: str
    pid: int
    port: int


@dataclass(frozen=True, slots=True)
class Cost:
    """What one load showed."""

    queries: int
    lost: int
    cpu_s: float
    latency_s: float

    @property
    def per_cpu_s(self) -> float:
        """Queries per second of the server's CPU."""
        return self.queries / self.cpu_s


@contextlib.contextmanager
def scratch(tag: str) -> Iterator[str]:
    """A namespace with only a loopback; its name."""
    name = f"t-resolver-{tag}-{os.getpid()}"
    run("ip", "netns", "add", name)
    try:
        run("ip", "-n", name, "link", "set", "lo", "up")
        yield name
    finally:
        run("ip", "netns", "del", name)


def cpu_s(pid: int) -> float:
    """User and system time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def load(space: str, server: Server, queries: Path, *, seconds: int = 5, clients: int = 8) -> Cost:
    """dnsperf against `server`; its own CPU is not counted."""
    command = ["ip", "netns", "exec", space, "dnsperf", "-s", HOST, "-p", str(server.port)]
    command += ["-d", str(queries), "-c", str(clients), "-T", "1", "-q", "100", "-l", str(seconds)]
    before = cpu_s(server.pid)
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    spent = cpu_s(server.pid) - before
    done, lost, latency = (pattern.search(out) for pattern in (_DONE, _LOST, _LATENCY))
    assert done, out
    assert lost, out
    assert latency, out
    return Cost(int(done[1]), int(lost[1]), spent, float(latency[1]))


def answers(space: str, server: Server, name: str) -> bool:
    """Whether the server answers `name`."""
    command = ["ip", "netns", "exec", space, "dig", "+short", "+tries=1", "+time=1"]
    command += [f"@{HOST}", "-p", str(server.port), name]
    return bool(subprocess.run(command, capture_output=True, check=False).stdout.strip())


def ready(space: str, server: Server, name: str) -> Server:
    """`server` once it answers."""
    end = time.monotonic() + 10
    while not answers(space, server, name):
        assert time.monotonic() < end, f"{server.name} does not answer {name}"
        time.sleep(0.05)
    return server


@contextlib.contextmanager
def worker(
    space: str,
    names: Mapping[str, str],
    upstreams: tuple[protocol.Upstream, ...] = (),
) -> Iterator[Server]:
    """Our worker, serving `names` (name → IPv4 address) in the namespace."""
    doors = namespaces.Namespaces()
    udp, tcp = doors.run_sync(f"/run/netns/{space}", _listeners)
    with tempfile.TemporaryDirectory(dir="/run") as folder:
        Path(folder).chmod(0o755)
        door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        door.bind(f"{folder}/dns.sock")
        door.listen(4)
        process = subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{space}", sys.executable, "-m", "resolver.worker"],
            preexec_fn=lambda: os.dup2(door.fileno(), 3),  # noqa: PLW1509 - one thread here
            pass_fds=(3, door.fileno()),
        )
        try:
            link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            link.connect(f"{folder}/dns.sock")
            protocol.decode_from_worker(link.recv(protocol.MOST_BYTES))
            _teach(link, udp, tcp, names, upstreams)
            yield Server(OURS, process.pid, udp.getsockname()[1])
        finally:
            process.terminate()
            process.wait(10)
            doors.close()


def _listeners() -> tuple[socket.socket, socket.socket]:
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    for each in (udp, tcp):
        each.bind((HOST, 0))
    tcp.listen(64)
    return udp, tcp


def _teach(
    link: socket.socket,
    udp: socket.socket,
    tcp: socket.socket,
    names: Mapping[str, str],
    upstreams: tuple[protocol.Upstream, ...],
) -> None:
    table: protocol.Names = {
        wire.to_wire(name): {wire.A: [wire.record(wire.A, 5, socket.inet_aton(address))]}
        for name, address in names.items()
    }
    listening = protocol.Listening(0, udp.getsockname()[1], tcp.getsockname()[1])
    view = protocol.View("box", "v", ["net"], [], {}, list(upstreams))
    link.send(protocol.encode(protocol.TablePart("net", table)))
    link.send(protocol.encode(protocol.TableEnd("net", "t")))
    link.send(protocol.encode(view))
    message = protocol.encode(protocol.Listen("box", listening))
    socket.send_fds(link, [message], [udp.fileno(), tcp.fileno()])
    link.send(protocol.encode(protocol.Apply(1)))
    applied = protocol.decode_from_worker(link.recv(protocol.MOST_BYTES))
    assert isinstance(applied, protocol.Applied), applied
    assert not applied.problems, applied


@contextlib.contextmanager
def peer(space: str, name: str, port: int, command: list[str], asked: str) -> Iterator[Server]:
    """Another server, started inside the namespace; `asked` is a name that it knows."""
    process = subprocess.Popen(
        ["nsenter", f"--net=/run/netns/{space}", *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield ready(space, Server(name, process.pid, port), asked)
    finally:
        process.terminate()
        process.wait(10)


def run(*command: str) -> None:
    """A command that must succeed."""
    subprocess.run(command, check=True, capture_output=True)


@contextlib.contextmanager
def dnsmasq(
    space: str, folder: Path, asked: str, names: Mapping[str, str] = NOTHING, upstream: int = 0
) -> Iterator[Server]:
    """Debian's dnsmasq with `names` as host records; other names go to the port `upstream`."""
    config = folder / "dnsmasq.conf"
    lines = ["no-resolv", "no-hosts", "local-ttl=5", "bind-interfaces", f"listen-address={HOST}"]
    lines += ["port=5311", "keep-in-foreground", "user=nobody", "pid-file=", "cache-size=10000"]
    lines += [f"host-record={name},{address}" for name, address in names.items()]
    lines += [f"server={HOST}#{upstream}"] if upstream else []
    config.write_text("\n".join(lines) + "\n")
    with peer(space, "dnsmasq", 5311, ["dnsmasq", "-C", str(config)], asked) as one:
        yield one


@contextlib.contextmanager
def unbound(
    space: str,
    folder: Path,
    asked: str,
    names: Mapping[str, str] = NOTHING,
    *,
    wild: str = "",
    upstream: int = 0,
    port: int = 5312,
    ttl: int = 5,
) -> Iterator[Server]:
    """Debian's unbound, one thread, with `names` as local data, else forwarding to `upstream`.

    Everything below `wild` is one address that may not be remembered.
    """
    config = folder / f"unbound-{port}.conf"
    lines = ["server:", f"  interface: {HOST}@{port}", "  num-threads: 1", "  do-daemonize: no"]
    lines += ['  username: ""', '  chroot: ""', '  pidfile: ""', "  use-syslog: no"]
    lines += ["  access-control: 127.0.0.0/8 allow", "  do-ip6: no", "  module-config: iterator"]
    lines += ["  do-not-query-localhost: no"]
    for name, address in names.items():
        lines += [f'  local-zone: "{name}." static']
        lines += [f'  local-data: "{name}. {ttl} IN A {address}"']
    if wild:
        lines += [f'  local-zone: "{wild}." redirect', f'  local-data: "{wild}. 0 IN A 192.0.2.1"']
    if upstream:
        lines += ["forward-zone:", '  name: "."', f"  forward-addr: {HOST}@{upstream}"]
    config.write_text("\n".join(lines) + "\n")
    with peer(space, "unbound", port, ["unbound", "-d", "-c", str(config)], asked) as one:
        yield one


def compare(
    what: str, space: str, servers: Sequence[Server], queries: Path, goals: Mapping[str, float]
) -> None:
    """Rows for ours against each peer: the median of rounds in which all take turns."""
    rates: dict[str, list[float]] = {each.name: [] for each in servers}
    for _ in range(ROUNDS):
        for each in servers:
            rates[each.name].append(load(space, each, queries, seconds=SECONDS).per_cpu_s)
    ours = statistics.median(rates.pop(OURS))
    for name, found in rates.items():
        report.row(
            report.Row(
                what=what,
                ours=ours,
                peer=statistics.median(found),
                peer_name=name,
                unit="q/s",
                goal=goals[name],
                better=report.Better.HIGHER,
            )
        )


def shuffled(names: Iterable[str], path: Path, times: int = 20) -> Path:
    """A file of A queries for `names` in random order, each `times` times."""
    asked = [*names] * times
    random.Random(5).shuffle(asked)
    path.write_text("".join(f"{name} A\n" for name in asked))
    return path
