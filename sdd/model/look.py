"""Where a backend has to look again: the world may have changed there behind its back.

A new state says by itself what is to be done; what it cannot say is that somebody took a link, an
address or a rule away. Kernel news make a small look, the steady resync looks everywhere, in parts.
"""

import zlib
from dataclasses import dataclass
from typing import Self

from sdd.model.network import IPNetwork

PARTS = 20  # each place belongs to one
HOST = ""  # the path that means the host's own namespace, as everywhere


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Places to read again: namespace files (`HOST` too), and links of the host by name.

    `routes` are destinations on the host: the links over which they should lead are read again.
    `parts` are numbers below `PARTS`. `everywhere` means also what nobody wants any more.
    """

    everywhere: bool = False
    spaces: frozenset[str] = frozenset()
    links: frozenset[str] = frozenset()
    routes: frozenset[IPNetwork] = frozenset()
    parts: frozenset[int] = frozenset()

    def __or__(self, other: Self) -> "Look":
        """Both; everywhere swallows the rest."""
        if self.everywhere or other.everywhere:
            return EVERYWHERE
        return Look(
            spaces=self.spaces | other.spaces,
            links=self.links | other.links,
            routes=self.routes | other.routes,
            parts=self.parts | other.parts,
        )

    def covers(self, path: str) -> bool:
        """Whether the namespace at `path` is to be read again."""
        return self.everywhere or path in self.spaces or self._has(path)

    def covers_link(self, name: str) -> bool:
        """Whether the host's link is to be read again."""
        return self.everywhere or name in self.links or self._has(name)

    def _has(self, name: str) -> bool:
        return bool(self.parts) and zlib.crc32(name.encode()) % PARTS in self.parts


NOWHERE = Look()
EVERYWHERE = Look(everywhere=True)
