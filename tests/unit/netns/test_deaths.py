"""Who is found dead, when, and how often it is told."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from netns import deaths
from sdd import errors, reconcile
from sdd.model import ids, sandbox
from tests import support
from tests.netns_states import NODE, at, box

pytestmark = pytest.mark.slow  # two looks, 0.3 s apart, are the point

GUEST, OTHER = box("guest", "/proc/7/ns/net", inode=7), box("other", "/proc/8/ns/net", inode=8)


@dataclass
class Scene:
    """Which namespaces are there, who was removed and told of; `fails` removals do not succeed.

    `after_look` is called at the end of each look, and `when_removed` with each removal.
    """

    alive: set[str] = field(default_factory=lambda: {GUEST.netns, OTHER.netns})
    removed: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    looks: int = 0
    fails: int = 0
    after_look: Callable[[], None] = lambda: None
    when_removed: Callable[[], None] = lambda: None

    def lost(self, places: Collection[deaths.Place]) -> list[deaths.Place]:
        self.looks += 1
        found = [(path, inode) for path, inode in places if path not in self.alive]
        self.after_look()
        return found

    async def remove(self, ref: str) -> None:
        self.removed.append(ref)
        self.when_removed()
        if len(self.removed) <= self.fails:
            raise errors.TimedOut("too slow")

    def tell(self, one: sandbox.Sandbox) -> None:
        self.told.append(one.name)


@asynccontextmanager
async def watching(scene: Scene, *boxes: sandbox.Sandbox) -> AsyncIterator[reconcile.Slot]:
    slot = reconcile.Slot()
    watch = deaths.Deaths(scene.remove, NODE, scene.lost, scene.tell)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(watch.run(slot), name="deaths")
        slot.put(at(1, *boxes))
        yield slot
        task.cancel()


async def test_a_guest_that_ended_is_removed_and_the_other_stays() -> None:
    """Two looks after it ended, which are within a second."""
    scene = Scene()
    ended: list[int] = []
    async with watching(scene, GUEST, OTHER) as slot:
        await support.eventually_async(lambda: scene.looks >= 2, 60, "a look")

        def leave() -> None:
            slot.put(at(2, OTHER))
            ended.append(scene.looks)

        def die() -> None:
            scene.after_look = lambda: None
            scene.alive.discard(GUEST.netns)
            ended.append(scene.looks)

        scene.after_look, scene.when_removed = die, leave
        await support.eventually_async(lambda: scene.removed, 60, "it is removed")
        assert ended[1] - ended[0] == 2
        assert 3 * deaths.PACE_S < 1, "with the one before which it ended"
        before = scene.looks
        await support.eventually_async(lambda: scene.looks > before + 1, 60, "two more looks")
    assert (scene.removed, scene.told) == ([GUEST.id], ["guest"])


async def test_a_path_that_hangs_holds_nothing_else() -> None:
    released, asked = threading.Event(), threading.Event()

    def lost(places: Collection[deaths.Place]) -> Collection[deaths.Place]:
        asked.set()
        return () if released.wait(90) else places

    scene = Scene()
    watch = deaths.Deaths(scene.remove, NODE, lost, scene.tell)
    slot = reconcile.Slot()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(watch.run(slot), name="deaths")
        slot.put(at(1, GUEST))
        await support.eventually_async(asked.is_set, 60, "the loop turns while it is asked")
        released.set()
        task.cancel()
    assert scene.removed == []


async def test_one_look_proves_nothing() -> None:
    scene = Scene(alive=set())
    scene.after_look = lambda: scene.alive.add(GUEST.netns)
    async with watching(scene, GUEST):
        await support.eventually_async(lambda: scene.looks >= 3, 60, "more looks")
    assert (scene.removed, scene.told) == ([], [])


async def test_a_removal_that_failed_is_tried_again_and_told_once() -> None:
    scene = Scene(alive={OTHER.netns}, fails=2)
    async with watching(scene, GUEST, OTHER):
        await support.eventually_async(lambda: len(scene.removed) >= 3, 60, "three tries")
    assert (set(scene.removed), scene.told) == ({GUEST.id}, ["guest"])


async def test_named_sandboxes_and_those_of_others_are_not_looked_at() -> None:
    far = box("far", "/proc/9/ns/net", inode=9, node=ids.NodeId("there"))
    now = at(1, box("named", "/run/sdd/netns/named"), far, GUEST)
    assert deaths.guests(now, NODE) == (GUEST,)
    assert deaths.named(now, NODE) == ("/run/sdd/netns/named",)
