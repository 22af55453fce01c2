"""What stands in front of IPVS in `inet sdd-lb`: virtual addresses → marks.

Out: requests of one nftables transaction. In: what the kernel holds, as values.

A mark service catches what carries its mark, so a map gives each virtual address its two marks: one
for TCP and SCTP, one for datagrams, whose flows must leave a draining backend while connections
stay. IPVS knows its live connections without marks; an address without a backend for new ones has
none. What still goes to a virtual address behind IPVS is refused, but for pings while it is up.
(Left to IPVS, an IPv6 client would hear of it a second late.) `number` records whose address it
is; `own` are the same addresses as a set, since older kernels refuse a map where a set is meant.
"""

import sys
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from types import MappingProxyType

from lb.kernel import nft_frame, nft_netlink, nft_prints
from lb.kernel.nft_expressions import element, plain
from lb.kernel.nft_frame import TABLE
from lb.kernel.nft_messages import ADDRESS, Set, Writer
from lb.kernel.nft_prints import Prints
from sdd.linux import netlink
from sdd.linux.netlink import Message
from sdd.model.network import IPAddress

BASE = 0x5D000000  # our range of marks: 0x5d000000..0x5dffffff, documented in docs/balancing.md
LIMIT = 0x5E000000
_MARKING = -150  # NF_IP_PRI_MANGLE: before IPVS looks (NF_IP_PRI_NAT_DST + 1 and + 2)
_REFUSING = -90
_PROTOCOLS = ((6, 0), (132, 0), (17, 1))  # and what is added to the mark of streams
# Each part of a key that is several fills four bytes.
_RESTS = tuple((bytes((protocol, 0, 0, 0)), bit) for protocol, bit in _PROTOCOLS)
_ECHO = "{ icmp, icmpv6 }"

CHAINS = (
    nft_frame.Chain(
        "output",
        ("filter", "output", _MARKING),
        (
            "meta mark set ip daddr . meta l4proto map @mark4",
            "meta mark set ip6 daddr . meta l4proto map @mark6",
        ),
    ),
    nft_frame.Chain("refused", None, nft_frame.REJECT),
    # Refused where it comes back: refused on the way out, a send would fail with EPERM instead.
    nft_frame.Chain(
        "refuse",
        ("filter", "input", _REFUSING),
        (
            f"ip daddr @up4 meta l4proto {_ECHO} accept",
            f"ip6 daddr @up6 meta l4proto {_ECHO} accept",
            "ip daddr @own4 goto refused",
            "ip6 daddr @own6 goto refused",
        ),
        version=2,
    ),
    # Only without its local route does a packet to a virtual address get as far as this.
    nft_frame.Chain(
        "guard",
        ("filter", "output", _REFUSING),
        (
            'oifname != "lo" ip daddr @own4 goto refused',
            'oifname != "lo" ip6 daddr @own6 goto refused',
        ),
    ),
)
_BEHIND = 110  # IPVS looks at what is for this host, and at what is forwarded, at 98 to 100


def chains_of(uplink: str) -> tuple[nft_frame.Chain, ...]:
    """The shared chains; with an `uplink`, what comes over it is balanced as well.

    Its packets are for a local address (local_routes), so IPVS sees them on their way in; what it
    forwards are answers, which say they come from a virtual address when it has seen them.
    """
    if not uplink:
        return CHAINS
    output, refused, refuse, guard = CHAINS
    marks, refusals = (
        tuple(f'iifname "{uplink}" {rule}' for rule in each.rules) for each in (output, refuse)
    )
    sent = tuple(f'iifname != "{uplink}" {rule}' for rule in refuse.rules)
    return (
        *(output, refused, replace(refuse, rules=sent), guard),
        nft_frame.Chain("arriving", ("filter", "prerouting", _MARKING), marks),
        nft_frame.Chain("input", ("filter", "input", _BEHIND), refusals),
        nft_frame.Chain(
            "forward",
            ("filter", "forward", _BEHIND),
            ("ip saddr @own4 accept", "ip6 saddr @own6 accept", "drop"),
        ),
    )


_SETS = (
    "map mark4 { type ipv4_addr . inet_proto : mark; }",
    "map mark6 { type ipv6_addr . inet_proto : mark; }",
    "map number4 { type ipv4_addr : mark; }",
    "map number6 { type ipv6_addr : mark; }",
    "set own4 { type ipv4_addr; }",
    "set own6 { type ipv6_addr; }",
    "set up4 { type ipv4_addr; }",
    "set up6 { type ipv6_addr; }",
)


def frame_of(uplink: str) -> str:
    """The table without its virtual addresses."""
    return nft_frame.frame(_SETS, chains_of(uplink))


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """One virtual address in the table: its service number, and whether a ping is answered."""

    vip: IPv4Address | IPv6Address
    number: int
    is_up: bool

    @property
    def stream(self) -> int:
        """The mark of TCP and SCTP."""
        return stream_mark(self.number)

    @property
    def datagram(self) -> int:
        """The mark of UDP."""
        return stream_mark(self.number) | 1

    @property
    def marks(self) -> Mapping[int, int]:
        """IP protocol → mark."""
        stream = stream_mark(self.number)
        return {protocol: stream | bit for protocol, bit in _PROTOCOLS}


Fronts = Mapping[IPAddress, Front]


def stream_mark(number: int) -> int:
    """The mark of a service's connections; the one above is that of its datagrams."""
    return BASE | number << 1


def remove() -> Message:
    """The table goes; it must be there."""
    return _WRITER.delete_table()


def rebuild(fronts: Fronts, frame: Sequence[Message], *, is_there: bool) -> Iterator[Message]:
    """The whole table anew; `frame` are the requests that make `frame_of` the place."""
    if is_there:
        yield remove()
    yield from frame
    yield from _added(fronts.values())


def changes(have: Fronts, want: Fronts, vips: Collection[IPAddress]) -> Iterator[Message]:
    """What turns `have` into `want` for `vips`; nothing when they agree."""
    moved = [vip for vip in vips if have.get(vip) != want.get(vip)]
    gone = _elements((have[vip] for vip in moved if vip in have), lambda _: b"")
    for one, keys in gone.items():
        yield from _WRITER.delete_elements(_SETS_OF[one], keys)
    yield from _added(want[vip] for vip in moved if vip in want)


def _added(fronts: Iterable[Front]) -> Iterator[Message]:
    for one, those in _elements(fronts, _to_number).items():
        yield from _WRITER.add_elements(_SETS_OF[one], those)


def _to_number(number: int) -> bytes:
    return _NUMBER_HEAD + number.to_bytes(4, sys.byteorder)


_NUMBER_HEAD = plain(bytes(4))[:-4]
_WRITER = Writer(TABLE)
_SETS_OF = MappingProxyType(
    {
        (version, name): Set(name=f"{name}{version}", key=kind)
        for version, kind in ADDRESS.items()
        for name in ("number", "own", "mark", "up")
    }
)


def _elements(
    fronts: Iterable[Front], data_of: Callable[[int], bytes]
) -> Mapping[tuple[int, str], Collection[bytes]]:
    """By IP version and set; `data_of` a number is what a map leads to, none when it goes."""
    found: defaultdict[tuple[int, str], list[bytes]] = defaultdict(list)
    for front in fronts:
        version, vip = front.vip.version, front.vip.packed
        bare = element(vip)
        found[version, "number"].append(element(vip, data_of(front.number)))
        found[version, "own"].append(bare)
        if front.is_up:
            stream = front.stream
            found[version, "mark"].extend(
                [element(vip + rest, data_of(stream | bit)) for rest, bit in _RESTS]
            )
            found[version, "up"].append(bare)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The table as read: the virtual addresses that are complete, and what is wrong.

    `damaged` are those of which something is left, told as far as that goes.
    """

    fronts: Fronts
    damaged: Fronts
    flaws: tuple[str, ...]
    is_there: bool


def read(
    connection: netlink.Connection,
    only: Collection[IPAddress] | None = None,
    uplink: str = "",
    wanted: Prints = MappingProxyType({}),
) -> Found:
    """What the namespace's table holds; nothing when there is none.

    All of it, its rules are compared with those `wanted`, if any are told.
    """
    if not nft_netlink.present(connection):
        return Found(fronts={}, damaged={}, flaws=(), is_there=False)
    marks: defaultdict[bytes, dict[int, int]] = defaultdict(dict)
    protocols = tuple(each for each, _ in _PROTOCOLS)
    for key, protocol, data in nft_netlink.by_address_prefix(connection, "mark", only, protocols):
        marks[key][protocol[0]] = netlink.to_int(nft_netlink.value(data))
    numbers = {
        key: netlink.to_int(nft_netlink.value(data))
        for key, data in nft_netlink.by_address(connection, "number", only)
    }
    own, up = (
        {key for key, _ in nft_netlink.by_address(connection, name, only)} for name in ("own", "up")
    )
    asked = {each.packed: each for each in only or ()}
    fronts: dict[IPAddress, Front] = {}
    damaged: dict[IPAddress, Front] = {}
    flaws: list[str] = []
    for key in marks.keys() | numbers.keys() | own | up:
        vip = asked[key] if key in asked else ip_address(key)
        number = numbers[key] if key in numbers else _number_of(marks.get(key, {}))
        front = Front(vip=vip, number=number, is_up=key in up)
        whole = key in numbers and key in own
        if whole and marks.get(key, {}) == (front.marks if front.is_up else {}):
            fronts[vip] = front
        else:
            damaged[vip] = front
            flaws.append(f"the marks of {vip} are not as sdd writes them")
    if only is None:
        rules = nft_netlink.rules(connection)
        comments = nft_netlink.comments(rules)
        flaws.extend(nft_netlink.frame_flaws(connection, chains_of(uplink), comments))
        if wanted and not flaws:
            flaws.extend(nft_prints.differences(nft_prints.of_chains(connection, rules), wanted))
    return Found(fronts=fronts, damaged=damaged, flaws=tuple(flaws), is_there=True)


def _number_of(marks: Mapping[int, int]) -> int:
    """The number of the service whose marks, of which there may be none, these are."""
    return (next(iter(marks.values()), BASE) & ~BASE) >> 1
