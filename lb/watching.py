"""All that looks at members beside the reconciler: checks, signs, drains, counts. Wires them.

In: a kernel, and what to call with what was found. Out: loops that follow the state. How to reach a
member and who has a carrier are the caller's to say: they touch the world.
"""

import random
import time
from collections.abc import Callable, Coroutine
from typing import Any

from lb import dial as dials
from lb import drains, meter, probes, tally, world
from sdd.model import ids
from sdd.reconcile import Slot

Follow = Callable[[Slot], Coroutine[Any, Any, None]]


class Watching:
    """The members of one node."""

    def __init__(
        self,
        kernel: world.Kernel,
        node: ids.NodeId,
        record: probes.Record,
        finish: drains.Finish,
        *,
        dial: dials.Dial,
        carriers: probes.Carriers,
        host: meter.HostCounts,
    ) -> None:
        self.tally = tally.Tally()
        self.probes = probes.Probes(
            *(record, node, time.monotonic, random.random),
            dial=dial,
            carriers=carriers,
            told=self.tally.told,
        )
        self.meter = meter.Meter(*(kernel, node, self.probes.suspect, time.monotonic), host=host)
        self._drains = drains.Drains(finish, kernel, node, time.time)

    def followers(self) -> dict[str, Follow]:
        """The loops by their names."""
        return {"probes": self.probes.run, "meter": self.meter.run, "drains": self._drains.run}
