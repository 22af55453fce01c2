"""The elements of sets that count, by netlink: each is a key and a counter.

There may be tens of thousands, which are read every few seconds: those that the kernel writes all
alike are unpacked in one go, and whatever else it tells is taken to pieces.
Attributes: include/uapi/linux/netfilter/nf_tables.h.
"""

import functools
import struct
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import itemgetter

from lb.kernel import nft_netlink
from lb.kernel.nft_frame import TABLE
from sdd.linux import netlink

Counter = tuple[bytes, int, int]  # key, packets, bytes

_HEAD = struct.Struct("=HHHHHH")  # length and type of an element, its key, the key's value
_EXPRESSION = b"".join(  # its counter, up to the bytes
    (
        struct.pack("=HH", 44, 7),  # NFTA_SET_ELEM_EXPR
        struct.pack("=HH8s", 12, 1, b"counter"),  # NFTA_EXPR_NAME
        struct.pack("=HH", 28, 2),  # NFTA_EXPR_DATA
        struct.pack("=HH", 12, 1),  # NFTA_COUNTER_BYTES
    )
)
_PACKETS = struct.pack("=HH", 12, 2)  # NFTA_COUNTER_PACKETS


def counters(connection: netlink.Connection, name: str, of: str = TABLE) -> Iterator[Counter]:
    """(key, packets, bytes) of every element of a set that counts."""
    return _counters(nft_netlink.listed(connection, name, of))


def counters_at(
    connection: netlink.Connection, keys: Mapping[str, Sequence[bytes]]
) -> dict[str, list[Counter]]:
    """The same of those `keys` that are there, by set; a few are asked for, all at once.

    Of a service with a thousand backends there are thousands, most of which never carried anything.
    """
    found: defaultdict[str, list[Counter]] = defaultdict(list)
    few = nft_netlink.FEW
    for name, those in keys.items():
        if len(those) > few:
            wanted = frozenset(those)
            found[name] += [each for each in counters(connection, name) if each[0] in wanted]
    asked = [
        (name, nft_netlink.asked(name, key))
        for name, those in keys.items()
        if len(those) <= few
        for key in those
    ]
    results = connection.request(message for _, message in asked)
    for (name, _), result in zip(asked, results, strict=True):
        found[name].extend(_counters(result.replies))
    return dict(found)


def _counters(replies: Iterable[netlink.Reply]) -> Iterator[Counter]:
    for reply in replies:
        if (alike := _alike(nft_netlink.told(reply))) is not None:
            yield from alike
            continue
        for element in nft_netlink.walked(reply):
            key = netlink.attributes(element.get(1, b"")).get(1, b"")
            expression = netlink.attributes(element.get(7, b""))
            counted = netlink.attributes(expression.get(2, b""))
            octets, packets = (int.from_bytes(counted.get(kind, b""), "big") for kind in (1, 2))
            yield key, packets, octets


def _alike(told: bytes) -> Iterable[Counter] | None:
    """The same of elements that differ in key and numbers alone; None if these are not all such."""
    if len(told) < _HEAD.size:
        return None if told else ()
    head, width = told[: _HEAD.size], len(_EXPRESSION) + len(_PACKETS) + 16
    length, *_, of_key, _ = _HEAD.unpack(head)
    key = length - _HEAD.size - width
    is_plain = key > 0 and head == _HEAD.pack(length, 1, of_key + 4, 1, key + 4, 1)
    if not is_plain or key % 4 or len(told) % length:
        return None
    found = list(_layout(key).iter_unpack(told))
    if {(each[0], each[2], each[4]) for each in found} != {(head, _EXPRESSION, _PACKETS)}:
        return None
    return map(itemgetter(1, 5, 3), found)


@functools.lru_cache(maxsize=16)
def _layout(key: int) -> struct.Struct:
    """Head, key, expression, bytes, head, packets."""
    return struct.Struct(f">{_HEAD.size}s{key}s{len(_EXPRESSION)}sQ{len(_PACKETS)}sQ")
