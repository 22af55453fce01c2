"""The numbers that rtnetlink cannot write: files below /proc/sys/net.

The kernel shows the calling thread's namespace there. A file that is absent belongs to
something that the kernel has not got (IPv6 switched off): no error.
"""

import contextlib
from pathlib import Path

_ROOT = Path("/proc/sys/net")
_FORWARDING = {4: _ROOT / "ipv4/ip_forward", 6: _ROOT / "ipv6/conf/all/forwarding"}


def set6(link: str, name: str, value: int) -> None:
    """Sets one IPv6 number of one link."""
    _write(_ROOT / "ipv6/conf" / link / name, value)


def forwarding() -> frozenset[int]:
    """The IP versions whose packets this namespace forwards."""
    return frozenset(version for version, path in _FORWARDING.items() if _read(path) != "0")


def forward(version: int) -> None:
    """Forwards packets of this IP version from now on."""
    _write(_FORWARDING[version], 1)


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return ""


def _write(path: Path, value: int) -> None:
    with contextlib.suppress(FileNotFoundError), path.open("r+") as file:
        file.write(str(value))
