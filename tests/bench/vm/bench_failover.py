"""Failover beside keepalived in the lab kernel: from a backend's end to its last new connection.

Ours: a daemon, two members that serve, a client, checks by TCP each second. keepalived: the same
programs in a town of its own, keepalived and IPVS in its client's namespace. Both towns live all the
time and are hit at once, at moments spread evenly over the second. A backend has failed for new
connections when the client's own table of IPVS has it no longer, or with weight 0: that table is
what is looked at, for both. With and without a client that connects all the time; and with a link
that goes down instead of a program. The guest is emulated: only the ratio means something. A round
takes some seconds: hit in turns, with a row at the end of many, this took more than a guest lives.
"""

import abc
import os
import random
import signal
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from tests.bench.lb import flap
from tests.bench.report import Row, row
from tests.e2e.appliance import Appliance
from tests.support import run

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "7"))
# Where one check decides, the time is anything between nothing and an interval: the middle of a few
# would be off by a sixth of an interval, often enough to double a ratio.
MORE = 2
# sdd sets the link up again: in the guest at a pace at which the news of it are not a flood.
FLAP_S = 0.5
DEADLINE_S = 120
MEMBERS = ("one", "two")
WWW = ("busybox", "httpd", "-f", "-p", "80", "-h", "/")
VIRTUAL = "10.98.0.200"
ADDRESSES = {"client": "10.98.0.1", "one": "10.98.0.11", "two": "10.98.0.12"}
KEEPALIVED = """
virtual_server {vip} 80 {{
  delay_loop 1
  lvs_sched rr
  lvs_method NAT
  protocol TCP
{backends}
}}
"""
BACKEND = """
  real_server {address} 80 {{
    TCP_CHECK {{
      connect_timeout 1
      {retry}
    }}
  }}
"""


Found = tuple[list[float], list[float]]  # seconds, ours and theirs


class Town(abc.ABC):
    """Two backends and a client; `virtual` is the address of both."""

    virtual: str
    addresses: dict[str, str]

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._servers: dict[str, subprocess.Popen[bytes]] = {}
        self._table: Path | None = None

    @abc.abstractmethod
    def space(self, name: str) -> str:
        """The file of a namespace."""

    @contextmanager
    def program(self, name: str, *words: str) -> Iterator[subprocess.Popen[bytes]]:
        """It runs in a namespace until the block ends."""
        process = subprocess.Popen(
            ["nsenter", f"--net={self.space(name)}", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)

    def begin(self) -> None:
        """The servers, and what lets the client's table be read without a process each time."""
        for each in MEMBERS:
            self.serve(each)
        holder = self._stack.enter_context(self.program("client", "sleep", "86400"))
        self._table = Path(f"/proc/{holder.pid}/net/ip_vs")

    def serve(self, name: str) -> None:
        server = self._stack.enter_context(_ended(self.space(name)))
        self._servers[name] = server

    def kill(self, name: str) -> None:
        self._servers.pop(name).kill()

    def leads_to(self, name: str) -> bool:
        """Whether new connections may meet it."""
        assert self._table is not None
        wanted = "".join(f"{int(each):02X}" for each in self.addresses[name].split("."))
        for line in self._table.read_text().splitlines():
            words = line.split()
            if words[:1] == ["->"] and words[1].startswith(wanted) and words[3] != "0":
                return True
        return False

    def whole(self) -> None:
        """Returns when both backends are led to again."""
        _wait(lambda: all(self.leads_to(each) for each in MEMBERS), "both are back")


class Ours(Town):
    """A daemon with its sandboxes and one service."""

    def __init__(self, stack: ExitStack, daemon: Appliance) -> None:
        super().__init__(stack)
        self._daemon = daemon
        daemon.sdctl("network", "create", "front")
        for each in ("client", *MEMBERS):
            daemon.sandbox(each, "--network", "front")
        health = ("--health", "tcp:80", "--health-interval", "1s")
        daemon.sdctl("service", "create", "web", "--network", "front", "--scheduler", "rr", *health)
        for each in MEMBERS:
            daemon.sdctl("service", "join", "web", daemon.name(each))
        self.virtual = str(daemon.json("service", "inspect", "web")[0]["VIPs"][0])
        rows = daemon.json("service", "ps", "web")
        self.addresses = {each["Sandbox"].rsplit("-", 1)[1]: each["Addresses"][0] for each in rows}

    def space(self, name: str) -> str:
        return f"/var/run/netns/{self._daemon.name(name)}"

    def first_failure_counts(self) -> None:
        self._daemon.sdctl("service", "update", "web", "--health-fall", "1")


class Theirs(Town):
    """The same by `ip`, balanced by keepalived."""

    virtual = VIRTUAL
    addresses = ADDRESSES

    def __init__(self, stack: ExitStack) -> None:
        super().__init__(stack)
        self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for each in ("switch", *ADDRESSES):
            run("ip", "netns", "add", f"t-fail-{each}")
            stack.callback(run, "ip", "netns", "del", f"t-fail-{each}")
            run("ip", "-n", f"t-fail-{each}", "link", "set", "lo", "up")
        run("ip", "-n", "t-fail-switch", "link", "add", "br0", "up", "type", "bridge")
        for name, address in ADDRESSES.items():
            space = f"t-fail-{name}"
            peer = ("peer", "name", "eth0", "netns", space)
            run("ip", "-n", "t-fail-switch", "link", "add", name, "type", "veth", *peer)
            run("ip", "-n", "t-fail-switch", "link", "set", name, "master", "br0", "up")
            run("ip", "-n", space, "addr", "add", f"{address}/24", "dev", "eth0")
            run("ip", "-n", space, "link", "set", "eth0", "up")

    def space(self, name: str) -> str:
        return f"/run/netns/t-fail-{name}"

    @contextmanager
    def kept(self, retry: str) -> Iterator[None]:
        """keepalived with the line `retry` in each check: "" is its own default."""
        config = self._folder / "keepalived.conf"
        backends = "".join(BACKEND.format(address=ADDRESSES[each], retry=retry) for each in MEMBERS)
        config.write_text(KEEPALIVED.format(vip=VIRTUAL, backends=backends))
        words = ["keepalived", "--dont-fork", "--check", "--use-file", str(config)]
        words += [f"--pid={self._folder}/pid", f"--checkers_pid={self._folder}/checkers"]
        with self.program("client", *words):
            self.whole()
            yield


@contextmanager
def _ended(space: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        ["nsenter", f"--net={space}", *WWW],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(20)


def _wait(condition: Callable[[], object], why: str) -> float:
    """Seconds until it holds."""
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < DEADLINE_S, f"not within {DEADLINE_S} s: {why}"
        time.sleep(0.01)  # how finely time is measured; more often, it would take a processor
    return time.monotonic() - begun


@contextmanager
def killed(town: Town, name: str) -> Iterator[Callable[[], None]]:
    """Gives what ends a backend's program; there is a new one afterwards."""
    yield lambda: town.kill(name)
    town.serve(name)


@contextmanager
def unplugged(town: Town, name: str) -> Iterator[Callable[[], None]]:
    """Gives what sets its link down, again and again, for a daemon of ours sets it up again."""
    with flap.ready(town.space(name), FLAP_S) as pull:
        yield pull


Hit = Callable[[Town, str], AbstractContextManager[Callable[[], None]]]


def measured(ours: Town, theirs: Town, hit: Hit, rounds: int = ROUNDS) -> Found:
    """Seconds from the hit until nothing new is led to the backend, of each round.

    A round begins when all is well, and each at another moment of the checks' second.
    """
    found: Found = ([], [])
    for number in range(rounds):
        for town in (ours, theirs):
            town.whole()
        time.sleep(1 + (number + random.random()) / rounds)  # the moment, which nothing tells
        times = _round((ours, theirs), hit, MEMBERS[number % 2])
        for those, took in zip(found, times, strict=True):
            those.append(took)
    for town in (ours, theirs):
        town.whole()
    return found


def _round(towns: Sequence[Town], hit: Hit, name: str) -> Sequence[float]:
    with ExitStack() as stack:
        hits = [stack.enter_context(hit(town, name)) for town in towns]
        begun, took = [0.0] * len(towns), dict[int, float]()
        for at, strike in enumerate(hits):
            begun[at] = time.monotonic()
            strike()

        def are_out() -> bool:
            for at, town in enumerate(towns):
                if at not in took and not town.leads_to(name):
                    took[at] = time.monotonic() - begun[at]
            return len(took) == len(towns)

        _wait(are_out, f"nothing is led to {name}")
    return [took[at] for at in range(len(towns))]


@contextmanager
def busy(*towns: Town) -> Iterator[None]:
    """A client in each that connects to the virtual address all the time."""
    with ExitStack() as stack:
        for town in towns:
            loop = f"while :; do busybox nc -w1 {town.virtual} 80; sleep 0.02; done"
            stack.enter_context(town.program("client", "sh", "-c", loop))
        yield


def told(what: str, found: Found) -> None:
    for each in found:
        print(" ", " ".join(f"{took:.2f}" for took in sorted(each)), flush=True)
    ours, peer = map(statistics.median, found)
    row(Row(what=what, ours=ours, peer=peer, peer_name="keepalived", unit="s", goal=1.0))


def main() -> None:
    """Prints the rows."""
    random.seed(5)
    with ExitStack() as stack:
        daemon = Appliance("failover", "--metrics-addr", "off")
        stack.callback(daemon.close)
        daemon.start(deadline_s=600)
        ours, theirs = Ours(stack, daemon), Theirs(stack)
        ours.begin()
        theirs.begin()
        with theirs.kept(""):
            told("a backend killed, 1 s interval, usual rules", measured(ours, theirs, killed))
            with busy(ours, theirs):
                found = measured(ours, theirs, killed)
            told("the same while a client connects", found)
            told("a backend's link down", measured(ours, theirs, unplugged))
        ours.first_failure_counts()
        with theirs.kept("retry 0"):
            found = measured(ours, theirs, killed, MORE * ROUNDS)
            told("a backend killed, the first failure counts", found)


if __name__ == "__main__":
    main()
