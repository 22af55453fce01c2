"""Whether packets from 127.0.0.1 may leave by a link: `route_localnet`, per link.

Runs inside the host's namespace; /proc/sys shows that of the calling thread. Only links with our
mark are changed: an adopted bridge stays as it is.
"""

import contextlib
import struct
from collections.abc import Collection, Iterator
from pathlib import Path

from sdd.linux import netlink

_CONF = Path("/proc/sys/net/ipv4/conf")
_GET_LINK = 18  # RTM_GETLINK
_NAME, _ALIAS = 3, 20  # IFLA_IFNAME, IFLA_IFALIAS
_HEADER = struct.pack("=BxHiII", 0, 0, 0, 0, 0)  # struct ifinfomsg
_MARK = "sdd:"


def switch(on: Collection[str], off: Collection[str]) -> frozenset[str]:
    """Sets both kinds; returns those of `on` that are not there (yet)."""
    wrong = [(name, "1") for name in on if _value(name) != "1"]
    wrong += [(name, "0") for name in off if _value(name) == "1"]
    ours = _ours([name for name, _ in wrong])
    for name, value in wrong:
        if name in ours:
            with contextlib.suppress(FileNotFoundError):
                _file(name).write_text(value)
    return frozenset(name for name in on if not _value(name))


def _file(name: str) -> Path:
    return _CONF / name / "route_localnet"


def _value(name: str) -> str:
    """Empty when there is no such link."""
    try:
        return _file(name).read_text().strip()
    except FileNotFoundError:
        return ""


def _ours(names: Collection[str]) -> frozenset[str]:
    if not names:
        return frozenset()
    with netlink.Connection(netlink.ROUTE) as connection:
        asked = [netlink.Message(_GET_LINK, 0, _HEADER + netlink.text(_NAME, n)) for n in names]
        results = connection.request(asked)
    return frozenset(_marked(results))


def _marked(results: Collection[netlink.Result]) -> Iterator[str]:
    for result in results:
        for reply in result.replies:
            found = netlink.attributes(reply.body[len(_HEADER) :])
            if netlink.to_text(found.get(_ALIAS, b"")).startswith(_MARK):
                yield netlink.to_text(found.get(_NAME, b""))
