"""Where a backend has to look again: the world may have changed there behind its back.

A new state says by itself what is to be done; what it cannot say is that somebody took a link, an
address or a rule away. Kernel news make a small look, the steady resync looks everywhere.
"""

from dataclasses import dataclass
from typing import Self

HOST = ""  # the path that means the host's own namespace, as everywhere


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Places to read again: namespace files (`HOST` too), and links of the host by name."""

    everywhere: bool = False
    spaces: frozenset[str] = frozenset()
    links: frozenset[str] = frozenset()

    def __or__(self, other: Self) -> "Look":
        """Both; everywhere swallows the rest."""
        if self.everywhere or other.everywhere:
            return EVERYWHERE
        return Look(spaces=self.spaces | other.spaces, links=self.links | other.links)

    def covers(self, path: str) -> bool:
        """Whether the namespace at `path` is to be read again."""
        return self.everywhere or path in self.spaces


NOWHERE = Look()
EVERYWHERE = Look(everywhere=True)
