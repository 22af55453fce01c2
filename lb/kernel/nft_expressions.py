"""The expressions of nftables rules, and the elements of sets, as netlink attributes. Pure.

A rule is the expressions one after the other: each loads into a register, judges one, or decides.
Register 1 is where things are put unless said otherwise. Attributes:
include/uapi/linux/netfilter/nf_tables.h; `nft --debug=netlink` shows the same ones for a text.
"""

import functools
from enum import IntEnum

from sdd.linux import netlink
from sdd.linux.netlink import be32, nested, text

VERDICT = 0  # NFT_REG_VERDICT
VALUE = 1  # NFT_REG_1, 16 bytes
HASHED = 2  # NFT_REG_2: where what is hashed begins, so that the hash itself fits into VALUE
WORD = 8  # NFT_REG32_00, the first of 16 registers of 4 bytes
PORT_LENGTH = 4  # a port of two bytes, padded, as what is hashed with others
_WORDS_PER_REGISTER = 4
_NETWORK, _TRANSPORT = 1, 2  # enum nft_payload_bases
_DNAT = 1
_HEADS = 12  # bytes of an element before its key
_INCREMENTAL = 0
_JENKINS = 0
_EQUAL, _UNEQUAL = 0, 1
_FAMILIES = {4: 2, 6: 10}  # NFPROTO_IPV4, NFPROTO_IPV6
_WIDTHS = {4: 4, 6: 16}
_SOURCES, _DESTINATIONS = {4: 12, 6: 8}, {4: 16, 6: 24}  # offsets in the IP headers
_GOTO, _ACCEPT = 0xFFFFFFFC, 1  # NFT_GOTO, NF_ACCEPT


class Meta(IntEnum):
    """What `meta` loads: enum nft_meta_keys."""

    IIF = 4
    NFPROTO = 15
    L4PROTO = 16


def expression(name: str, *attributes: bytes) -> bytes:
    """One expression as a member of a rule's list."""
    return nested(1, text(1, name), nested(2, *attributes))


def meta(key: Meta) -> bytes:
    """`meta l4proto` and the like, loaded; `iif` is 0 for what this namespace sends itself."""
    return expression("meta", be32(2, key), be32(1, VALUE))


def is_version(version: int) -> bytes:
    """Goes on with packets of this IP version alone; before any look into the IP header."""
    return meta(Meta.NFPROTO) + equals(bytes((_FAMILIES[version],)))


def equals(data: bytes) -> bytes:
    """Goes on if the register holds `data`."""
    return _compared(_EQUAL, data)


def differs(data: bytes) -> bytes:
    """Goes on if the register holds anything else."""
    return _compared(_UNEQUAL, data)


def source(version: int, register: int = VALUE) -> bytes:
    """`ip saddr`."""
    return _payload(_NETWORK, _SOURCES[version], _WIDTHS[version], register)


def destination(version: int, register: int = VALUE) -> bytes:
    """`ip daddr`."""
    return _payload(_NETWORK, _DESTINATIONS[version], _WIDTHS[version], register)


def source_port(register: int) -> bytes:
    """`th sport`."""
    return _payload(_TRANSPORT, 0, 2, register)


def behind(version: int) -> int:
    """The register of four bytes that follows an address in HASHED."""
    words = _WIDTHS[version] // 4
    return WORD + (HASHED - 1) * _WORDS_PER_REGISTER + words


def is_in(name: str) -> bytes:
    """Goes on if the set has the register's value."""
    return expression("lookup", text(1, name), be32(2, VALUE))


def mapped(name: str, number: int) -> bytes:
    """The value that a map has for the register's; `number` is the map's in its transaction."""
    before, after = _around_name(len(name))
    return b"".join((before, name.encode(), after, number.to_bytes(4, "big")))


def turn(of: int) -> bytes:
    """`numgen inc mod N`."""
    return expression("numgen", be32(1, VALUE), be32(2, of), be32(3, _INCREMENTAL), be32(4, 0))


def hashed(length: int, of: int, seed: int) -> bytes:
    """`jhash … mod N seed S` of the `length` bytes in HASHED and behind it."""
    return expression(
        "hash",
        *(be32(1, HASHED), be32(2, VALUE), be32(3, length), be32(4, of), be32(5, seed)),
        *(be32(6, 0), be32(7, _JENKINS)),
    )


def value(data: bytes) -> bytes:
    """A constant, loaded; of a multiple of four bytes."""
    return _before_value(len(data)) + data


def rewritten(version: int) -> bytes:
    """`dnat` to the address in the register."""
    return expression("nat", be32(1, _DNAT), be32(2, _FAMILIES[version]), be32(3, VALUE))


def accept() -> bytes:
    """Ends the chain, and the hook's part in the packet."""
    return expression("immediate", be32(1, VERDICT), nested(2, _verdict(_ACCEPT)))


def to_chain(chain: str) -> bytes:
    """The verdict `goto chain`, as data of an element too."""
    return _verdict(_GOTO, text(2, chain))


def element(key: bytes, data: bytes = b"") -> bytes:
    """One element of a set, or of a map whose `data` are attributes (`plain`, `to_chain`)."""
    head, between = _around_element(len(key), len(data))
    return b"".join((head, key, between, data))


@functools.lru_cache(maxsize=1024)
def _around_element(key: int, data: int) -> tuple[bytes, bytes]:
    """What is before a key of that length, and between it and the data: thousands have the same."""
    inner = nested(1, netlink.attribute(1, bytes(key)))
    whole = nested(1, inner, nested(2, bytes(data))) if data else nested(1, inner)
    return whole[:_HEADS], whole[_HEADS + key : len(whole) - data]


def leading(key: bytes, chain: str) -> bytes:
    """One element of a map that goes on in `chain`."""
    before, between, after = _around(len(key), len(chain))
    return b"".join((before, key, between, chain.encode(), after))


def plain(data: bytes) -> bytes:
    """The data of an element that is just bytes."""
    return netlink.attribute(1, data)


def _compared(how: int, data: bytes) -> bytes:
    return expression("cmp", be32(1, VALUE), be32(2, how), nested(3, netlink.attribute(1, data)))


def _payload(base: int, offset: int, length: int, register: int) -> bytes:
    where = (be32(2, base), be32(3, offset), be32(4, length))
    return expression("payload", be32(1, register), *where)


def _verdict(code: int, *chain: bytes) -> bytes:
    return nested(2, be32(1, code), *chain)


# What is written a thousand times in one transaction differs in a few bytes: the rest is kept.


@functools.cache
def _around_name(length: int) -> tuple[bytes, bytes]:
    """What looks into a map, without the name, of this length, and the number, which ends it."""
    name = _MARK[1:] * length
    attributes = (text(1, name.decode()), be32(2, VALUE), be32(3, VALUE), be32(4, 0))
    before, after = expression("lookup", *attributes)[:-4].split(name)
    return before, after


@functools.cache
def _before_value(length: int) -> bytes:
    data = netlink.attribute(1, bytes(length))
    return expression("immediate", be32(1, VALUE), nested(2, data))[:-length]


@functools.cache
def _around(key: int, chain: int) -> tuple[bytes, bytes, bytes]:
    """An element without its key and the name of its chain, of these lengths."""
    whole = element(_MARK[:1] * key, to_chain(_MARK[1:].decode() * chain))
    before, rest = whole.split(_MARK[:1] * key)
    between, after = rest.split(_MARK[1:] * chain)
    return before, between, after


_MARK = b"\x7fx"  # occur nowhere else in such an element
