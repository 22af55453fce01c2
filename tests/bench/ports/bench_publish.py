"""Publishing ports: our reconciler against plain nft rules, one DNAT rule a port, in the same run.

Ours also binds a socket for each port, and both IP versions have their maps; the peer writes IPv4
rules and holds nothing. With one transaction each, the CPU of both is compared (user and system):
the time on the clock went from 0.66 to 1.69 of the peer's with what else the machine did. Docker's way is one process a rule and one a port beside it: the second
peer, one `nft` a rule, is still kinder than that.
"""

import asyncio
import resource
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lb.kernel.ports.linux import PortsKernel
from lb.ports.reconciler import Reconciler
from sdd import interpreter
from sdd.linux import namespaces
from sdd.model import ids
from sdd.model.look import NOWHERE
from sdd.state import Put
from tests.bench import report
from tests.unit.lb import states
from tests.unit.lb.ports import towns

COUNT, FIRST = 1000, 20000
SINGLY = 50  # rules by a process each; more would only take longer
CONNECTIONS = 2000
ROUNDS = 3  # the best of each side counts: what is left then is the work, not the neighbours
BRIDGE, GATEWAY, TARGET = towns.FRONT.device, "10.1.0.1", "10.1.0.2"
Found = dict[str, float]


@dataclass(frozen=True)
class Place:
    """A namespace that plays the host, with a bridge to one that serves port 80."""

    host: str
    doors: namespaces.Namespaces

    def nft(self, text: str) -> None:
        command = ["nsenter", f"--net={self.host}", "nft", "-f", "-"]
        subprocess.run(command, input=text, text=True, check=True)


@contextmanager
def place() -> Iterator[Place]:
    # A tmpfs, as /run is: files of the disk would be measured otherwise.
    with tempfile.TemporaryDirectory(prefix="t-ports-bench-", dir="/dev/shm") as root:
        host, target = str(Path(root) / "host"), str(Path(root) / "target")
        outside = namespaces.Namespaces(workers=1)
        for each in (host, target):
            outside.create_sync(each)
        doors = namespaces.Namespaces(host)
        try:
            _wire(host, target)
            with _serving(doors, target):
                yield Place(host, doors)
        finally:
            doors.close()
            for each in (host, target):
                outside.delete_sync(each)
            outside.close()


def _wire(host: str, target: str) -> None:
    script = f"""
    ip link add {BRIDGE} type bridge && ip link set {BRIDGE} up && ip addr add {GATEWAY}/24 dev {BRIDGE}
    ip link add v0 master {BRIDGE} up type veth peer name eth0
    exec 3< {target} && ip link set eth0 netns /proc/self/fd/3
    nsenter --net={target} sh -ec 'ip link set eth0 up; ip addr add {TARGET}/24 dev eth0; ip route add default via {GATEWAY}'
    """
    subprocess.run(["nsenter", f"--net={host}", "sh", "-ec", script], check=True)


@contextmanager
def _serving(doors: namespaces.Namespaces, target: str) -> Iterator[None]:
    listener = doors.run_sync(target, lambda: socket.create_server((TARGET, 80), backlog=1024))
    thread = threading.Thread(target=_accept, args=(listener,), name="server")
    thread.start()
    try:
        yield
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        listener.close()


def _accept(listener: socket.socket) -> None:
    while True:
        try:
            accepted, _ = listener.accept()
        except OSError:
            return
        accepted.close()


def connects(doors: namespaces.Namespaces) -> float:
    """Microseconds a connection to the last port, from the host."""

    def work() -> float:
        before = time.perf_counter()
        for _ in range(CONNECTIONS):
            with socket.create_connection((GATEWAY, FIRST + COUNT - 1), timeout=5) as one:
                one.recv(1)
        return (time.perf_counter() - before) / CONNECTIONS * 1e6

    return doors.run_sync("", work)


async def ours(at: Place) -> Found:
    kernel = PortsKernel(at.doors)
    one = Reconciler(kernel, states.NODE, ready_s=0.02)
    plugs = (states.plug(name, "front", f"{TARGET}/24") for name in ("web", "api"))
    now = states.state(*towns.GROUND, towns.box("web"), towns.box("api"), *plugs)
    revision = 1

    async def to(count: int, more: int = 0) -> float:
        """Milliseconds; those of CPU are kept in `cpu`."""
        nonlocal revision, now
        revision += 1
        ports = (towns.port(FIRST + number) for number in range(count))
        others = (towns.port(FIRST - 1 - number) for number in range(more))
        boxes = [Put(towns.box("api", *others))]
        if count != len(now.sandboxes[ids.SandboxId("web")].ports):
            boxes.append(Put(towns.box("web", *ports)))
        now = now.apply(ids.Revision(revision), boxes)
        before, used = time.perf_counter(), time.process_time()
        outcome = await one.realise(now, NOWHERE)
        assert outcome.failures == (), outcome.failures
        cpu.append((time.process_time() - used) * 1000)
        return (time.perf_counter() - before) * 1000

    cpu: list[float] = []

    await to(1)
    await to(0)
    try:
        found = {"at once": await to(COUNT), "CPU": cpu[-1]}
        found["connection"] = connects(at.doors)
        found["one more"] = min([await to(COUNT, each) for each in range(1, 6)])
        found["removal"] = await to(0)
    finally:
        kernel.close()
    return found


def rule(chain: str, number: int) -> str:
    return f"add rule ip peer {chain} fib daddr type local tcp dport {number} dnat to {TARGET}:80\n"


def rules(number: int) -> str:
    return rule("pre", number) + rule("out", number)


FRAME = """
add table ip peer
add chain ip peer pre { type nat hook prerouting priority -100; }
add chain ip peer out { type nat hook output priority -100; }
"""


def children_s() -> float:
    """Seconds of CPU of all children that ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def peer(at: Place) -> Found:
    def took(work: Callable[[], object]) -> float:
        before = time.perf_counter()
        work()
        return (time.perf_counter() - before) * 1000

    at.nft(FRAME)
    everything = "".join(rules(FIRST + number) for number in range(COUNT))
    used = children_s()
    found = {"at once": took(lambda: at.nft(everything))}
    found["CPU"] = (children_s() - used) * 1000
    found["connection"] = connects(at.doors)
    found["one more"] = min(took(lambda: at.nft(rules(FIRST + COUNT))) for _ in range(5))
    found["removal"] = took(lambda: at.nft("delete table ip peer"))
    at.nft(FRAME)
    singly = sum(took(lambda: at.nft(rule("pre", FIRST))) for _ in range(SINGLY))
    found["singly"] = singly / SINGLY * 2 * COUNT  # two rules a port
    at.nft("delete table ip peer")
    return found


# what → the peer's figure, its name, unit, goal
ROWS = (
    (f"{COUNT} ports published", "at once", "singly", "one nft a rule", "ms", 0.1),
    (f"{COUNT} ports published, 1 s", "at once", "", "the bound", "ms", 1.0),
    (f"{COUNT} ports published, CPU", "CPU", "CPU", "nft -f, one transaction", "ms", 1.0),
    (f"one port more beside {COUNT} of others", "one more", "one more", "nft -f", "ms", 1.0),
    (f"{COUNT} ports withdrawn", "removal", "singly", "one nft a rule", "ms", 0.1),
    (f"a connection to the last of {COUNT}", "connection", "connection", "rules", "us", 1.0),
)
BOUND_MS = 1000.0


def main() -> None:
    interpreter.tune()
    mine: list[Found] = []
    theirs: list[Found] = []
    for _ in range(ROUNDS):
        with place() as at:
            mine.append(asyncio.run(ours(at)))
            theirs.append(peer(at))
    for what, our, their, name, unit, goal in ROWS:
        report.row(
            report.Row(
                what=what,
                ours=min(each[our] for each in mine),
                peer=min(each[their] for each in theirs) if their else BOUND_MS,
                peer_name=name,
                unit=unit,
                goal=goal,
            )
        )


if __name__ == "__main__":
    main()
