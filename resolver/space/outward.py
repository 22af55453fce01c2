"""Opens a sandbox's sockets towards its own upstreams. To be run inside its namespace.

In: a family of addresses. Out: unbound sockets for a worker, a lot for each family. One socket for
both would do for neither: once it was connected to a mapped address the kernel leaves it at IPv4,
whatever it is connected to later (TCP on every kernel, UDP since 6.13).
"""

import contextlib
import socket
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from resolver import protocol
from sdd import errors
from sdd.linux import namespaces
from sdd.model import absence

# By kind: UDP, each for up to 128 questions at once, and TCP, lent by turns.
COUNTS: Final = (8, 12)
KINDS: Final = (socket.SOCK_DGRAM, socket.SOCK_STREAM)
DOMAINS: Final[Mapping[protocol.Family, socket.AddressFamily]] = {
    protocol.Family.IPV4: socket.AF_INET,
    protocol.Family.IPV6: socket.AF_INET6,
}
FLAGS: Final = socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC


@dataclass(frozen=True, slots=True)
class Lot:
    """The sockets of one family in the order of `protocol.Lend`, to be closed by whoever has them.

    None at all says that there shall be none.
    """

    family: protocol.Family
    outward: protocol.Outward
    links: tuple[socket.socket, ...] = ()

    def close(self) -> None:
        """Release our descriptors; a worker's duplicates live on."""
        for each in self.links:
            each.close()


def wanted(families: Collection[protocol.Family], inode: int) -> protocol.Reach:
    """What a sandbox in the namespace `inode` has that asks servers of `families`."""
    return {each: protocol.Outward(inode, *COUNTS) for each in sorted(families)}


def open_lot(family: protocol.Family, inode: int) -> Lot:
    """New sockets; raises `errors.NotFound` when the thread is not in the namespace `inode`."""
    if namespaces.inode(namespaces.OWN) != inode:
        raise errors.NotFound("the namespace was replaced by another", code=absence.CODE)
    with contextlib.ExitStack() as undo:
        links: list[socket.socket] = []
        for link in _opened(family):
            undo.callback(link.close)
            links.append(link)
        undo.pop_all()
    return Lot(family, protocol.Outward(inode, *COUNTS), tuple(links))


def is_clean(link: socket.socket) -> bool:
    """Whether it never spoke another family: former releases had sockets for both."""
    if link.family != socket.AF_INET6:
        return True
    return bool(link.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY))


def _opened(family: protocol.Family) -> Iterator[socket.socket]:
    for kind, count in zip(KINDS, COUNTS, strict=True):
        for _ in range(count):
            link = socket.socket(DOMAINS[family], kind | FLAGS)
            if family is protocol.Family.IPV6:
                link.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            yield link
