"""Which sandboxes are people's to change."""

from sdd import errors
from sdd.model import sandbox


def check_open(box: sandbox.Sandbox) -> None:
    """It is not one of ours. Refused: SDD-SANDBOX-PREDEFINED."""
    if box.is_ingress:
        raise errors.Forbidden(
            f"{box.name} is a pre-defined sandbox and cannot be changed or removed",
            hint="it leads published ports to their members, and goes with the last service that"
            " has ports with mode=ingress",
            code="SDD-SANDBOX-PREDEFINED",
        )
