"""Questions on an Ethernet whether somebody has an address, and what answers look like. Pure.

IPv4: ARP probes (RFC 5227 §2.1.1). IPv6: neighbour solicitations without a source address (RFC
4862 §5.4.2, format RFC 4861 §4.3). A probe names no sender, so no neighbour's cache changes.
"""

import struct
from ipaddress import IPv4Address, IPv6Address

from sdd.model.network import IPAddress

ARP, IPV6 = 0x0806, 0x86DD  # EtherTypes
ALL_NODES = bytes.fromhex("333300000001")
_EVERYBODY = b"\xff" * 6
_ETHERNET = struct.Struct("!6s6sH")
_ADDRESSES = 12  # bytes, before the EtherType
_TAG = struct.Struct("!HH")
_8021Q = 0x8100
_ARP = struct.Struct("!HHBBH6s4s6s4s")
_ARP_ETHERNET_IPV4 = (1, 0x0800, 6, 4)
_REQUEST = 1
_IPV6_HEADER = struct.Struct("!IHBB16s16s")
_VERSION_6 = 6 << 28
_ICMPV6 = 58
_UNFORWARDED = 255  # the hop limit that no router can have left
_SOLICITATION, _ADVERTISEMENT = 135, 136
_NEIGHBOUR = struct.Struct("!BBHI16s")
_SOLICITED = bytes.fromhex("ff0200000000000000000001ff")  # and the last 24 bits of the target


def probe(target: IPAddress, mac: bytes) -> bytes:
    """The frame that asks for `target` from a link with the address `mac`."""
    if isinstance(target, IPv4Address):
        return _ETHERNET.pack(_EVERYBODY, mac, ARP) + _ARP.pack(
            *_ARP_ETHERNET_IPV4, _REQUEST, mac, bytes(4), bytes(6), target.packed
        )
    group = _SOLICITED + target.packed[-3:]
    return (
        _ETHERNET.pack(b"\x33\x33" + group[-4:], mac, IPV6)
        + _IPV6_HEADER.pack(_VERSION_6, _NEIGHBOUR.size, _ICMPV6, _UNFORWARDED, bytes(16), group)
        + _solicitation(target, group)
    )


def tagged(frame: bytes, tag: int) -> bytes:
    """`frame` as it goes over a trunk: with a tag of IEEE 802.1Q behind the addresses."""
    return frame[:_ADDRESSES] + _TAG.pack(_8021Q, tag) + frame[_ADDRESSES:]


def _solicitation(target: IPv6Address, group: bytes) -> bytes:
    pseudo = bytes(16) + group + struct.pack("!II", _NEIGHBOUR.size, _ICMPV6)
    body = _NEIGHBOUR.pack(_SOLICITATION, 0, 0, 0, target.packed)
    return body[:2] + _checksum(pseudo + body).to_bytes(2, "big") + body[4:]


def _checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071) of an even number of bytes."""
    total: int = sum(word for (word,) in struct.iter_unpack("!H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def answer(frame: bytes) -> tuple[IPAddress, bytes] | None:
    """Who says in `frame` that it has which address: (address, MAC); None for all other frames."""
    if len(frame) < _ETHERNET.size:
        return None
    _, sender, kind = _ETHERNET.unpack_from(frame)
    if kind == ARP:
        return _arp(frame[_ETHERNET.size :])
    if kind == IPV6:
        found = _advertised(frame[_ETHERNET.size :])
        return (found, sender) if found else None
    return None


def _arp(packet: bytes) -> tuple[IPAddress, bytes] | None:
    """Requests and replies alike: who asks as the owner of an address has it."""
    if len(packet) < _ARP.size:
        return None
    *form, _, mac, owner, _, _ = _ARP.unpack_from(packet)
    if tuple(form) != _ARP_ETHERNET_IPV4 or owner == bytes(4):
        return None
    return IPv4Address(owner), mac


def _advertised(packet: bytes) -> IPv6Address | None:
    if len(packet) < _IPV6_HEADER.size + _NEIGHBOUR.size:
        return None
    _, _, following, hops, _, _ = _IPV6_HEADER.unpack_from(packet)
    if (following, hops) != (_ICMPV6, _UNFORWARDED):
        return None
    kind, code, _, _, target = _NEIGHBOUR.unpack_from(packet, _IPV6_HEADER.size)
    return IPv6Address(target) if (kind, code) == (_ADVERTISEMENT, 0) else None
