"""What published ports carry straight from the host to members, counted by the kernel.

The host itself translates ports of `mode=host` and `policy=local`: no sandbox balances them, so
none counts them. A small table does: per protocol, target port and backend, as `nft_counts` in
sandboxes. This process owns it: nobody else can change it, and it goes with it.
"""

import contextlib
import threading
from collections.abc import Iterator, Mapping
from ipaddress import ip_address

from lb.growth import NONE, Growth
from lb.kernel import nft_counters, nft_netlink
from lb.world import PortKey
from sdd import errors
from sdd.linux import namespaces, netlink, nft

TABLE = "sdd-counts"
_PROTOCOLS = {6: "tcp", 17: "udp", 132: "tcp"}  # SCTP counts as tcp, as with IPVS
_SETS = ("began", "sent", "heard")
_BEFORE_SNAT = 90
_BEHIND = 10  # what other filters let through


class HostCounts:
    """Of the host's namespace, or of `host`, a namespace's file."""

    def __init__(self, doors: namespaces.Namespaces, host: str = "") -> None:
        self._doors = doors
        self._host = host
        self._held = contextlib.ExitStack()
        self._is_made: bool | None = None  # None: not tried
        self._trying = threading.Lock()

    def close(self) -> None:
        """The table goes; what it counted is forgotten, and `begin` makes a new one."""
        with self._trying:
            self._held.close()
            self._is_made = None

    async def counts(self) -> Mapping[PortKey, Growth]:
        """Since it began; empty where the kernel does not take the table."""
        return await self._doors.run(self._host, self._counts)

    def begin(self) -> bool:
        """From now on at the latest it counts, if it can; called inside the namespace."""
        with self._trying:
            if self._is_made is None:
                self._is_made = self._make()
            return self._is_made

    def _counts(self) -> Mapping[PortKey, Growth]:
        if not self.begin():
            return {}
        found: dict[PortKey, Growth] = {}
        with netlink.Connection(netlink.NETFILTER) as connection:
            for key, more in _read(connection):
                found[key] = found.get(key, NONE) + more
        return found

    def _make(self) -> bool:
        try:
            rules = nft.Nft()
            self._held.callback(rules.close)
            rules.run(_TEXT)
        except errors.SddError:
            return False
        return True


def _read(connection: netlink.Connection) -> Iterator[tuple[PortKey, Growth]]:
    for name in _SETS:
        for version, width in nft_netlink.WIDTH.items():
            for key, packets, octets in nft_counters.counters(
                connection, f"{name}{version}", TABLE
            ):
                if (protocol := _PROTOCOLS.get(key[0])) is None:
                    continue
                where = (
                    protocol,
                    int.from_bytes(key[4:6], "big"),  # each part begins at a multiple of 4
                    ip_address(key[8 : 8 + width]),
                )
                yield where, _grown(name, packets, octets)


def _grown(name: str, packets: int, octets: int) -> Growth:
    match name:
        case "began":
            return Growth(connections=packets)
        case "sent":
            return Growth(in_packets=packets, in_bytes=octets)
        case _:
            return Growth(out_packets=packets, out_bytes=octets)


def _update(name: str, direction: str, way: str) -> str:
    """`way` is d(estination) or s(ource): where the backend stands."""
    return "\n".join(
        f"ct status dnat ct direction {direction} meta l4proto {{ tcp, udp, sctp }}"
        f" update @{name}{version} {{ meta l4proto . th {way}port . {ip} {way}addr counter }}"
        for version, ip in ((4, "ip"), (6, "ip6"))
    )


def _chain(name: str, hook: str, *rules: str) -> str:
    lines = "\n".join(rules)
    return f"chain {name} {{ type {hook}; policy accept;\n{lines}\n}}"


_SENT = _update("sent", "original", "d")
_HEARD = _update("heard", "reply", "s")
_TEXT = "\n".join(
    (
        f"table inet {TABLE} {{",
        "flags owner;",
        *(
            f"set {name}{version} {{ type inet_proto . inet_service . ipv{version}_addr;"
            " size 65535; flags dynamic; }"
            for name in _SETS
            for version in (4, 6)
        ),
        # A nat chain sees the first packet of each connection only.
        _chain(
            "began",
            f"nat hook postrouting priority {_BEFORE_SNAT}",
            _update("began", "original", "d"),
        ),
        _chain("passing", f"filter hook forward priority {_BEHIND}", _SENT, _HEARD),
        _chain("leaving", f"filter hook output priority {_BEHIND}", _SENT),
        _chain("back", f"filter hook input priority {_BEHIND}", _HEARD),
        "}",
    )
)
