"""Names that exist only because of what is below them (empty non-terminals, RFC 4592 §2.2.2).

In: the names of a table. Out: those between them and the names above that are ours too. Such a name
is NODATA: NXDOMAIN would deny all below it (RFC 8020), and resolvers that ask label by label (RFC
9156) never come to the names that are there. In a table it has no entry, `{}`.

Each name claims the one right above it, and one that is claimed claims in turn, so a name that
comes or goes costs a step, and all that are claimed and have no records are known: they are hollow.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Final

from resolver import protocol
from resolver.message import wire
from resolver.names import spelling
from sdd.overlaid import Draft

ROOT: Final = spelling.ROOT
_SERVICE: Final = b"_"  # begins the labels of a port and of a protocol


def claims(names: protocol.Names, tail: bytes) -> tuple[bytes, ...]:
    """What `names` claim beside each other; the network's own name `tail` is claimed anyway."""
    return tuple(
        [
            above
            for name in names
            if (above := name[name[0] + 1 :]) not in (ROOT, tail) and above not in names
        ]
    )


def count(claimed: Draft[bytes, int], more: Mapping[bytes, int]) -> list[bytes]:
    """Adds `more` claims to those there; the names that are claimed now and were not, or no more.

    A negative number takes claims away.
    """
    turned: list[bytes] = []
    waiting = deque((name, number) for name, number in more.items() if number and name != ROOT)
    while waiting:
        name, number = waiting.popleft()
        before = claimed.get(name) or 0
        claimed.put(name, before + number or None)
        if before and before + number:
            continue
        turned.append(name)
        if (above := spelling.parent(name)) != ROOT:
            waiting.append((above, 1 if not before else -1))
    return turned


def hosts(name: bytes) -> Iterator[bytes]:
    """For `_proto.host` the names above it that it is between a service's name and, if any."""
    if name[1:2] == _SERVICE:
        for each in wire.parents(name):
            yield each
            if each[1:2] != _SERVICE:
                return
