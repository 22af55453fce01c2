"""kill -9 before every single effect of balancing in a namespace that outlives its sandbox.

The next daemon, which knows nothing of the last one, completes or clears up.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from lb import reconciler
from lb.kernel.nftables import NftablesKernel
from sdd.linux import guests, namespaces
from sdd.model import sandbox
from sdd.model.look import EVERYWHERE
from sdd.state import Object
from tests.kernel import mortal
from tests.kernel.spaces import Space, Spaces
from tests.unit.lb import states

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(1200)]  # a daemon for each step

Scene = Callable[[str], Sequence[Object]]
COUNTS = re.compile(r"packets \d+ bytes \d+")
FEWEST = 3  # effects; fewer would mean that the counting misses some


def balanced(path: str) -> Sequence[Object]:
    """An adopted sandbox with a service of two members, of which it is one."""
    found = states.box("bob")
    adopted = sandbox.Origin.ADOPTED
    bob = replace(found, netns=path, origin=adopted, netns_inode=namespaces.inode(path))
    town = (states.net("front", 1), bob, states.plug("bob", "front", "10.0.1.1/24"))
    other = (states.box("web", node=states.ELSEWHERE), states.plug("web", "front", "10.0.1.2/24"))
    members = (states.member("www", name, "front") for name in ("bob", "web"))
    return (*town, *other, states.svc("www", "front", "10.0.1.100"), *members)


def nobody(_path: str) -> Sequence[Object]:
    return (states.net("front", 1),)


def daemon(doors: namespaces.Namespaces, root: Path) -> reconciler.Reconciler:
    been = guests.Guests(root / "lb-guests")
    return reconciler.Reconciler(NftablesKernel(doors), states.NODE, been=been)


def live(arm: mortal.Arm, root: Path, path: str, before: Scene, scene: Scene) -> bool:
    """A daemon that has realised `before`, whose deaths begin with `scene`."""
    one = daemon(namespaces.Namespaces(), root)

    async def lived() -> bool:
        first = await one.realise(states.state(*before(path), revision=1), EVERYWHERE)
        arm()
        then = await one.realise(states.state(*scene(path), revision=2), EVERYWHERE)
        return not (first.failures or then.failures)

    return asyncio.run(lived())


class Guest:
    """A namespace that others made, and one daemon after the other."""

    def __init__(self, space: Space, root: Path) -> None:
        self.space = space
        self.root = root
        self.doors = namespaces.Namespaces()

    async def successor(self, scene: Scene) -> None:
        """A daemon that knows nothing of the last one brings `scene` about, and sees that it is."""
        one = daemon(self.doors, self.root)
        now = states.state(*scene(self.space.path), revision=3)
        assert (await one.realise(now, EVERYWHERE)).failures == ()
        again = await one.realise(now, EVERYWHERE)
        assert (again.failures, again.changed) == ((), 0)

    def rules(self) -> str:
        return COUNTS.sub("", self.space.run("nft", "list", "ruleset"))

    def remembered(self) -> list[str]:
        return [each.name for each in (self.root / "lb-guests").glob("*")]


@pytest.fixture
async def guest(spaces: Spaces, tmp_path: Path) -> AsyncIterator[Guest]:
    one = Guest(spaces.make("guest"), tmp_path)
    yield one
    one.doors.close()


@pytest.mark.parametrize(
    ("before", "scene"), [(nobody, balanced), (balanced, nobody)], ids=["starting", "stopping"]
)
async def test_killed_at_any_step_the_next_daemon_that_wants_nothing_leaves_nothing(
    guest: Guest, before: Scene, scene: Scene
) -> None:
    path = guest.space.path
    for strokes in mortal.deaths(live, guest.root, path, before, scene, fewest=FEWEST):
        await guest.successor(nobody)
        assert guest.rules() == "", strokes
        assert guest.remembered() == [], strokes


async def test_killed_while_starting_the_next_daemon_completes(guest: Guest) -> None:
    await guest.successor(balanced)
    whole = guest.rules()
    assert "10.0.1.100" in whole
    await guest.successor(nobody)
    path = guest.space.path
    for strokes in mortal.deaths(live, guest.root, path, nobody, balanced, fewest=FEWEST):
        await guest.successor(balanced)
        assert guest.rules() == whole, strokes
        await guest.successor(nobody)
