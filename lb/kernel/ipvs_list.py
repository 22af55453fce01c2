"""All of IPVS in a network namespace at once, as /proc shows it.

Netlink lists the backends of one service at a time: for a thousand services that is as many
questions, and each backend comes with its counters. Here a backend is a line, which does not tell
its thresholds. Format: net/netfilter/ipvs/ip_vs_ctl.c, ip_vs_info_seq_show: hexadecimal, IPv6 with
colons.

What is not listed may be there all the same: a page ends after so many services of all namespaces
(ip_vs_info_seq_next), and the next one begins after as many of this one (ip_vs_info_array).
"""

import contextlib
import re
from collections import defaultdict
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from lb import table
from lb.kernel.ipvs_codec import Key, Listed
from sdd.model.network import IPAddress

FILE = Path("/proc/thread-self/net/ip_vs")
_Weights = dict[IPAddress, int]
_BY_MARK = "FWM  "
# A service by address (somebody else's), or a backend of the one before it.
_LINE = re.compile(
    r"^(?:([A-Z]+) +[0-9A-F[]"
    r"|  -> (?:\[([0-9a-f:]+)\]|([0-9A-F]{8})):(?:0000|([0-9A-F]{4})) +(\S+) +(-?[0-9]+) )",
    re.MULTILINE,
)
_MASQUERADED = "Masq"
_SHORT = 4  # the IP version without colons


class Listing:
    """A text of /proc, taken apart where it is asked for: most of it is mostly as expected."""

    def __init__(self, text: str) -> None:
        self._blocks: dict[int, list[str]] = {}  # by mark, one for each IP version
        self._addresses: dict[str, IPAddress] = {}
        # A service of streams and one of datagrams mostly say the same.
        self._read: dict[str, Mapping[int, Listed]] = {}
        _, *blocks = text.split(_BY_MARK)
        for block in blocks:
            head, _, lines = block.partition("\n")
            with contextlib.suppress(ValueError):
                self._blocks.setdefault(int(head[:8], 16), []).append(lines)

    def shows(self, mark: int, backends: str) -> bool:
        """Whether a service of that mark is there with just these `lines` of backends."""
        return backends in self._blocks.get(mark, ())

    def of(self, key: Key) -> Listed | None:
        """The backends of a mark service; None where none is told."""
        found = [self._taken(lines) for lines in self._blocks.get(key.mark, ())]
        return next((each[key.version] for each in found if key.version in each), None)

    def _taken(self, lines: str) -> Mapping[int, Listed]:
        if lines not in self._read:
            self._read[lines] = self._parsed(lines)
        return self._read[lines]

    def _parsed(self, lines: str) -> Mapping[int, Listed]:
        """By IP version."""
        weights: defaultdict[int, _Weights] = defaultdict(dict)
        strays: defaultdict[int, set[tuple[IPAddress, int]]] = defaultdict(set)
        for line in _LINE.finditer(lines):
            by_address, v6, v4, port, method, weight = line.groups()
            if by_address is not None:
                break
            written = v6 or v4
            if (address := self._addresses.get(written)) is None:
                address = IPv6Address(v6) if v6 else IPv4Address(int(v4, 16))
                self._addresses[written] = address
            those = weights[address.version]
            if port is None:
                those[address] = int(weight) if method == _MASQUERADED else -1
            else:
                strays[address.version].add((address, int(port, 16)))
        return {
            version: Listed(those, strays.get(version, frozenset()))
            for version, those in weights.items()
        }


def lines(service: table.VirtualService) -> str:
    """How its backends are listed, the newest first, while they have no connection."""
    addresses, weight = service.columns
    if weight is None:
        return "".join([_line(each.address, each.weight) for each in reversed(service.backends)])
    if service.vip.version == _SHORT:
        end = _end(weight)
        told = b"".join(addresses[::-1]).hex(",", len(addresses[0])).upper()
        return f"  -> {told.replace(',', end + '  -> ')}{end}"
    return "".join([_line(each.address, weight) for each in reversed(service.backends)])


def _line(address: IPAddress, weight: int) -> str:
    short = address.version == _SHORT
    told = f"{int(address):08X}" if short else f"[{address.exploded}]"
    return f"  -> {told}{_end(weight)}"


def _end(weight: int) -> str:
    return f":0000      {_MASQUERADED:<7} {weight:<6} 0          0         \n"
