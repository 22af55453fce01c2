"""Whether packets from 127.0.0.1 may leave by a link: `route_localnet`, per link.

Runs inside the host's namespace; /proc/sys shows that of the calling thread. Only links with our
mark are changed: an adopted bridge stays as it is.
"""

import contextlib
import struct
from collections.abc import Collection, Mapping
from enum import Enum, auto
from pathlib import Path

from sdd import fence
from sdd.linux import netlink

_CONF = Path("/proc/sys/net/ipv4/conf")
_GET_LINK = 18  # RTM_GETLINK
_NAME, _ALIAS, _GROUP = 3, 20, 27  # IFLA_IFNAME, IFLA_IFALIAS, IFLA_GROUP
_HEADER = struct.pack("=BxHiII", 0, 0, 0, 0, 0)  # struct ifinfomsg
_MARK = "sdd:"
_BORN = int.from_bytes(b"sdd")  # the group with which links of ours are born, without an alias


def switch(on: Collection[str], off: Collection[str]) -> frozenset[str]:
    """Sets both kinds; returns those of `on` that are not there (yet)."""
    wrong = [(name, "1") for name in on if _value(name) != "1"]
    wrong += [(name, "0") for name in off if _value(name) == "1"]
    found = _links([name for name, _ in wrong])
    for name, value in wrong:
        if found.get(name) is _Whose.OURS:
            with contextlib.suppress(FileNotFoundError), fence.writing():
                _file(name).write_text(value)
    return frozenset(
        name for name in on if not _value(name) or found.get(name) is _Whose.UNFINISHED
    )


class _Whose(Enum):
    OURS = auto()
    UNFINISHED = auto()  # ours, and about to get its alias, for the first time or again
    FOREIGN = auto()


def _file(name: str) -> Path:
    return _CONF / name / "route_localnet"


def _value(name: str) -> str:
    """Empty when there is no such link."""
    try:
        return _file(name).read_text().strip()
    except FileNotFoundError:
        return ""


def _links(names: Collection[str]) -> Mapping[str, _Whose]:
    if not names:
        return {}
    with netlink.Connection(netlink.ROUTE) as connection:
        asked = [netlink.Message(_GET_LINK, 0, _HEADER + netlink.text(_NAME, n)) for n in names]
        results = connection.request(asked)
    replies = (reply for result in results for reply in result.replies)
    return dict(_whose(netlink.attributes(each.body[len(_HEADER) :])) for each in replies)


def _whose(found: Mapping[int, bytes]) -> tuple[str, _Whose]:
    alias = netlink.to_text(found.get(_ALIAS, b""))
    whose = _Whose.FOREIGN
    if alias.startswith(_MARK):
        whose = _Whose.OURS
    elif netlink.to_int(found.get(_GROUP, b"")) == _BORN:
        whose = _Whose.UNFINISHED
    return netlink.to_text(found.get(_NAME, b"")), whose
