"""nft's text of a table → the netlink requests that make it, as nft itself translates it.

For text that is always the same, beside requests that are made directly: both go into one
transaction. The table is made in an empty namespace and read back; what the kernel tells of an
object is what it takes to make it. Costs 10 ms: do it once.
Attributes: include/uapi/linux/netfilter/nf_tables.h.
"""

import struct
from collections.abc import Collection, Iterator

from sdd.linux import netlink, nft
from sdd.linux.netlink import Message

SUBSYSTEM = 10  # NFNL_SUBSYS_NFTABLES
_BASE = SUBSYSTEM << 8
_NEW_TABLE, _NEW_CHAIN, _NEW_RULE, _NEW_SET, _NEW_ELEMENT = (
    _BASE | each for each in (0, 3, 6, 9, 12)
)
_INET = struct.pack(">BBH", 1, 0, 0)  # struct nfgenmsg: NFPROTO_INET
_TABLE, _SET_NAME, _SET_ID, _ELEMENTS, _EXPRESSIONS = 1, 2, 10, 3, 4
_TIMEOUT = 6  # NFTA_DYNSET_TIMEOUT
_FLAGS, _DYNAMIC = 3, 0x20  # NFTA_SET_FLAGS, NFT_SET_EVAL
_DESCRIPTION, _SIZE = 9, 1  # NFTA_SET_DESC, NFTA_SET_DESC_SIZE
_MOST = 0xFFFF  # the size of a dynamic set of which none was said
# What makes an object; the kernel tells handles, counts and more, and takes none of it.
_OF_CHAINS = frozenset({1, 3, 4, 5, 7})  # table, name, hook, policy, type
_OF_RULES = frozenset({1, 2, 7})  # table, chain, userdata; and the expressions
_OF_SETS = frozenset({*range(1, 10), 11, 12, 13, 15, 17, 18})  # all but id, handle, type and count


def messages(text: str, table: str) -> tuple[Message, ...]:
    """What makes the table `inet TABLE` of `text`. Call it in an empty namespace.

    Raises `errors.KernelRefused` when nft refuses the text.
    """
    with netlink.Connection(netlink.NETFILTER) as connection:
        with nft.Nft() as rules:
            rules.run(text)
        return tuple(_read(connection, _INET + netlink.text(_TABLE, table)))


def _read(connection: netlink.Connection, head: bytes) -> Iterator[Message]:
    yield _made(_NEW_TABLE, head)
    names = []
    for number, one in enumerate(_listed(connection, _NEW_SET, head), start=1):
        names.append(netlink.attributes(one)[_SET_NAME])
        kept = _roomy(_only(one, _OF_SETS))
        yield _made(_NEW_SET, _INET + kept + netlink.be32(_SET_ID, number))
    for one in _listed(connection, _NEW_CHAIN, head):
        yield _made(_NEW_CHAIN, _INET + _only(one, _OF_CHAINS))
    for name in names:
        of_set = head + netlink.attribute(_SET_NAME, name)
        for one in _listed(connection, _NEW_ELEMENT, of_set):
            if _ELEMENTS in netlink.attributes(one):
                yield _made(_NEW_ELEMENT, _INET + one)
    for one in _listed(connection, _NEW_RULE, head):
        rest, expressions = _only(one, _OF_RULES), netlink.attributes(one).get(_EXPRESSIONS, b"")
        again = netlink.nested(_EXPRESSIONS, *map(_taken, netlink.raw(expressions)))
        yield _made(_NEW_RULE, _INET + rest + again, netlink.APPEND)


def _listed(connection: netlink.Connection, kind: int, body: bytes) -> Iterator[bytes]:
    # In each kind of object the request to list follows the one to make.
    for reply in connection.dump(kind + 1, body):
        if reply.kind == kind:
            yield reply.body[len(_INET) :]


def _made(kind: int, body: bytes, flags: int = 0) -> Message:
    return Message(kind, netlink.CREATE | flags, body)


def _taken(told: tuple[int, bytes]) -> bytes:
    """An expression as it is taken: `update` of a set is told with a timeout even if it has none.

    And a set without timeouts refuses one, even of 0.
    """
    whole = told[1]
    (inner,) = netlink.attributes(whole).values()
    name, data = (netlink.attributes(inner).get(kind, b"") for kind in (1, 2))
    if netlink.to_text(name) != "dynset" or any(netlink.attributes(data).get(_TIMEOUT, b"")):
        return whole
    kept = (each for kind, each in netlink.raw(data) if kind != _TIMEOUT)
    return netlink.nested(1, netlink.attribute(1, name), netlink.nested(2, *kept))


def _roomy(told: bytes) -> bytes:
    """A set as it is made: a dynamic one without its size, where that is what it has anyway.

    nft always says one, and the kernel makes a hash table for as many at once: 1 MiB for 65535, in
    each namespace, and a millisecond to clear it. Not told, it lets the table grow, and stops at
    65535 all the same (nft_dynset_init).
    """
    found = netlink.attributes(told)
    sizes = netlink.attributes(found.get(_DESCRIPTION, b""))
    flags, size = (
        int.from_bytes(of.get(at, b""), "big") for of, at in ((found, _FLAGS), (sizes, _SIZE))
    )
    if not flags & _DYNAMIC or size != _MOST:
        return told
    kept = _but(found[_DESCRIPTION], _SIZE)
    return _but(told, _DESCRIPTION) + netlink.nested(_DESCRIPTION, kept)


def _but(attributes: bytes, unwanted: int) -> bytes:
    return b"".join(whole for kind, whole in netlink.raw(attributes) if kind != unwanted)


def _only(attributes: bytes, kinds: Collection[int]) -> bytes:
    """The same attributes, flags and all, of those kinds."""
    return b"".join(whole for kind, whole in netlink.raw(attributes) if kind in kinds)
