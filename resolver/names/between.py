"""Names that exist only because of what is below them (empty non-terminals, RFC 4592 §2.2.2).

In: the names of a table. Out: those between them and the names above that are ours too. Such a name
is NODATA: NXDOMAIN would deny all below it (RFC 8020), and resolvers that ask label by label (RFC
9156) never come to the names that are there. In a table it has no entry, `{}`.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from typing import Final

from resolver import protocol
from resolver.message import wire

_SERVICE: Final = b"_"  # begins the labels of a port and of a protocol
# The reverse name of a block of addresses, each of which may have a name: less than a whole one.
_BLOCK: Final = re.compile(
    rb"(?:\x01[0-9]|\x02[1-9][0-9]|\x03(?:1[0-9][0-9]|2[0-4][0-9]|25[0-5])){1,3}"
    rb"\x07in-addr\x04arpa\x00"
    rb"|(?:\x01[0-9a-f]){1,31}\x03ip6\x04arpa\x00"
)


def fill(names: protocol.Names, owners: Iterable[bytes], zone: bytes) -> None:
    """Adds the names between `owners`, which are in `names`, and the network's `zone`.

    Also those between `_port._protocol.host` and a host in `names`. Without `zone` (empty), whose
    other names are somebody else's, only the latter.
    """
    for owner in tuple(owners):
        if wire.PTR not in names[owner]:
            for each in _above(owner, names, zone):
                names.setdefault(each, {})


def above(owner: bytes, zone: bytes) -> Iterator[bytes]:
    """The names between `owner`, which is no name of a service, and `zone` above it."""
    return _above(owner, (), zone)


def is_block(name: bytes) -> bool:
    """Whether it is the reverse name of more than one address."""
    return _BLOCK.fullmatch(name) is not None


def _above(owner: bytes, names: Collection[bytes], zone: bytes) -> Iterator[bytes]:
    passed: list[bytes] = []
    is_service = owner[1:2] == _SERVICE
    for parent in wire.parents(owner):
        if parent == zone or (is_service and parent in names):
            yield from passed
            passed.clear()
        is_service = is_service and parent[1:2] == _SERVICE
        passed.append(parent)
