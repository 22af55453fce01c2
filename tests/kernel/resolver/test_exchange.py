"""A sandbox that has a server and gets other sockets: the old ones answer until the new ones do."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from resolver import protocol
from sdd.state import Object
from tests import resolver_states as states
from tests.kernel.resolver.town import Town, end_worker, pair
from tests.support import eventually_async

pytestmark = pytest.mark.kernel

RED = states.net("red")
NARROW = "tests.kernel.resolver.narrow"
# Asks over "udp" or "tcp" without a pause until its input ends; then says how many got no answer, and of how many.
ASKER = """
import select, socket, sys
import dns.exception, dns.message, dns.query
is_tcp = sys.argv[1] == "tcp"

def connected():
    link = socket.socket(socket.AF_INET, socket.SOCK_STREAM if is_tcp else socket.SOCK_DGRAM)
    link.settimeout(30)
    link.connect(("127.0.0.11", 53))
    return link

def answered(link, query):
    if is_tcp:
        dns.query.send_tcp(link, query)
        return dns.query.receive_tcp(link)[0].id == query.id
    link.send(query.to_wire())
    while dns.message.from_wire(link.recv(4096)).id != query.id:
        pass
    return True

link = connected()
lost = asked = 0
print("up", flush=True)
while not select.select([sys.stdin], [], [], 0)[0]:
    query = dns.message.make_query("bob", "A", id=asked % 65536)
    asked += 1
    try:
        if asked % 90 == 0:  # more are not taken on one connection
            link = connected()
        lost += not answered(link, query)
    except (OSError, EOFError, dns.exception.DNSException):
        lost += 1
print(lost, asked)
"""


def asking(town: Town, *servers: str) -> list[Object]:
    """`ann` asks these servers from inside: it has 20 sockets more than without any."""
    box = states.box("ann", town.path("ann"), servers=servers)
    plug = states.plug("ann", "red", "10.44.1.2/24")
    return [RED, box, plug, *pair(town, "bob", 3)]


def sockets(pid: int) -> int:
    links = 0
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            links += str(each.readlink()).startswith("socket:")
    return links


@contextlib.asynccontextmanager
async def full(pid: int) -> AsyncIterator[None]:
    """The worker can open nothing more."""
    before = limit(pid)
    os.kill(pid, signal.SIGUSR1)
    await eventually_async(lambda: limit(pid) != before, 30, "it has no room")
    try:
        yield
    finally:
        os.kill(pid, signal.SIGUSR2)
        await eventually_async(lambda: limit(pid) == before, 30, "it has room")


def limit(pid: int) -> str:
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
    return next(line for line in lines if line.startswith("Max open files"))


async def test_without_room_in_the_worker_a_sandbox_keeps_what_it_has(town: Town) -> None:
    for name in ("ann", "bob", "late"):
        await town.make(name)
    daemon = town.daemon(module=NARROW)
    await town.settle(daemon, *asking(town))
    async with full(await town.worker()):
        for _ in range(2):
            done = await town.realise(daemon, *asking(town, "10.44.9.9"), *pair(town, "late", 4))
            assert {each.subject for each in done.failures} == {
                states.identity("ann"),
                states.identity("late"),
            }
            said = {each.subject: each.sentence for each in done.failures}
            assert all("LimitNOFILE" in each for each in said.values())
            assert "has not all of its name service" in said[states.identity("ann")]
            assert "has no name service" in said[states.identity("late")]
            assert town.dig("ann", "bob") == "10.44.1.3"
            assert town.dig("ann", "late") == "10.44.1.4"  # and hears what is new
    before = sockets(await town.worker())
    await town.settle(daemon, *asking(town, "10.44.9.9"), *pair(town, "late", 4))
    assert sockets(await town.worker()) == before + 22  # 20 for ann, and 2 for late
    assert town.dig("ann", "late") == "10.44.1.4"
    assert town.dig("late", "bob") == "10.44.1.3"


@pytest.mark.parametrize("again", [False, True])
async def test_a_worker_that_dies_after_that_is_replaced_as_ever(town: Town, again: bool) -> None:
    for name in ("ann", "bob"):
        await town.make(name)
    daemon = town.daemon(module=NARROW)
    await town.settle(daemon, *asking(town))
    worker = await town.worker()
    async with full(worker):
        assert (await town.realise(daemon, *asking(town, "10.44.9.9"))).failures
    if again:
        town.restart()
        daemon = town.daemon(module=NARROW)
    else:
        await end_worker(worker)
    await town.settle(daemon, *asking(town, "10.44.9.9"))
    assert town.dig("ann", "bob") == "10.44.1.3"
    assert (await town.worker() == worker) == again


async def test_nobody_goes_without_an_answer_meanwhile(town: Town) -> None:
    """Over a connection that is there all the while, too, and the listeners are the same."""
    for name in ("ann", "bob"):
        await town.make(name)
    daemon = town.daemon()
    await town.settle(daemon, *asking(town))
    before, listening = sockets(await town.worker()), await listeners(town)
    async with contextlib.AsyncExitStack() as open_ones:
        askers = [await open_ones.enter_async_context(asker(town, kind)) for kind in ("udp", "tcp")]
        for _ in range(20):
            for servers in (("10.44.9.9",), ("10.44.9.9", "fd44::9"), ()):
                done = await town.realise(daemon, *asking(town, *servers))
                assert done.failures == ()
                assert await listeners(town) == listening
        for process in askers:
            said, _ = await process.communicate(b"enough")
            lost, asked = map(int, said.split())
            assert asked > 100
            assert lost == 0
    assert sockets(await town.worker()) == before  # nothing is left of the former


@contextlib.asynccontextmanager
async def asker(town: Town, kind: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *("nsenter", f"--net={town.path('ann')}", sys.executable, "-c", ASKER, kind),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"up\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def listeners(town: Town) -> dict[str, protocol.Listening]:
    return dict((await town.launchers[-1].ensure()).inventory.listeners)
