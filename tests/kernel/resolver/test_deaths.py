"""The death of a worker: what is asked meanwhile waits in the sockets, which sdd has as well."""

import asyncio
import os
import signal
import subprocess
from pathlib import Path

import pytest

from resolver import protocol, reconciler
from resolver.control import launch, processes
from resolver.space import place, taker
from sdd.linux import guests
from sdd.model import ids
from sdd.state import Object
from tests import resolver_states as states
from tests.kernel.resolver.test_upstreams import upstream
from tests.kernel.resolver.town import Town, end_worker, pair, until_over
from tests.support import eventually, eventually_async

pytestmark = pytest.mark.kernel

RED = states.net("red")
OTHER_RELEASE = "tests.kernel.resolver.other_release"
TAKEN_OVER = "tests.kernel.resolver.taken_over"


def asking(town: Town, name: str, *question: str) -> subprocess.Popen[str]:
    """One question, sent once, with half a minute for its answer."""
    command = ("dig", "+short", "+tries=1", "+time=30", "@127.0.0.11", *question)
    return subprocess.Popen(
        ["nsenter", f"--net={town.path(name)}", *command], stdout=subprocess.PIPE, text=True
    )


def said(asked: subprocess.Popen[str]) -> str:
    out, _ = asked.communicate(timeout=60)
    return out.strip()


def is_queued(town: Town, name: str, table: str) -> bool:
    """Whether anything waits in a queue of a socket of 127.0.0.11 (0B00007F, proc(5))."""
    rows = [each.split() for each in town.inside(name, "cat", table).splitlines()]
    return any(row[1].startswith("0B00007F") and int(row[4].split(":")[1], 16) for row in rows[1:])


async def listeners(town: Town) -> dict[str, object]:
    return dict((await town.launchers[-1].ensure()).inventory.listeners)


async def ann_and_bob(
    town: Town, module: str = launch.MODULE
) -> tuple[reconciler.Reconciler, tuple[Object, ...]]:
    """Two sandboxes with servers; bob asks upstream servers of his own."""
    for name in ("ann", "bob"):
        await town.make(name)
    bob = states.box("bob", town.path("bob"), servers=("10.44.9.9",))
    world = (RED, *pair(town, "ann", 2), bob, states.plug("bob", "red", "10.44.1.3/24"))
    daemon = town.daemon(module=module)
    await town.settle(daemon, *world)
    return daemon, world


async def restarted(town: Town, world: tuple[Object, ...]) -> reconciler.Reconciler:
    """The next sdd, which takes the worker over."""
    town.restart()
    daemon = town.daemon()
    await town.settle(daemon, *world)
    return daemon


@pytest.mark.parametrize("restarts", [False, True])
async def test_what_is_asked_while_no_worker_lives_is_answered_by_the_next(
    town: Town, restarts: bool
) -> None:
    daemon, world = await ann_and_bob(town)
    before = await listeners(town)
    if restarts:
        daemon = await restarted(town, world)
        assert await listeners(town) == before
    await end_worker(await town.worker())
    over_udp, over_tcp = asking(town, "ann", "bob"), asking(town, "ann", "+tcp", "bob")
    eventually(lambda: is_queued(town, "ann", "/proc/net/udp"), 30, "a question waits")
    eventually(lambda: is_queued(town, "ann", "/proc/net/tcp"), 30, "a connection waits")
    assert (await town.realise(daemon, *world)).failures == ()
    assert said(over_udp) == said(over_tcp) == "10.44.1.3"
    assert await listeners(town) == before


@pytest.mark.parametrize("restarts", [False, True])
async def test_a_sandboxs_own_servers_are_asked_with_the_same_sockets(
    town: Town, restarts: bool
) -> None:
    daemon, world = await ann_and_bob(town)
    with upstream(town, "bob", "10.44.9.9", "192.0.2.77"):
        for number in range(3):
            # Whoever died had asked, and waited for somebody else.
            waits = asking(town, "bob", f"drop{number}.example.org")
            assert town.dig("bob", f"a{number}.example.org") == "192.0.2.77"
            if restarts:
                daemon = await restarted(town, world)
            await end_worker(await town.worker())
            assert (await town.realise(daemon, *world)).failures == ()
            for kind in ("+notcp", "+tcp"):
                name = f"b{number}{kind[1]}.example.org"
                assert town.dig("bob", kind, name) == "192.0.2.77"
            waits.kill()
            waits.communicate()


async def test_A8_86_what_is_asked_during_an_upgrade_is_answered_by_the_next_worker(
    town: Town,
) -> None:
    """The next sdd is of another release, and finds a worker that it cannot talk to."""
    release = town.root / "exec" / "release"
    release.parent.mkdir()
    release.write_text(str(protocol.RELEASE + 1))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(protocol, "RELEASE", protocol.RELEASE + 1)
        _, world = await ann_and_bob(town, OTHER_RELEASE)
        first, before = await town.worker(), await listeners(town)
        town.restart()
    release.write_text(str(protocol.RELEASE))
    daemon = town.daemon(module=OTHER_RELEASE)
    inherit, asked = town.launchers[-1].inherit, list[subprocess.Popen[str]]()

    async def inherited(pid: int) -> None:
        """The old one answers nothing more."""
        await inherit(pid)
        os.kill(pid, signal.SIGSTOP)
        asked.extend(asking(town, "ann", *kind, "bob") for kind in ((), ("+tcp",)))
        await eventually_async(
            lambda: all(is_queued(town, "ann", f"/proc/net/{each}") for each in ("udp", "tcp")),
            30,
            "questions wait",
        )

    town.launchers[-1].inherit = inherited
    assert (await town.realise(daemon, *world)).failures == ()
    assert await town.worker() != first
    assert [said(each) for each in asked] == ["10.44.1.3", "10.44.1.3"]
    assert await listeners(town) == before
    with upstream(town, "bob", "10.44.9.9", "192.0.2.77"):
        assert town.dig("bob", "www.example.org") == "192.0.2.77"


async def test_a_sandbox_that_goes_while_no_worker_lives_leaves_no_socket(town: Town) -> None:
    daemon, _ = await ann_and_bob(town)
    here = Path("/proc/self/fd")
    most = len(tuple(here.iterdir()))
    await end_worker(await town.worker())
    await town.settle(daemon, RED, *pair(town, "ann", 2))
    assert [*await listeners(town)] == [states.identity("ann")]
    assert len(tuple(here.iterdir())) <= most - 22
    await town.settle(daemon, RED)
    assert len(tuple(here.iterdir())) <= most - 24


async def test_a_sandbox_is_served_while_others_are_not_there_yet(town: Town) -> None:
    """So are those that are visited first, beside many that all need new sockets."""
    await town.make("ann")
    daemon = town.daemon(ready_s=60)
    async with asyncio.TaskGroup() as both:
        world = (RED, *pair(town, "ann", 2), *pair(town, "late", 3))
        going = both.create_task(town.realise(daemon, *world))
        await eventually_async(lambda: is_led(town, "ann"), 30, "port 53 is led to the server")
        asked = asking(town, "ann", "late")
        await asyncio.to_thread(asked.wait)
        assert not going.done()
        await town.make("late")
    assert (said(asked), going.result().failures) == ("10.44.1.3", ())


async def test_names_of_others_change_while_a_sandbox_is_not_there_yet(town: Town) -> None:
    """Nothing is to be handed over in this pass, and what it waits for takes seconds."""
    await town.make("ann")
    await town.make("bob")
    daemon = town.daemon(ready_s=60)
    await town.settle(daemon, RED, *pair(town, "ann", 2), *pair(town, "bob", 3))
    async with asyncio.TaskGroup() as both:
        moved = (RED, *pair(town, "ann", 2), *pair(town, "bob", 4))
        going = both.create_task(town.realise(daemon, *moved, *pair(town, "late", 5)))

        async def is_changed() -> bool:
            return (await asyncio.to_thread(town.dig, "ann", "bob")) == "10.44.1.4"

        while not await is_changed():
            assert not going.done()
        await town.make("late")
    assert going.result().failures == ()


def is_led(town: Town, name: str) -> bool:
    return "inet sdd-dns" in town.inside(name, "nft", "list", "tables")


async def test_sockets_on_which_nobody_can_serve_are_not_given_again(town: Town) -> None:
    spot = place.Spot(
        box=ids.SandboxId(states.identity("ann")),
        name="ann",
        path=await town.make("ann"),
        served=True,
    )
    places = place.Places(town.doors, guests.Guests(town.root / "exec" / "dns-guests"))

    class Taker:
        """A worker that finds fault with it later."""

        async def send(self, *_handed: taker.Handed) -> None:
            """It takes everything."""

        async def served(self, _sandbox: str) -> bool:
            return True

        async def led(self, _sandbox: str) -> None:
            """It has nothing else."""

    assert (await places.settle(spot, taker.Have(), Taker())).result.failures == ()
    assert places.kept(spot, taker.Have())
    places.spoilt(spot.box)
    assert not places.kept(spot, taker.Have())


async def test_what_a_worker_that_was_taken_over_did_dies_with_it(town: Town) -> None:
    """It may not fork nor set anything; that it made a listener deaf is seen, and it is ended."""
    daemon, world = await ann_and_bob(town, TAKEN_OVER)
    first, before = await town.worker(), await listeners(town)
    done = town.root / "exec" / "done"
    os.kill(first, signal.SIGUSR1)
    await eventually_async(lambda: "all" in done.read_text(), 30, "it did what it could")
    assert {*done.read_text().split()} == {"connect", "all"}
    await eventually_async(lambda: town.launchers[-1].connected is None, 30, "it hung up")
    assert not await processes.is_over(first)
    assert (await town.realise(daemon, *world)).failures == ()
    await until_over(first)
    assert await town.worker() != first
    assert await listeners(town) != before
    for name, other, address in (("ann", "bob", "10.44.1.3"), ("bob", "ann", "10.44.1.2")):
        for kind in ("+notcp", "+tcp"):
            assert town.dig(name, kind, other) == address
    assert (await town.realise(daemon, *world, again=True)).failures == ()


async def test_sockets_that_somebody_closed_are_opened_anew(town: Town) -> None:
    """SOCK_DESTROY, as administrators and those who end connections do; no worker died."""
    daemon, world = await ann_and_bob(town)
    before = await listeners(town)
    town.inside("ann", "ss", "-K", "-ltu")
    assert town.dig("ann", "+time=3", "bob") != "10.44.1.3"
    outcome = await town.realise(daemon, *world, again=True)
    assert (outcome.failures, outcome.repaired) == ((), 1)
    assert [(each.sandbox, each.what) for each in outcome.repairs] == [("ann", "its DNS sockets")]
    for kind in ("+notcp", "+tcp"):
        assert town.dig("ann", kind, "bob") == "10.44.1.3"
    after = await listeners(town)
    assert {box for box in after if after[box] != before[box]} == {states.identity("ann")}
    again = await town.realise(daemon, *world, again=True)
    assert (again.failures, again.changed, again.repaired) == ((), 0, 0)
