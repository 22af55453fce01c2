"""Sandboxes that leave the state: each one's namespace is held until the balancer was there last.

In: each state the moment it is published, before any backend works on it. Out: a way into the
namespaces of those that left, for the reconciler's last visit. At the same revision `netns` takes
the namespace away, and what was counted there since the last reading would go with it. Not an
adopted one: that stays, and its path may hang, which must not be followed here.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from lb import world
from lb.desired import Wanted
from sdd import affected
from sdd.model import ids
from sdd.state import EMPTY, ClusterState


class Held(Protocol):
    """A namespace that stays until `close`, whatever becomes of its file."""

    @property
    def path(self) -> str:
        """A file by which it can be entered meanwhile."""
        ...

    def close(self) -> None:
        """Let it go."""
        ...


Hold = Callable[[str], Held | None]  # by its file
Ended = Callable[[ids.SandboxId, Wanted | None, Sequence[world.Load]], None]
Left = Callable[[ids.SandboxId, Wanted, Sequence[world.Load]], None]


class Leaving:
    """Of one node; `ended` is told once of each sandbox that left, with its last counts."""

    def __init__(self, node: ids.NodeId, hold: Hold, ended: Ended) -> None:
        self.ended = ended
        self._node = node
        self._hold = hold
        self._state: ClusterState = EMPTY
        self._held: dict[ids.SandboxId, Held | None] = {}

    def put(self, state: ClusterState) -> None:
        """For `Feed.subscribe`: holds what left; what is gone already cannot be held."""
        before, self._state = self._state.sandboxes, state
        for each in affected.changed(before, state.sandboxes):
            box = before.get(each)
            if box is not None and each not in state.sandboxes and box.node == self._node:
                self._held[each] = None if box.netns_inode else self._hold(box.netns)

    def left(self, state: ClusterState) -> frozenset[ids.SandboxId]:
        """Those that left by `state` and were not taken; one of a later state stays held."""
        return frozenset(self._held.keys() - state.sandboxes.keys())

    def take(self, box: ids.SandboxId) -> Held | None:
        """Its namespace, to be closed; None when there is none any more, or it is of others."""
        return self._held.pop(box, None)
