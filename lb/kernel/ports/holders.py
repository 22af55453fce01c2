"""Why ports cannot be held → the same with the names of the programs that have them."""

from collections.abc import Mapping

from lb.kernel.ports.sockets import number_of
from lb.ports.table import Bind, Hindrance
from sdd.linux import port_holders

UNSEEN = f"{Hindrance.TAKEN}; none is seen to, so it may be the kernel itself (NFS, WireGuard)"


def named(reasons: Mapping[Bind, str]) -> Mapping[Bind, str]:
    """One look at the processes for all of them, at most `port_holders.LIMIT_S`."""
    asked = {
        bind: port_holders.Asked(
            version=bind.version,
            protocol=number_of(bind.protocol),
            number=bind.number,
            address=bind.address,
        )
        for bind, reason in reasons.items()
        if reason == Hindrance.TAKEN
    }
    found = port_holders.holders(asked.values()) if asked else {}
    words = {
        bind: f"{found[each]} has it" if each in found else UNSEEN for bind, each in asked.items()
    }
    return {**reasons, **words}
