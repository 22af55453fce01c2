"""Whether this process may do what it is for, asked before it touches anything.

In: the text of /proc/self/status. Out: nothing, or one sentence naming what is missing.
"""

import re
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from sdd import errors
from sdd.linux import netlink

STATUS: Final = Path("/proc/self/status")
NEEDED: Final[Mapping[str, int]] = {"CAP_NET_ADMIN": 12, "CAP_SYS_ADMIN": 21}
"""Name → bit (include/uapi/linux/capability.h): links and rules; setns and mount."""
HELPFUL: Final[Mapping[str, int]] = {"CAP_NET_BROADCAST": 11}
"""To hear at once what changes in other namespaces (NETLINK_LISTEN_ALL_NSID)."""
_SOL_NETLINK, _LISTEN_ALL_NSID = 270, 8


def demand(status: str) -> None:
    """Returns when all of `NEEDED` is effective; raises Denied `SDD-PRIVILEGE` otherwise."""
    if missing := tuple(_missing(status, NEEDED)):
        raise errors.Denied(
            f"sdd may not manage network namespaces: it lacks {' and '.join(missing)}",
            hint="run it as root or as a systemd service: systemctl start sdd",
            code="SDD-PRIVILEGE",
        )


def is_deaf() -> bool:
    """Whether the kernel keeps from us what changes in other namespaces than this one."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, netlink.ROUTE) as one:
        try:
            one.setsockopt(_SOL_NETLINK, _LISTEN_ALL_NSID, 1)
        except PermissionError:
            return True
    return False


def lacking(status: str, *, is_deaf: bool) -> tuple[str, ...]:
    """Which of `HELPFUL` are not effective.

    With `is_deaf` the kernel refused what `HELPFUL` is for, whatever `status` says: a capability
    may be one of a user namespace that does not own the network namespace.
    """
    return tuple(_missing(status, HELPFUL)) or (tuple(HELPFUL) if is_deaf else ())


def _missing(status: str, wanted: Mapping[str, int]) -> Iterator[str]:
    found = re.search(r"^CapEff:\s*([0-9a-f]+)$", status, re.MULTILINE)
    effective = int(found[1], 16) if found else 0
    return (name for name, bit in wanted.items() if not effective >> bit & 1)
