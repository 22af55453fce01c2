"""Whether this process may do what it is for, asked before it touches anything.

In: the text of /proc/self/status. Out: nothing, or one sentence naming what is missing.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from sdd import errors

STATUS: Final = Path("/proc/self/status")
NEEDED: Final[Mapping[str, int]] = {"CAP_NET_ADMIN": 12, "CAP_SYS_ADMIN": 21}
"""Name → bit (include/uapi/linux/capability.h): links and rules; setns and mount."""


def demand(status: str) -> None:
    """Returns when all of `NEEDED` is effective; raises Denied `SDD-PRIVILEGE` otherwise."""
    if missing := tuple(_missing(status)):
        raise errors.Denied(
            f"sdd may not manage network namespaces: it lacks {' and '.join(missing)}",
            hint="run it as root or as a systemd service: systemctl start sdd",
            code="SDD-PRIVILEGE",
        )


def _missing(status: str) -> Iterator[str]:
    found = re.search(r"^CapEff:\s*([0-9a-f]+)$", status, re.MULTILINE)
    effective = int(found[1], 16) if found else 0
    return (name for name, bit in NEEDED.items() if not effective >> bit & 1)
