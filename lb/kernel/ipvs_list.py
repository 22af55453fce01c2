"""All of IPVS in a network namespace at once, as /proc shows it.

Netlink lists the backends of one service at a time: for a thousand services that is as many
questions, and each backend comes with its counters. Here a backend is a line, which does not tell
its thresholds. Format: net/netfilter/ipvs/ip_vs_ctl.c, ip_vs_info_seq_show: hexadecimal, IPv6 with
colons.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from lb.kernel.ipvs_codec import Key, Listed
from sdd.model.network import IPAddress

FILE = Path("/proc/thread-self/net/ip_vs")
_Weights = dict[IPAddress, int]
# A service by mark, a service by address (somebody else's), or a backend of the one before it.
_LINE = re.compile(
    r"^(?:FWM  ([0-9A-F]{8}) |([A-Z]+) +[0-9A-F[]"
    r"|  -> (?:\[([0-9a-f:]+)\]|([0-9A-F]{8})):(?:0000|([0-9A-F]{4})) +(\S+) +(-?[0-9]+) )",
    re.MULTILINE,
)
_MASQUERADED = "Masq"


def backends(text: str) -> Mapping[Key, Listed]:
    """The backends of each mark service.

    A service without backends is not among them: the list does not say of which IP version it is.
    """
    found: dict[Key, _Weights] = {}
    strays: dict[Key, set[tuple[IPAddress, int]]] = defaultdict(set)
    of: dict[int, _Weights] = {}  # by IP version, of the mark
    known: dict[str, IPAddress] = {}  # most stand twice: in a service of streams and of datagrams
    mark = 0
    for line in _LINE.finditer(text):
        marked, by_address, v6, v4, port, method, weight = line.groups()
        if marked is not None:
            mark, of = int(marked, 16), {}
        elif by_address is not None:
            mark, of = 0, {}
        elif mark:
            written = v6 or v4
            if (address := known.get(written)) is None:
                address = IPv6Address(v6) if v6 else IPv4Address(int(v4, 16))
                known[written] = address
            if (those := of.get(address.version)) is None:
                those = of[address.version] = found.setdefault(Key(address.version, mark), {})
            if port is None:
                those[address] = int(weight) if method == _MASQUERADED else -1
            else:
                strays[Key(address.version, mark)].add((address, int(port, 16)))
    return {key: Listed(those, strays.get(key, frozenset())) for key, those in found.items()}
