"""What the kernel holds in our tables, by netlink: rules, hooks and elements.

The table is `inet sdd-lb` unless another is named.

Reading through libnftables would list the contents of every anonymous map as text: 0.24 s for 1000
services. Attributes: include/uapi/linux/netfilter/nf_tables.h.
"""

import functools
import struct
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from lb.kernel.nft_frame import TABLE, Chain
from sdd import errors
from sdd.linux import netlink, netlink_picked
from sdd.model.network import IPAddress

_SUBSYSTEM = 10 << 8  # NFNL_SUBSYS_NFTABLES
_GET_TABLE, _GET_CHAIN, _GET_RULE, _GET_SET, _GET_ELEMENT = (
    _SUBSYSTEM | each for each in (1, 4, 7, 10, 13)
)
_GET_GENERATION = _SUBSYSTEM | 16
_INET = struct.pack(">BBH", 1, 0, 0)  # struct nfgenmsg: NFPROTO_INET
_DORMANT = 1  # NFT_TABLE_F_DORMANT: the table's chains are not hooked
_NF_ACCEPT = 1
_GOTO = struct.pack(">i", -4)  # NFT_GOTO
_HOOKS = MappingProxyType(
    {0: "prerouting", 1: "input", 2: "forward", 3: "output", 4: "postrouting"}
)  # enum nf_inet_hooks
WIDTH = MappingProxyType({4: 4, 6: 16})  # bytes of an address
FEW = 32  # objects that are asked for one by one; more are found faster among all
_ELEMENT = struct.Struct("=HHHHHH")  # length and type of an element, its key, the key's value
_DATA = struct.Struct("=HH")
_WORD = struct.pack("=HH", 8, 1)  # the head of a value of four bytes
_COMMENT = 0  # NFTNL_UDATA_RULE_COMMENT

Hook = tuple[str, str, int]
Comments = Mapping[str, Sequence[str]]  # chain → its rules' comments, in order


class Rule(NamedTuple):
    """One rule as listed; one without a comment has "": it is not ours."""

    comment: str
    expressions: bytes


Rules = Mapping[str, Sequence[Rule]]  # by chain, in order


def present(connection: netlink.Connection, of: str = TABLE) -> bool:
    """Whether the namespace of `connection` has the table."""
    return handle(connection, of) is not None


def handle(connection: netlink.Connection, of: str = TABLE) -> int | None:
    """The number of the table, which no other one gets until the next boot; None: there is none."""
    (result,) = connection.request((_named(_GET_TABLE, netlink.text(1, of)),))
    if result.error:
        return None
    told = (_body(reply).get(4, b"") for reply in result.replies)
    return int.from_bytes(next(told, b""), "big")


def rules(
    connection: netlink.Connection, chain: str = "", of: str = TABLE
) -> dict[str, list[Rule]]:
    """The rules of one chain or all."""
    body = _INET + netlink.text(1, of) + (netlink.text(2, chain) if chain else b"")
    found: defaultdict[str, list[Rule]] = defaultdict(list)
    for reply in connection.dump(_GET_RULE, body):
        chain_, expressions, userdata = netlink_picked.picked(reply.body, len(_INET), (2, 4, 7))
        found[netlink.to_text(chain_)].append(Rule(_comment(userdata), expressions))
    return dict(found)


def sets(connection: netlink.Connection, of: str = TABLE) -> Sequence[tuple[bytes, bytes]]:
    """Name and number of each set and map of the table; a number is never used again there.

    A table that is not there has none.
    """
    try:
        replies = connection.dump(_GET_SET, _INET + netlink.text(1, of))
    except errors.KernelRefused:
        return ()
    told = (netlink_picked.picked(each.body, len(_INET), (2, 16)) for each in replies)
    return [(name, number) for name, number in told]


def comments(rules: Rules) -> dict[str, list[str]]:
    """Those of the rules, by chain."""
    return {chain: [each.comment for each in those] for chain, those in rules.items()}


def frame_flaws(
    connection: netlink.Connection,
    chains: Sequence[Chain],
    found: Comments,
    others: Collection[str] = (),
    of: str = TABLE,
) -> Iterator[str]:
    """What is not as the shared `chains` should be; `others` are the plain chains beside them."""
    (result,) = connection.request((_named(_GET_TABLE, netlink.text(1, of)),))
    for reply in result.replies:
        if int.from_bytes(_body(reply).get(2, b""), "big") & _DORMANT:
            yield "the table is dormant"
    hooks = dict(_hooks(connection, of))
    for each in chains:
        if hooks.pop(each.name, ()) != each.hook:
            yield f"the chain {each.name!r} is not hooked as sdd does it"
        if tuple(found.get(each.name, ())) != each.comments:
            yield f"the rules of the chain {each.name!r} are not as sdd writes them"
    for name, hook in hooks.items():
        if name not in others or hook is not None:
            yield f"the chain {name!r} is not one of sdd's"


def elements(
    connection: netlink.Connection, name: str, of: str = TABLE
) -> Iterator[tuple[bytes, bytes]]:
    """(key, data) of every element of a set or map; data holds netlink attributes.

    A set that is not there has no elements: the rules that used it are then missing as well.
    """
    yield from _elements(listed(connection, name, of))


def listed(connection: netlink.Connection, name: str, of: str = TABLE) -> tuple[netlink.Reply, ...]:
    """What the kernel tells of all elements of a set or map, in its own form; () if it is not."""
    try:
        return connection.dump(_GET_ELEMENT, _INET + _in_set(name, of))
    except errors.KernelRefused:
        return ()


def told(reply: netlink.Reply) -> bytes:
    """The elements of a reply, one after the other."""
    return netlink_picked.picked(reply.body, len(_INET), (3,))[0]


def numbered(connection: netlink.Connection, name: str, width: int) -> dict[int, bytes]:
    """Number → address of that many bytes, of a map from one to the other; {} if it is not."""
    layout = struct.Struct(f"=12xI8x{width}s")  # as the kernel tells each; the rest are headers
    found: dict[int, bytes] = {}
    for reply in listed(connection, name):
        whole = told(reply)
        if len(whole) % layout.size:
            return {}
        found |= layout.iter_unpack(whole)
    return found


def generation(connection: netlink.Connection) -> int:
    """A number of the namespace that every change of any of its tables counts up."""
    (result,) = connection.request((_named(_GET_GENERATION, b""),))
    told = (_body(reply).get(1, b"") for reply in result.replies)
    return int.from_bytes(next(told, b""), "big")


def by_address(
    connection: netlink.Connection, name: str, only: Collection[IPAddress] | None
) -> Iterator[tuple[bytes, bytes]]:
    """(address in bytes, data) of the pair of sets `name`4 and `name`6, whose key is an address."""
    for family in WIDTH:
        keys = None if only is None else {each.packed for each in only if each.version == family}
        if keys is None or len(keys) > FEW:
            found = elements(connection, f"{name}{family}")
        else:
            found = looked_up(connection, f"{name}{family}", keys)
        for key, value in found:
            if keys is None or key in keys:
                yield key, value


def by_address_prefix(
    connection: netlink.Connection,
    name: str,
    only: Collection[IPAddress] | None,
    rest: Collection[int] = (),
) -> Iterator[tuple[bytes, bytes, bytes]]:
    """(address in bytes, rest of the key, data) of sets whose key starts with an address.

    Of few addresses the keys that go on with one of `rest` (of one byte) are asked for, if it is
    given: all there are need not be listed then.
    """
    for family, width in WIDTH.items():
        wanted = None if only is None else {each.packed for each in only if each.version == family}
        if wanted is not None and not wanted:
            continue
        if wanted is not None and rest and len(wanted) <= FEW:
            keys = (each + bytes((one, 0, 0, 0)) for each in wanted for one in rest)
            found = looked_up(connection, f"{name}{family}", keys)
        else:
            found = elements(connection, f"{name}{family}")
        for key, value in found:
            if wanted is None or key[:width] in wanted:
                yield key[:width], key[width:], value


def value(data: bytes) -> bytes:
    """The plain value in an element's data."""
    if data.startswith(_WORD):
        return data[4:8]
    return netlink.attributes(data).get(1, b"")


def target(data: bytes) -> str:
    """The chain an element's verdict goes to, not to come back; empty for another verdict."""
    verdict = netlink.attributes(netlink.attributes(data).get(2, b""))
    return netlink.to_text(verdict.get(2, b"")) if verdict.get(1) == _GOTO else ""


def _hooks(connection: netlink.Connection, of: str) -> Iterator[tuple[str, Hook | None]]:
    """Each chain and where it hooks, None when nowhere; a policy of drop is told as a type."""
    for reply in connection.dump(_GET_CHAIN, _INET):
        found = _body(reply)
        if netlink.to_text(found.get(1, b"")) != of:
            continue
        name, hook = netlink.to_text(found.get(3, b"")), found.get(4)
        if hook is None:
            yield name, None
            continue
        inner = netlink.attributes(hook)
        (number,), (priority,) = struct.unpack(">I", inner[1]), struct.unpack(">i", inner[2])
        kind = netlink.to_text(found.get(7, b""))
        if int.from_bytes(found.get(5, b""), "big") != _NF_ACCEPT:
            kind += " that drops"
        yield name, (kind, _HOOKS.get(number, str(number)), priority)


def _comment(userdata: bytes) -> str:
    while len(userdata) > 1:  # type, length, payload: libnftnl's udata, one byte each
        kind, length = userdata[0], userdata[1]
        if kind == _COMMENT:
            return netlink.to_text(userdata[2 : 2 + length])
        userdata = userdata[2 + length :]
    return ""


def looked_up(
    connection: netlink.Connection, name: str, keys: Iterable[bytes]
) -> Iterator[tuple[bytes, bytes]]:
    """(key, data) of those of `keys` that are in a set or map."""
    for result in connection.request(asked(name, key) for key in keys):
        yield from _elements(result.replies)


def asked(name: str, key: bytes) -> netlink.Message:
    """The request for one element of a set or map."""
    element = netlink.nested(1, netlink.nested(1, netlink.attribute(1, key)))
    return _named(_GET_ELEMENT, _in_set(name) + netlink.nested(3, element))


def _elements(replies: Iterable[netlink.Reply]) -> Iterator[tuple[bytes, bytes]]:
    for reply in replies:
        if (alike := _alike(reply)) is not None:
            yield from alike
            continue
        for found in walked(reply):
            yield netlink.attributes(found.get(1, b"")).get(1, b""), found.get(2, b"")


def _alike(reply: netlink.Reply) -> Iterable[tuple[bytes, bytes]] | None:
    """The same of elements that differ in key and data alone; None if these are not all such."""
    whole = told(reply)
    if len(whole) < _ELEMENT.size:
        return None
    length, *_, of_key, _ = _ELEMENT.unpack_from(whole)
    layout = _layout(of_key - 4 + 3 & ~3, length)
    if layout is None or len(whole) % layout.size:
        return None
    heads, keys, others, data = zip(*layout.iter_unpack(whole), strict=True)
    if len(set(heads)) > 1 or len(set(others)) > 1 or not _is_plain(heads[0], others[0]):
        return None
    return zip(keys, data, strict=True)


@functools.lru_cache(maxsize=64)
def _layout(key: int, length: int) -> struct.Struct | None:
    """Heads, key, the data's head, data of an element of that length."""
    rest = length - _ELEMENT.size - key
    if key <= 0 or rest < 0 or length % 4 or 0 < rest < _DATA.size:
        return None
    other = min(rest, _DATA.size)
    return struct.Struct(f"={_ELEMENT.size}s{key}s{other}s{rest - other}s")


def _is_plain(heads: bytes, other: bytes) -> bool:
    """Whether an element is a key, and data that fill what is left of it, if any."""
    length, kind, of_keys, keys, of_key, key = _ELEMENT.unpack(heads)
    rest = length - 4 - of_keys
    wanted = _DATA.pack(rest, 2) if rest else b""
    return (kind, keys, key, of_keys, other) == (1, 1, 1, of_key + 4, wanted) and of_key % 4 == 0


def walked(reply: netlink.Reply) -> Iterator[dict[int, bytes]]:
    """The attributes of each element of a reply."""
    for _, element in netlink.walk(told(reply)):
        yield netlink.attributes(element)


def _in_set(name: str, of: str = TABLE) -> bytes:
    return netlink.text(1, of) + netlink.text(2, name)


def _named(kind: int, attributes: bytes) -> netlink.Message:
    return netlink.Message(kind, 0, _INET + attributes)


def _body(reply: netlink.Reply) -> dict[int, bytes]:
    return netlink.attributes(reply.body[len(_INET) :])
