"""Whether IPv6 is switched on in a sandbox. To be run inside its namespace.

In: nothing but where the thread is. Out: what the kernel says of `lo`, which is what the hosts
file depends on (docker.md R12). The switch is asked and not the address `::1`, since `lo` of a
namespace that somebody else makes may come up later.
"""

from pathlib import Path
from typing import Final

_SWITCH: Final = Path("/proc/sys/net/ipv6/conf/lo/disable_ipv6")  # the thread's own namespace


def has_ipv6() -> bool:
    """False as well in a kernel without IPv6."""
    try:
        return _SWITCH.read_text().strip() == "0"
    except OSError:
        return False
