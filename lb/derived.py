"""What balances on one node, derived once for all who ask: reconciler, meter and drains.

In: a state per call. Out: what `lb.desired` makes of it. A thousand services that are new take 40
ms to derive; what is asked of the same state again is remembered.
"""

from lb.desired import Desired, desired, nothing
from sdd.model import ids
from sdd.state import ClusterState


class Derived:
    """Of `node`, starting from the newest state that anybody asked about."""

    def __init__(self, node: ids.NodeId) -> None:
        self._newest = nothing(node)

    def of(self, state: ClusterState) -> Desired:
        """What `state` asks of the node."""
        if state is not self._newest.state:
            self._newest = desired(state, self._newest)
        return self._newest
