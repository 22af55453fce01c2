"""What a pass left behind, so that the next one need not look at it.

In: wishes that were fulfilled. Out: what a kernel's reading would have found. Nothing here knows
whether that is still so: the reconciler leaves out whatever somebody may have changed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from netns import contract, world


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Namespaces by path, and of the host the links `names`; those of them not there are absent."""

    spaces: Mapping[str, world.Space] = field(default_factory=dict)
    names: frozenset[str] = frozenset()
    host: world.Space = field(default_factory=world.Space)

    def completed(self, have: contract.Have) -> contract.Have:
        """`have`, with what is remembered where it was not read.

        A namespace that does not exist any more is remembered in vain.
        """
        if not self.names and not self.spaces:
            return have
        read = have.spaces[world.HOST]
        host = replace(
            read,
            links={**self.host.links, **read.links},
            addresses=read.addresses | self.host.addresses,
            routes=read.routes | self.host.routes,
        )
        known = {path: space for path, space in self.spaces.items() if have.named.get(path)}
        return replace(have, spaces={**known, **have.spaces, world.HOST: host})


NOTHING = Memory()


def of(spaces: Iterable[world.Wanted], host: world.Wanted, names: frozenset[str]) -> Memory:
    """What namespaces were left with, and the links `names` of the host."""
    links = tuple(link for link in host.links if link.name in names)
    return Memory(
        spaces={each.path: _space(each, each.links) for each in spaces},
        names=names,
        host=_space(host, links),
    )


def _space(wanted: world.Wanted, links: Iterable[world.Link]) -> world.Space:
    kept = {link.name: _plain(link) for link in links}
    return world.Space(
        links=kept,
        addresses=frozenset(each for each in wanted.addresses if each.link in kept),
        routes=frozenset(each for each in wanted.routes if each.link in kept),
    )


def _plain(link: world.Link) -> world.Link:
    """As it would be read."""
    return replace(link, twin="", parent="", mode=0, flags=0, adopts=False)
