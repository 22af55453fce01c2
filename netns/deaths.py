"""Notices that the namespace of an adopted sandbox ended, and has the sandbox removed.

In: the newest state. Out: `remove` calls. A container that dies without saying so leaves names and
virtual addresses within a second. Named sandboxes are ours and are made again instead.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Never

from sdd import errors
from sdd.model import ids, sandbox
from sdd.reconcile import Slot
from sdd.state import ClusterState

PACE_S = 0.3  # two looks and the removal itself must fit into a second
IDLE_S = 3600.0  # without guests there is nothing to look at

Remove = Callable[[str], Awaitable[object]]
Place = tuple[str, int]
Lost = Callable[[Collection[Place]], Collection[Place]]


class Deaths:
    """`lost` says, in a thread, which paths lead to the namespaces of their inodes no more.

    `told` hears of each death once, before the sandbox is removed.
    """

    def __init__(
        self,
        remove: Remove,
        node: ids.NodeId,
        lost: Lost,
        told: Callable[[sandbox.Sandbox], None],
    ) -> None:
        self._remove = remove
        self._node = node
        self._lost = lost
        self._told = told
        self._missing: frozenset[ids.SandboxId] = frozenset()
        self._known: frozenset[ids.SandboxId] = frozenset()

    async def run(self, slot: Slot) -> Never:
        """Watch the guests of the newest state, for ever; ends by cancellation only."""
        has_guests = False
        while True:
            state = await slot.next(PACE_S if has_guests else IDLE_S)
            if state is not None:
                mine = guests(state, self._node)
                has_guests = bool(mine)
                await self._look(mine)

    async def _look(self, mine: Collection[sandbox.Sandbox]) -> None:
        """One that is missing twice in a row is dead: runtimes swap files now and then."""
        # In a thread: what a path leads through may hang, and must not take the event loop along.
        missing = await asyncio.to_thread(self._missing_of, mine)
        dead = [box for identity, box in missing.items() if identity in self._missing]
        self._missing = frozenset(missing)
        self._known &= self._missing
        for box in dead:
            if box.id not in self._known:
                self._known |= {box.id}
                self._told(box)
            try:
                await self._remove(box.id)
            except errors.SddError:
                continue  # somebody else removed it, or the next look tries again

    def _missing_of(
        self, mine: Collection[sandbox.Sandbox]
    ) -> dict[ids.SandboxId, sandbox.Sandbox]:
        places = {(box.netns, box.netns_inode): box for box in mine}
        return {places[each].id: places[each] for each in self._lost(places)}


def guests(state: ClusterState, node: ids.NodeId) -> tuple[sandbox.Sandbox, ...]:
    """The adopted sandboxes of `node` whose namespace is known."""
    return tuple(
        box
        for box in state.sandboxes_by_node.get(node, ())
        if box.origin is sandbox.Origin.ADOPTED and box.netns_inode
    )


def named(state: ClusterState, node: ids.NodeId) -> tuple[str, ...]:
    """The files of all other namespaces on `node`: those that we make."""
    boxes = state.sandboxes_by_node.get(node, ())
    return tuple(box.netns for box in boxes if box.origin is not sandbox.Origin.ADOPTED)
