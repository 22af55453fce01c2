"""Links on the wire: what a message says of a link, and messages that make, change, remove one.

In: names, numbers, descriptors. Out: `netlink.Message`s, and `Report`s of the kernel's answers.
What is wanted is not known here. Format: include/uapi/linux/{if_link,rtnetlink,ip,ipv6}.h.
"""

import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from sdd.linux import netlink

NEW, DELETE, GET = 16, 17, 18
UP = 0x1  # IFF_UP
_LOOPBACK = 0x8  # IFF_LOOPBACK
_NO_ARP = 0x80  # IFF_NOARP
_RUNNING = 0x40  # IFF_RUNNING
_ETHERNET = 1  # ARPHRD_ETHER
_HEADER = struct.Struct("=BxHiII")  # struct ifinfomsg
_ADDRESS, _NAME, _MTU, _LINK, _MASTER, _INFO, _ALIAS = 1, 3, 4, 5, 10, 18, 20
_AF_SPEC, _GROUP, _NETNS_FD, _EXT_MASK = 26, 27, 28, 29
_TX_QUEUES, _RX_QUEUES = 31, 32
_PARENT_SPACE, _INSIDE = 37, 46  # IFLA_LINK_NETNSID, IFLA_TARGET_NETNSID
_INFO_KIND, _INFO_DATA, _PEER = 1, 2, 1
_SLAVE_KIND, _SLAVE_DATA = 4, 5
# IFLA_BRPORT_…: what a bridge port does, each a byte.
(
    PORT_STATE,
    PORT_HAIRPIN,
    PORT_GUARD,
    PORT_ROOT_BLOCK,
    PORT_FAST_LEAVE,
    PORT_LEARNING,
    PORT_FLOOD,
    PORT_PROXY_ARP,
    PORT_PROXY_ARP_WIFI,
    PORT_MULTICAST_ROUTER,
    PORT_MULTICAST_FLOOD,
    PORT_MULTICAST_TO_UNICAST,
    PORT_VLAN_TUNNEL,
    PORT_BROADCAST_FLOOD,
    PORT_NEIGHBOUR_SUPPRESSION,
    PORT_ISOLATED,
    PORT_LOCKED,
    PORT_MAC_AUTH,
) = _PORT = (1, 4, 5, 6, 7, 8, 9, 10, 12, 25, 27, 28, 29, 30, 32, 33, 39, 40)
_VLAN_ID, _MACVLAN_MODE, _IPVLAN_MODE, _IPVLAN_FLAGS = 1, 1, 1, 2
_BRIDGE = "bridge"
_STP_STATE = 5  # IFLA_BR_STP_STATE
_MODES = {"macvlan": (_MACVLAN_MODE, 0), "ipvlan": (_IPVLAN_MODE, _IPVLAN_FLAGS)}  # 0: no flags
_TELLING = _MODES.keys() | {_BRIDGE}  # the kinds whose own attributes are read
_SKIP_STATS = 1 << 3  # RTEXT_FILTER_SKIP_STATS: half of a dump's bytes
_INET_CONF, _INET6_CONF, _INET6_GEN_MODE = 1, 2, 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What the kernel tells of one link. `conf4` counts from 1, `conf6` from 0, as in the kernel.

    `gen_mode` is -1 and `conf6` empty where the link has no IPv6; `stp` is -1 for what is no
    bridge. `port` has what this kernel tells of a bridge port, by number; `running`: up, and with a
    carrier; `arp`: it has neighbours, of both families. `mode` and `flags` are those of macvlan and
    ipvlan links. `parent_space` is the number of the namespace in which the link under this one is,
    -1 when it is the same.
    """

    index: int
    name: str
    kind: str
    loopback: bool
    alias: str
    group: int
    mac: str
    mtu: int
    up: bool
    master: int
    conf4: tuple[int, ...]
    conf6: tuple[int, ...]
    gen_mode: int
    port: Mapping[int, int]
    running: bool = False
    arp: bool = True
    mode: int = 0
    flags: int = 0
    stp: int = -1
    is_ethernet: bool = True
    master_kind: str = ""
    parent_space: int = -1


def listing() -> tuple[int, bytes]:
    """Type and body of the request that lists all links without their counters."""
    return GET, _HEADER.pack(0, 0, 0, 0, 0) + netlink.u32(_EXT_MASK, _SKIP_STATS)


def ask(which: "Which") -> netlink.Message:
    """The question for one link."""
    return netlink.Message(GET, 0, _this(which) + netlink.u32(_EXT_MASK, _SKIP_STATS))


def ask_all_inside(number: int) -> netlink.Message:
    """The question for all links of the namespace that the socket's calls `number`."""
    kind, body = listing()
    return netlink.Message(kind, netlink.DUMP, body + netlink.u32(_INSIDE, number))


def of(reply: netlink.Reply) -> Report:
    """The report in an answer of type NEW."""
    _, hardware, index, flags, _ = _HEADER.unpack_from(reply.body)
    found = netlink.attributes(reply.body[_HEADER.size :])
    info = netlink.attributes(found.get(_INFO, b""))
    families = netlink.attributes(found.get(_AF_SPEC, b""))
    inet = netlink.attributes(families.get(socket.AF_INET, b""))
    inet6 = netlink.attributes(families.get(socket.AF_INET6, b""))
    mode = inet6.get(_INET6_GEN_MODE)
    kind = netlink.to_text(info.get(_INFO_KIND, b""))
    own = netlink.attributes(info.get(_INFO_DATA, b"")) if kind in _TELLING else {}
    mode_at, flags_at = _MODES.get(kind, (0, 0))
    master_kind = netlink.to_text(info.get(_SLAVE_KIND, b""))
    return Report(
        index=index,
        name=netlink.to_text(found.get(_NAME, b"")),
        kind=kind,
        loopback=bool(flags & _LOOPBACK),
        alias=netlink.to_text(found.get(_ALIAS, b"")),
        group=netlink.to_int(found.get(_GROUP, b"")),
        mac=found.get(_ADDRESS, b"").hex(":"),
        mtu=netlink.to_int(found.get(_MTU, b"")),
        up=bool(flags & UP),
        master=netlink.to_int(found.get(_MASTER, b"")),
        conf4=_numbers(inet.get(_INET_CONF, b"")),
        conf6=_numbers(inet6.get(_INET6_CONF, b"")),
        gen_mode=-1 if mode is None else netlink.to_int(mode),
        port=_port(info.get(_SLAVE_DATA, b"")) if master_kind == _BRIDGE else {},
        running=bool(flags & _RUNNING),
        arp=not flags & _NO_ARP,
        mode=netlink.to_int(own.get(mode_at, b"")),
        flags=netlink.to_int(own.get(flags_at, b"")),
        stp=netlink.to_int(own.get(_STP_STATE, b"")) if kind == _BRIDGE else -1,
        is_ethernet=hardware == _ETHERNET,
        master_kind=master_kind,
        parent_space=netlink.to_int(found[_PARENT_SPACE]) if _PARENT_SPACE in found else -1,
    )


def _port(data: bytes) -> dict[int, int]:
    found = netlink.attributes(data)
    return {number: netlink.to_int(found[number]) for number in _PORT if number in found}


def _numbers(array: bytes) -> tuple[int, ...]:
    return struct.unpack(f"={len(array) // 4}i", array[: len(array) // 4 * 4])


def add(
    kind: str,
    name: str,
    *,
    group: int,
    mac: str = "",
    mtu: int = 0,
    parent: int = 0,
    data: bytes = b"",
    inside: int = -1,
) -> netlink.Message:
    """Makes a link that stays down; `data` is what its kind needs (`vlan`, `macvlan`, `ipvlan`).

    `parent` is the index of the link under it. With `inside`, a descriptor, it is born in that
    namespace, while its parent is looked up in the socket's.
    """
    made = netlink.nested(_INFO_DATA, data) if data else b""
    parts = [_named(name), _born(group, mac, mtu)]
    if parent:
        parts.append(netlink.u32(_LINK, parent))
    if inside >= 0:
        parts.append(netlink.u32(_NETNS_FD, inside))
    parts.append(netlink.nested(_INFO, netlink.text(_INFO_KIND, kind), made))
    return netlink.Message(NEW, netlink.CREATE | netlink.EXCL, b"".join(parts))


def vlan(tag: int) -> bytes:
    """The data of an 802.1Q link."""
    return netlink.u16(_VLAN_ID, tag)


def macvlan(mode: int) -> bytes:
    """The data of a macvlan link."""
    return netlink.u32(_MACVLAN_MODE, mode)


def ipvlan(mode: int, flags: int) -> bytes:
    """The data of an ipvlan link."""
    return netlink.u16(_IPVLAN_MODE, mode) + netlink.u16(_IPVLAN_FLAGS, flags)


def bridge(stp: int) -> bytes:
    """The data of a bridge."""
    return netlink.u32(_STP_STATE, stp)


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """One end of a veth pair as it is born: down, and without an alias (the kernel ignores it)."""

    name: str
    index: int = 0  # the kernel's choice; both ends give one, or neither
    mac: str = ""
    mtu: int = 0


# A pair uses one queue each way, whatever it has room for. Unasked, the kernel makes room for one
# per processor and waits twice for an RCU grace period to put the rest out of use
# (drivers/net/veth.c, veth_init_queues).
_ONE_QUEUE = netlink.u32(_TX_QUEUES, 1) + netlink.u32(_RX_QUEUES, 1)

Which = str | int  # a link by its name or its index


def add_pair(outer: End, inner: End, *, group: int, inside: int) -> netlink.Message:
    """Makes a veth pair whose inner end is born in the namespace of the descriptor `inside`."""
    peer = netlink.nested(
        _PEER,
        _named(inner.name, index=inner.index)
        + _born(group, inner.mac, inner.mtu)
        + _ONE_QUEUE
        + netlink.u32(_NETNS_FD, inside),
    )
    info = netlink.nested(_INFO, netlink.text(_INFO_KIND, "veth"), netlink.nested(_INFO_DATA, peer))
    born = _born(group, outer.mac, outer.mtu) + _ONE_QUEUE
    body = _named(outer.name, index=outer.index) + born + info
    return netlink.Message(NEW, netlink.CREATE | netlink.EXCL, body)


def change(
    which: Which,
    *,
    up: bool | None = None,
    arp: bool | None = None,
    alias: str | None = None,
    mac: str = "",
    mtu: int = 0,
    master: int | None = None,
    conf4: dict[int, int] | None = None,
    gen_mode: int = -1,
) -> netlink.Message:
    """Changes what is given of the link; `master` 0 takes it off its bridge."""
    flags = (UP if up else 0) | (0 if arp or arp is None else _NO_ARP)
    mask = (0 if up is None else UP) | (0 if arp is None else _NO_ARP)
    parts = [_this(which, flags=flags, mask=mask)]
    if alias is not None:
        parts.append(netlink.attribute(_ALIAS, alias.encode()))
    if mac:
        parts.append(netlink.attribute(_ADDRESS, bytes.fromhex(mac.replace(":", ""))))
    if mtu:
        parts.append(netlink.u32(_MTU, mtu))
    if master is not None:
        parts.append(netlink.u32(_MASTER, master))
    parts.append(_families(conf4 or {}, gen_mode))
    return netlink.Message(NEW, 0, b"".join(parts))


def change_port(which: Which, numbers: Mapping[int, int]) -> netlink.Message:
    """Changes a port of a bridge; one that is none is refused. Unknown numbers are passed over."""
    modes = (netlink.u8(number, value) for number, value in numbers.items())
    data = netlink.nested(_SLAVE_DATA, *modes)
    info = netlink.nested(_INFO, netlink.text(_SLAVE_KIND, _BRIDGE), data)
    return netlink.Message(NEW, 0, _this(which) + info)


def change_kind(which: Which, kind: str, data: bytes) -> netlink.Message:
    """Changes what only links of that kind have; a link of another kind is refused."""
    info = netlink.nested(_INFO, netlink.text(_INFO_KIND, kind), netlink.nested(_INFO_DATA, data))
    return netlink.Message(NEW, 0, _this(which) + info)


def _families(conf4: dict[int, int], gen_mode: int) -> bytes:
    families = []
    if conf4:
        numbers = (netlink.u32(number, value) for number, value in sorted(conf4.items()))
        families.append(netlink.nested(socket.AF_INET, netlink.nested(_INET_CONF, *numbers)))
    if gen_mode >= 0:
        families.append(netlink.nested(socket.AF_INET6, netlink.u8(_INET6_GEN_MODE, gen_mode)))
    return netlink.nested(_AF_SPEC, *families) if families else b""


def delete(which: Which) -> netlink.Message:
    """Removes the link."""
    return netlink.Message(DELETE, 0, _this(which))


def delete_group_inside(group: int, number: int) -> netlink.Message:
    """Removes all links of `group` in the namespace that the socket's calls `number`."""
    body = _HEADER.pack(0, 0, 0, 0, 0) + netlink.u32(_GROUP, group)
    return netlink.Message(DELETE, 0, body + netlink.u32(_INSIDE, number))


def move_to_group(which: Which, group: int) -> netlink.Message:
    """Puts the link into `group`, so that many can be removed by one message."""
    return netlink.Message(NEW, 0, _this(which) + netlink.u32(_GROUP, group))


def delete_group(group: int) -> netlink.Message:
    """Removes all links of `group`: one wait of the kernel for all instead of one for each."""
    body = _HEADER.pack(0, 0, 0, 0, 0) + netlink.u32(_GROUP, group)
    return netlink.Message(DELETE, 0, body)


def _named(name: str, *, index: int = 0) -> bytes:
    return _HEADER.pack(0, 0, index, 0, 0) + netlink.text(_NAME, name)


def _this(which: Which, *, flags: int = 0, mask: int = 0) -> bytes:
    if isinstance(which, int):  # with a name beside, it would be renamed
        return _HEADER.pack(0, 0, which, flags, mask)
    return _HEADER.pack(0, 0, 0, flags, mask) + netlink.text(_NAME, which)


def _born(group: int, mac: str, mtu: int) -> bytes:
    parts = [netlink.u32(_GROUP, group)]
    if mac:
        parts.append(netlink.attribute(_ADDRESS, bytes.fromhex(mac.replace(":", ""))))
    if mtu:
        parts.append(netlink.u32(_MTU, mtu))
    return b"".join(parts)
