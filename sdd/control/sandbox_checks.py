"""Which sandboxes are people's to change, and which are on their way out."""

from sdd import errors
from sdd.model import endpoint, sandbox
from sdd.state import ClusterState


def check_open(box: sandbox.Sandbox) -> None:
    """It is not one of ours. Refused: SDD-SANDBOX-PREDEFINED."""
    if box.is_ingress:
        raise errors.Forbidden(
            f"{box.name} is a pre-defined sandbox and cannot be changed or removed",
            hint="it leads published ports to their members, and goes with the last service that"
            " has ports with mode=ingress",
            code="SDD-SANDBOX-PREDEFINED",
        )


def check_staying(box: sandbox.Sandbox) -> None:
    """It is not one of ours, and nothing new for one that goes. Refused as well: -LEAVING."""
    check_open(box)
    if box.leaves_at:
        raise _leaving(f"sandbox {box.name} is being removed")


def check_connected(now: ClusterState, end: endpoint.Endpoint) -> None:
    """It is not being disconnected. Refused: SDD-SANDBOX-LEAVING."""
    if end.leaves_at:
        box, net = now.sandboxes[end.sandbox], now.networks[end.network]
        raise _leaving(f"sandbox {box.name} is being disconnected from network {net.name}")


def _leaving(what: str) -> errors.Conflict:
    return errors.Conflict(
        what,
        hint="it is gone in a few seconds; make it again then",
        code="SDD-SANDBOX-LEAVING",
    )
