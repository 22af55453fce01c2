"""What balances on one node, derived once for all who ask: reconciler, meter and drains.

In: a state per call. Out: what `lb.desired` makes of it. A thousand services that are new take 40
ms to derive; what is asked of the same state again is remembered.
"""

from collections.abc import Iterator

from lb import table
from lb.desired import Desired, desired, nothing
from sdd import affected
from sdd.model import ids
from sdd.state import ClusterState


def renewed(before: Desired, now: Desired) -> Iterator[table.VirtualService]:
    """The services of `now`, of networks that nobody here is on as well, that `before` had not."""
    for net, each in now.networks.items():
        known = before.networks.get(net)
        if known is not each:
            was = known.services if known is not None else {}
            yield from (each.services[vip] for vip in affected.differing(was, each.services))


class Derived:
    """Of `node`, starting from the newest state that anybody asked about."""

    def __init__(self, node: ids.NodeId) -> None:
        self._newest = nothing(node)

    def of(self, state: ClusterState) -> Desired:
        """What `state` asks of the node."""
        if state is not self._newest.state:
            self._newest = desired(state, self._newest)
        return self._newest
