"""Tables, chains, rules, sets and elements as the requests of one nftables transaction. Pure.

libnftables (`sdd.linux.nft`) reads a text, asks the kernel for what is there and then builds these
requests, in 10 ms beside a thousand services; made directly, they take well below one. Attributes:
include/uapi/linux/netfilter/nf_tables.h; key and data types are nft's own numbers, by which
`nft list` knows how to print them (src/include/datatype.h of nftables).
"""

import functools
import struct
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import IntEnum

from sdd.linux import netlink
from sdd.linux.netlink import Message, be32, nested, text
from sdd.linux.nft_compile import SUBSYSTEM

_INET = struct.pack(">BBH", 1, 0, 0)  # struct nfgenmsg: NFPROTO_INET
_HOOKS = {"prerouting": 0, "input": 1, "forward": 2, "output": 3, "postrouting": 4}
_ACCEPT = 1  # NF_ACCEPT
_ANONYMOUS, _CONSTANT, _MAP = 0x1, 0x2, 0x8  # enum nft_set_flags
_MOST_ELEMENTS = 60_000  # bytes of elements in a message: a list's length has 16 bits
_COMMENT = 0  # NFTNL_UDATA_RULE_COMMENT


class _Kind(IntEnum):
    """enum nf_tables_msg_types."""

    NEW_TABLE = 0
    DELETE_TABLE = 2
    NEW_CHAIN = 3
    DELETE_CHAIN = 5
    DELETE_RULE = 8
    NEW_SET = 9
    DELETE_SET = 11
    NEW_ELEMENT = 12
    DELETE_ELEMENT = 14


_NEW_RULE = SUBSYSTEM << 8 | 6


class Order(IntEnum):
    """In which order the bytes of a number stand: userdata of a set, for `nft list`."""

    NONE = 0
    HOST = 1
    NETWORK = 2


@dataclass(frozen=True, slots=True)
class Type:
    """What a set's key or a map's data is: nft's number, its length in bytes, its byte order."""

    number: int
    length: int
    order: Order
    of: bytes = b""  # what it is the type of (`typeof`), where the number alone says too little


def _told(kind: int, *parts: bytes) -> bytes:
    """One of nft's own notes in userdata: type and length of a byte each."""
    whole = b"".join(parts)
    return bytes((kind, len(whole))) + whole


def _number(kind: int, value: int) -> bytes:
    return _told(kind, struct.pack("=I", value))


INTEGER = Type(4, 4, Order.HOST)
PROTOCOL = Type(12, 1, Order.NONE)
GOTO = Type(0xFFFFFF00, 0, Order.NONE)  # NFT_DATA_VERDICT
ADDRESS = {4: Type(7, 4, Order.NETWORK), 6: Type(8, 16, Order.NETWORK)}
# `typeof meta length : ip daddr`: nft takes no plain integer as the key of a map with a name.
# Numbers of expressions and headers: src/expression.c, meta.c, payload.c, proto.c of nftables.
LENGTH = replace(INTEGER, of=_number(0, 9) + _told(1, _number(0, 0)))
DESTINATION = {
    4: replace(ADDRESS[4], of=_number(0, 7) + _told(1, _number(0, 12), _number(1, 12))),
    6: replace(ADDRESS[6], of=_number(0, 7) + _told(1, _number(0, 13), _number(1, 9))),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Set:
    """A named set, or a map when it has `data`; `number` is its own in the transaction."""

    name: str
    key: Type
    data: Type | None = None
    number: int = 0


class Writer:
    """The requests about one table; a message a call."""

    def __init__(self, table: str) -> None:
        self._table = _INET + text(1, table)

    def add_table(self) -> Message:
        """Fine when it is there."""
        return self._made(_Kind.NEW_TABLE, be32(2, 0))

    def delete_table(self) -> Message:
        """With all that is in it."""
        return self._gone(_Kind.DELETE_TABLE)

    def add_chain(self, name: str, hook: tuple[str, str, int] | None = None) -> Message:
        """Fine when it is there; `hook` is (type, hook, priority), with the policy `accept`."""
        if hook is None:
            return self._made(_Kind.NEW_CHAIN, text(3, name))
        kind, where, priority = hook
        place = nested(4, be32(1, _HOOKS[where]), netlink.attribute(2, struct.pack(">i", priority)))
        return self._made(_Kind.NEW_CHAIN, text(3, name), place, be32(5, _ACCEPT), text(7, kind))

    def delete_chain(self, name: str) -> Message:
        """An empty one that nothing leads to."""
        return self._gone(_Kind.DELETE_CHAIN, text(3, name))

    def flush_chain(self, name: str) -> Message:
        """All its rules go."""
        return self._gone(_Kind.DELETE_RULE, text(2, name))

    def add_rules(self, chain: str, rules: Iterable[tuple[bytes, str]]) -> Iterator[Message]:
        """(expressions, comment of at most 128 characters) each, at the chain's end."""
        head = self._table + text(2, chain)
        for expressions, comment in rules:
            words = comment.encode() + b"\0"
            userdata = netlink.attribute(7, bytes((_COMMENT, len(words))) + words)
            body = head + nested(4, expressions) + userdata
            yield Message(_NEW_RULE, netlink.CREATE | netlink.APPEND, body)

    def add_set(self, one: Set) -> Message:
        """A set whose elements come and go."""
        return self._set(one, flags=0, size=None)

    def delete_set(self, name: str) -> Message:
        """One that no rule looks into, with its elements."""
        return self._gone(_Kind.DELETE_SET, text(2, name))

    def add_constant_map(self, one: Set, size: int) -> Message:
        """A map of one rule: the next rule that looks into it owns it, and it goes with that."""
        return self._set(one, flags=_ANONYMOUS | _CONSTANT, size=size)

    def add_elements(self, one: Set, elements: Collection[bytes]) -> Iterator[Message]:
        """Fine when one is there with the same data."""
        for chunk in _chunks(elements):
            yield self._made(_Kind.NEW_ELEMENT, _of(one), nested(3, chunk))

    def delete_elements(self, one: Set, elements: Collection[bytes]) -> Iterator[Message]:
        """Refused when one is not there."""
        for chunk in _chunks(elements):
            yield self._gone(_Kind.DELETE_ELEMENT, _of(one), nested(3, chunk))

    def _set(self, one: Set, *, flags: int, size: int | None) -> Message:
        before, after = _around(flags, one.key, one.data, size)
        number = one.number.to_bytes(4, "big")
        return self._made(_Kind.NEW_SET, text(2, one.name), before, number, after)

    def _made(self, kind: _Kind, *attributes: bytes) -> Message:
        return Message(SUBSYSTEM << 8 | kind, netlink.CREATE, self._table + b"".join(attributes))

    def _gone(self, kind: _Kind, *attributes: bytes) -> Message:
        return Message(SUBSYSTEM << 8 | kind, 0, self._table + b"".join(attributes))


def _of(one: Set) -> bytes:
    return text(2, one.name) + (be32(4, one.number) if one.number else b"")


@functools.cache
def _around(flags: int, key: Type, data: Type | None, size: int | None) -> tuple[bytes, bytes]:
    """A set without name and number: a thousand of one transaction differ in these alone."""
    flags |= _MAP if data is not None else 0
    body = [be32(3, flags), be32(4, key.number), be32(5, key.length)]
    userdata = _number(0, key.order)
    if data is not None:
        body += [be32(6, data.number), be32(7, data.length)]
        userdata += _number(1, data.order)
        if data.of:
            userdata += _told(3, key.of) + _told(4, data.of)
    body.append(be32(10, 0)[:-4])
    room = nested(9, be32(1, size)) if size is not None else b""
    return b"".join(body), room + netlink.attribute(13, userdata)


def _chunks(elements: Collection[bytes]) -> Iterator[bytes]:
    whole = b"".join(elements)
    if len(whole) <= _MOST_ELEMENTS:
        if whole:
            yield whole
        return
    chunk: list[bytes] = []
    length = 0
    for each in elements:
        if length + len(each) > _MOST_ELEMENTS:
            yield b"".join(chunk)
            chunk, length = [], 0
        chunk.append(each)
        length += len(each)
    if chunk:
        yield b"".join(chunk)
