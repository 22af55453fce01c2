"""kill -9 before every single effect of starting and stopping a sandbox's DNS server.

The next daemon, which knows nothing of the last one, completes or clears up.
"""

import asyncio
import contextlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from resolver import reconciler
from resolver.control import launch, processes
from resolver.files import own, upstreams
from sdd.linux import guests, namespaces
from sdd.model import sandbox
from sdd.model.look import EVERYWHERE
from sdd.state import Object
from tests import resolver_states as states
from tests.kernel import mortal
from tests.kernel.resolver.town import Town, end_worker
from tests.support import eventually_async

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(1200)]  # a daemon for each step

Scene = Callable[[Path], Sequence[Object]]
RED = states.net("red")
PORT = re.compile(r"\b\d{4,5}\b")
FEWEST = 20  # effects; fewer would mean that the counting misses some


def served(folder: Path) -> Sequence[Object]:
    """One sandbox of ours, and one that was adopted and outlives being forgotten."""
    guest = folder / "t-redge-bob"
    bob = states.box(
        "bob",
        str(guest),
        origin=sandbox.Origin.ADOPTED,
        inode=namespaces.inode(str(guest)),
        servers=("192.0.2.1",),
    )
    ends = (states.plug("ann", "red", "10.44.1.2/24"), states.plug("bob", "red", "10.44.1.3/24"))
    return (RED, states.box("ann", str(folder / "t-redge-ann")), bob, *ends)


def nobody(_folder: Path) -> Sequence[Object]:
    return (RED,)


def live(arm: mortal.Arm, root: Path, before: Scene, scene: Scene) -> bool:
    """A daemon that has realised `before`, whose deaths begin with `scene`."""
    one = reconciler.Reconciler(
        namespaces.Namespaces(),
        launch.Launcher(root / "exec", "nobody"),
        states.NODE,
        own.Files(root / "data", root / "etc-netns"),
        upstreams.DaemonDns(),
        been=guests.Guests(root / "exec" / "dns-guests"),
    )

    async def lived() -> bool:
        bad = False
        if before is not scene:
            first = await one.realise(states.state(*before(root / "ns"), revision=1), EVERYWHERE)
            bad = bool(first.failures)
        arm()
        then = await one.realise(states.state(*scene(root / "ns"), revision=2), EVERYWHERE)
        return not (bad or then.failures)

    return asyncio.run(lived())


async def successor(town: Town, scene: Scene) -> None:
    """A daemon that knows nothing of the last one; all is well, and nothing is left to do."""
    for launcher, daemon in zip(town.launchers, town.daemons, strict=True):
        launcher.close()
        daemon.close()
    one = town.daemon()
    town.revision += 1
    for changes in (None, 0):
        outcome = await town.realise(one, *scene(town.root / "ns"), again=True)
        assert outcome.failures == ()
        assert changes in (None, outcome.changed)


def seen(town: Town) -> str:
    """Files with what they say, and the rules of both sandboxes; the ports are the kernel's."""
    places = [town.root / "data", town.root / "etc-netns"]
    files = sorted(each for place in places for each in place.rglob("*"))
    said = [f"{each}: {each.read_text() if each.is_file() else ''}" for each in files]
    rules = [town.inside(name, "nft", "list", "ruleset") for name in ("ann", "bob")]
    return PORT.sub("PORT", "\n".join(said + rules))


def workers(town: Town) -> list[int]:
    """The workers of this town."""
    found, root = list[int](), str(town.root / "exec")
    for each in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended
            words = (each / "cmdline").read_text().split("\0")
            if root in words and processes.is_of(int(each.name), launch.MODULE):
                found.append(int(each.name))
    return found


async def until_alone(town: Town, why: str) -> int:
    """The one worker; one that a daemon had begun that is no more ends when it notices."""
    worker = await town.worker()
    await eventually_async(lambda: workers(town) == [worker], 30, why)
    return worker


async def works(town: Town, why: str) -> None:
    """Names are answered in both sandboxes by the one worker."""
    for name, other, address in (("ann", "bob", "10.44.1.3"), ("bob", "ann", "10.44.1.2")):
        assert town.dig(name, other) == address, why
        assert town.dig(name, "+tcp", other) == address, why
    await until_alone(town, why)


async def test_killed_while_starting_servers_the_next_daemon_completes(town: Town) -> None:
    await town.make("ann")
    await town.make("bob")
    await successor(town, served)
    whole = seen(town)
    await successor(town, nobody)
    for strokes in mortal.deaths(live, town.root, nobody, served, fewest=FEWEST):
        await successor(town, served)
        assert seen(town) == whole, strokes
        await works(town, f"after {strokes}")
        await successor(town, nobody)


async def test_killed_while_starting_the_worker_the_next_daemon_has_one(town: Town) -> None:
    for strokes in mortal.deaths(live, town.root, nobody, nobody, fewest=5):
        await successor(town, nobody)
        await end_worker(await until_alone(town, f"one worker after {strokes}"))


@pytest.mark.parametrize(
    ("before", "scene"), [(nobody, served), (served, nobody)], ids=["starting", "stopping"]
)
async def test_killed_at_any_step_the_next_daemon_that_wants_nothing_leaves_nothing(
    town: Town, before: Scene, scene: Scene
) -> None:
    await town.make("ann")
    await town.make("bob")
    await successor(town, before)
    for strokes in mortal.deaths(live, town.root, before, scene, fewest=FEWEST):
        await successor(town, nobody)
        left = [str(each) for each in (town.root / "data" / "sandboxes").glob("*")]
        left += [str(each) for each in (town.root / "etc-netns").glob("*")]
        left += [str(each) for each in (town.root / "exec" / "dns-guests").glob("*")]
        assert (left, town.inside("bob", "nft", "list", "ruleset")) == ([], ""), strokes
        await successor(town, before)
