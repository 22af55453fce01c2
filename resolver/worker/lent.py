"""The sockets that sandboxes were lent to ask their own upstreams with: a shelf for each family.

In: sockets that sdd opened inside a sandbox. Out: the dial for a server. They have nothing to do
with the listeners: each comes and goes by itself, and nothing that is asked notices the others.
"""

import socket
from collections.abc import Sequence
from typing import NamedTuple

from resolver import protocol
from resolver.upstream import lending


class _Shelf(NamedTuple):
    """Those of one family; as many as `outward` says."""

    outward: protocol.Outward
    inside: lending.Inside


class Lent:
    """By sandbox and family."""

    def __init__(self) -> None:
        self._all: dict[str, dict[protocol.Family, _Shelf]] = {}

    def dial(self, sandbox: str, family: protocol.Family) -> lending.Inside | None:
        """What reaches the sandbox's servers of that family."""
        shelf = self._all.get(sandbox, {}).get(family)
        return shelf.inside if shelf else None

    def reach(self) -> dict[str, protocol.Reach]:
        """What each sandbox has."""
        return {
            sandbox: {family: shelf.outward for family, shelf in shelves.items()}
            for sandbox, shelves in self._all.items()
        }

    def has_more(self, lend: protocol.Lend, count: int) -> bool:
        """Whether there are as many there already."""
        shelf = self._all.get(lend.sandbox, {}).get(lend.family)
        if shelf is None or shelf.outward.inode != lend.outward.inode:
            return False
        return shelf.outward.udp + shelf.outward.tcp >= count

    def put(self, lend: protocol.Lend, links: Sequence[socket.socket]) -> None:
        """Ask with `links` from now on; what waits on those before is heard to the end."""
        shelves = self._all.setdefault(lend.sandbox, {})
        if former := shelves.pop(lend.family, None):
            former.inside.close()
        udp = min(lend.outward.udp, len(links))
        for each in links:
            each.setblocking(False)
        if links:
            shelves[lend.family] = _Shelf(
                protocol.Outward(lend.outward.inode, udp, len(links) - udp),
                lending.Inside(list(links[:udp]), list(links[udp:])),
            )
        if not shelves:
            del self._all[lend.sandbox]

    def drop(self, sandbox: str) -> None:
        """The sandbox is gone."""
        for shelf in self._all.pop(sandbox, {}).values():
            shelf.inside.close()

    def close(self) -> None:
        """Release every socket."""
        for sandbox in tuple(self._all):
            self.drop(sandbox)
