"""Making and removing sandboxes' kernel objects: our reconciler against `ip -batch`, same run.

Both make a namespace, a veth pair to a bridge with the peer in the namespace, MAC, address, link
up, loopback up and a default route, in a scratch namespace that plays the host. Ours also reads
what is there, keeps the fence table and marks everything.
"""

import asyncio
import itertools
import os
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from netns import reconciler
from netns.kernel import linux
from sdd import interpreter, state
from sdd.linux import lookups, namespaces
from sdd.model import ids, network
from sdd.model.look import NOWHERE
from tests import netns_states
from tests.bench import report
from tests.netns_states import NODE, box, end, net
from tests.support import eventually

MEMORY = "/dev/shm"  # as /run is: files of the disk would be measured otherwise
COUNT = 100
FRONT = net("front", "10.70.0.0/16")
BRIDGE = FRONT.device
GATEWAY = "10.70.0.1"


def objects(root: Path) -> list[state.Object]:
    """A sandbox and its endpoint, COUNT times."""
    made: list[state.Object] = []
    for number in range(COUNT):
        one = box(f"s{number}", str(root / "exec" / "netns" / f"s{number}"))
        made += [one, end(FRONT, one, address(number))]
    return made


def address(number: int) -> str:
    return f"10.70.{number // 200 + 1}.{number % 200 + 2}"


Found = dict[str, list[float]]


async def ours(host: str, root: Path) -> Found:
    """Milliseconds an endpoint: each of one at a time; of all at once; of the removal of all."""
    lookups.ALL.trust(root / "exec" / "netns")  # as the daemon does
    doors = namespaces.Namespaces(host)
    kernel = linux.LinuxKernel(doors, root / "exec", root / "linked")
    one = reconciler.Reconciler(kernel, NODE)
    now, things = state.EMPTY, objects(root)
    coming = [state.Put(each) for each in things]
    leaving = [state.Gone(type(each), state.key_of(each)) for each in things]

    async def to(*changes: state.Change) -> float:
        nonlocal now
        now = now.apply(ids.Revision(now.revision + 1), changes)
        before = time.perf_counter()
        outcome = await one.realise(now, NOWHERE)
        assert outcome.failures == (), outcome.failures
        return time.perf_counter() - before

    await to(state.Put(FRONT))
    singly = [await to(*coming[place : place + 2]) for place in range(0, COUNT * 2, 2)]
    removal = await to(*leaving)
    settle(host, root)
    at_once = await to(*coming)
    await to(*leaving, state.Gone(network.Network, FRONT.id))
    doors.close()
    return milliseconds(singly, removal, at_once)


SETTLE = "settling"


def settle(host: str, root: Path) -> None:
    """Until the kernel has cleared away the namespaces that are gone, which it does in order.

    It takes a second for a hundred, holds rtnl meanwhile, and belongs to whoever removed them.
    """
    doors = namespaces.Namespaces(host, workers=1)
    path = str(root / SETTLE)
    doors.create_sync(path)
    pair = ("ip", "link", "add", SETTLE, "type", "veth", "peer", "name", SETTLE, "netns", path)
    subprocess.run(["nsenter", f"--net={host}", *pair], check=True)
    doors.delete_sync(path)

    def is_there() -> bool:
        return SETTLE in [name for _, name in socket.if_nameindex()]

    eventually(lambda: not doors.run_sync("", is_there), 30, "the kernel has cleared away")
    doors.close()


SETTLED = f"""
ip netns add {SETTLE}; ip link add {SETTLE} type veth peer name {SETTLE} netns {SETTLE}
ip netns del {SETTLE}; while ip link show {SETTLE} >/dev/null 2>&1; do sleep 0.05; done
"""


def milliseconds(singly: list[float], removal: float, at_once: float) -> Found:
    """Of seconds: each single one's own, the others for one of COUNT."""
    return {
        "one at a time": [each * 1000 for each in singly],
        "removal": [removal / COUNT * 1000],
        "at once": [at_once / COUNT * 1000],
    }


def host_line(number: int) -> str:
    mac = netns_states.identity(str(number))[:8]
    inner = f"name eth0 netns s{number} address 02:00:{mac[:2]}:{mac[2:4]}:{mac[4:6]}:{mac[6:8]}"
    return f"link add v{number} master {BRIDGE} up type veth peer {inner}"


def inside_lines(number: int) -> str:
    return (
        "link set lo up\n"
        f"addr add {address(number)}/16 dev eth0\n"
        "link set eth0 up\n"
        f"route add default via {GATEWAY}"
    )


SETUP = f"""
mount -t tmpfs none /run/netns 2>/dev/null || {{ mkdir -p /run/netns; mount -t tmpfs none /run/netns; }}
ip link add {BRIDGE} type bridge; ip link set {BRIDGE} up; ip addr add {GATEWAY}/16 dev {BRIDGE}
"""


def batch(lines: str, *, into: str = "") -> str:
    option = f"-n {into} " if into else ""
    return f"ip {option}-batch - <<EOF\n{lines}\nEOF\n"


def singly() -> str:
    """As one would for each sandbox in turn."""
    return "".join(
        batch(f"netns add s{number}\n{host_line(number)}")
        + batch(inside_lines(number), into=f"s{number}")
        + "tick\n"
        for number in range(COUNT)
    )


def at_once() -> str:
    """One process for the host, one for each namespace."""
    names = "\n".join(f"netns add s{number}" for number in range(COUNT))
    links = "\n".join(host_line(number) for number in range(COUNT))
    inside = (batch(inside_lines(number), into=f"s{number}") for number in range(COUNT))
    return batch(names) + batch(links) + "".join(inside)


def removal() -> str:
    """Link by link, then the names of the namespaces."""
    links = "\n".join(f"link del v{number}" for number in range(COUNT))
    names = "\n".join(f"netns del s{number}" for number in range(COUNT))
    return batch(links) + batch(names)


def run_ip(host: str, root: Path, script: str) -> list[float]:
    """The times between the script's calls of `tick`, in seconds."""
    file = root / "script.sh"
    # Bash's own clock: a process for each would be the peer's loss.
    file.write_text('tick() { echo $EPOCHREALTIME >> "$TICKS"; }\nset -e\n' + SETUP + script)
    ticks = root / "ticks"
    ticks.unlink(missing_ok=True)
    # A private mount namespace: /run/netns of the machine is not touched.
    command = ["nsenter", f"--net={host}", "unshare", "-m", "bash", str(file)]
    subprocess.run(command, check=True, env=os.environ | {"TICKS": str(ticks)})
    moments = [float(line) for line in ticks.read_text().split()]
    return [after - before for before, after in itertools.pairwise(moments)]


def in_scratch_host(root: Path, name: str, work: Callable[[str], Found]) -> Found:
    outside = namespaces.Namespaces(workers=1)
    path = str(root / f"t-netns-bench-{name}")
    outside.create_sync(path)
    try:
        settle(path, root)
        return work(path)
    finally:
        outside.delete_sync(path)
        outside.close()


def peer(host: str, root: Path) -> Found:
    """As `ours`."""
    script = f"tick\n{singly()}{removal()}tick\n{SETTLED}tick\n{at_once()}tick\n{removal()}"
    *each, gone, _, once = run_ip(host, root, script)
    return milliseconds(each, gone, once)


GOALS = {"one at a time": 0.5, "at once": 0.5, "removal": 0.1}
ROUNDS = 5  # in turn, so that the neighbours disturb both alike


def main() -> None:
    interpreter.tune()  # as the daemon is
    mine: list[Found] = []
    theirs: list[Found] = []
    with tempfile.TemporaryDirectory(prefix="t-netns-bench-", dir=MEMORY) as place:
        root = Path(place)
        for _ in range(ROUNDS):
            mine.append(in_scratch_host(root, "ours", lambda host: asyncio.run(ours(host, root))))
            theirs.append(in_scratch_host(root, "ip", lambda host: peer(host, root)))
    for what, goal in GOALS.items():
        report.row(
            report.Row(
                what=f"{COUNT} endpoints, {what}, each",
                ours=median(mine, what),
                peer=median(theirs, what),
                peer_name="ip -batch",
                unit="ms",
                goal=goal,
            )
        )


def median(rounds: list[Found], what: str) -> float:
    return statistics.median(took for each in rounds for took in each[what])


if __name__ == "__main__":
    main()
