"""All that looks at members: checks, signs, drains, counts, and the reconciler. Wires them.

In: a kernel, and what to call with what was found. Out: loops that follow the state. How to reach a
member is the caller's to say, for it touches the world.
"""

import random
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, NamedTuple

from lb import (
    derived,
    desired,
    drains,
    kept,
    leaving,
    meter,
    newest,
    probes,
    reconciler,
    tally,
    view,
    world,
)
from lb import dial as dials
from sdd import reconcile
from sdd.linux import guests
from sdd.model import ids
from sdd.reconcile import Slot
from sdd.state import ClusterState

Follow = Callable[[Slot], Coroutine[Any, Any, None]]


class Host(NamedTuple):
    """What is known of connections that the host leads straight to members."""

    counts: meter.HostCounts
    busy: drains.Straight


class Watching:
    """The members of one node."""

    def __init__(
        self,
        kernel: world.Kernel,
        node: ids.NodeId,
        record: probes.Record,
        finish: drains.Finish,
        *,
        been: guests.Guests,
        dial: dials.Dial,
        host: Host,
        hold: leaving.Hold,
        unchecked: probes.Turned,
    ) -> None:
        self._kernel, self._node, self._been = kernel, node, been
        self.tally = tally.Tally()
        self.probes = probes.Probes(
            *(record, node, time.monotonic, random.random),
            dial=dial,
            told=self.tally.told,
            turned=unchecked,
        )
        self._derived = derived.Derived(node)
        self.meter = meter.Meter(
            *(kernel, node, self.probes.suspect, time.monotonic),
            host=host.counts,
            derived=self._derived,
        )
        self.leaving = leaving.Leaving(node, hold, self.meter.ended)
        self.kept = kept.Kept()
        self._drains = drains.Drains(
            *(finish, kernel, node, time.time), straight=host.busy, derived=self._derived
        )

    def put(self, state: ClusterState) -> None:
        """For `Feed.subscribe`, before any reconciler works on it."""
        self.leaving.put(state)
        self.kept.put(state)

    def told(self, state: Callable[[], ClusterState]) -> Callable[[], ClusterState]:
        """The state as people read it: with the newest reasons that are known here."""
        return lambda: newest.told(state(), self.probes.newer())

    def view(self, state: Callable[[], ClusterState]) -> view.View:
        """What the kernels count, with what they had counted before members were away."""
        return view.View(self._kernel, state, kept=self.kept)

    def reconciler(
        self, is_vain: reconcile.IsVain, was_realised: reconcile.WasRealised
    ) -> reconciler.Reconciler:
        """What realises the balancing; of whoever leaves it passes on what was counted."""
        return reconciler.Reconciler(
            *(self._kernel, self._node),
            been=self._been,
            leaving=self.leaving,
            left=self._left,
            derived=self._derived,
            is_vain=is_vain,
            was_realised=was_realised,
        )

    def _left(self, box: ids.SandboxId, was: desired.Wanted, loads: Sequence[world.Load]) -> None:
        self.meter.left(box, was, loads)
        self.kept.left(box, was, loads)

    def followers(self) -> dict[str, Follow]:
        """The loops by their names."""
        return {"probes": self.probes.run, "meter": self.meter.run, "drains": self._drains.run}
