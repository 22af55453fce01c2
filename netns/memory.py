"""What a pass left behind, so that the next one need not look at it.

In: wishes that were fulfilled. Out: what a kernel's reading would have found. Nothing here knows
whether that is still so: the reconciler leaves out whatever somebody may have changed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from netns import contract, firewall, steps, world


@dataclass(frozen=True, slots=True, kw_only=True)
class Wide:
    """What concerns the host as a whole."""

    table: firewall.Table | None
    forwarding: frozenset[int]
    switched: frozenset[int]


def wide(have: contract.Have, done: Iterable[steps.Step]) -> Wide:
    """What is so after the steps, none of which was refused."""
    table, forwarding, switched = have.table, set(have.forwarding), set(have.switched)
    for step in done:
        match step:
            case steps.WriteTable():
                table = step.table
            case steps.Forward(version=version, on=True):
                forwarding.add(version)
                switched.add(version)
            case steps.Forward(version=version):
                forwarding.discard(version)
                switched.discard(version)
    return Wide(table=table, forwarding=frozenset(forwarding), switched=frozenset(switched))


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Namespaces by path, and of the host the links `names`; those of them not there are absent."""

    spaces: Mapping[str, world.Space] = field(default_factory=dict)
    names: frozenset[str] = frozenset()
    host: world.Space = field(default_factory=world.Space)
    wide: Wide | None = None

    def completed(self, have: contract.Have) -> contract.Have:
        """`have`, with what is remembered where it was not read.

        A namespace that does not exist any more is remembered in vain.
        """
        if self == NOTHING:
            return have
        read = have.spaces[world.HOST]
        host = replace(
            read,
            links={**self.host.links, **read.links},
            addresses=read.addresses | self.host.addresses,
            routes=read.routes | self.host.routes,
        )
        known = {path: space for path, space in self.spaces.items() if have.named.get(path)}
        completed = replace(have, spaces={**known, **have.spaces, world.HOST: host})
        if self.wide is None:
            return completed
        return replace(
            completed,
            table=self.wide.table,
            forwarding=self.wide.forwarding,
            switched=self.wide.switched,
        )


NOTHING = Memory()


def of(
    spaces: Iterable[world.Wanted],
    host: world.Wanted,
    names: frozenset[str],
    whole: Wide | None,
) -> Memory:
    """What namespaces and the host, of which only `names` are known, were left with."""
    return Memory(
        spaces={each.path: _space(each) for each in spaces},
        names=names,
        host=_space(host),
        wide=whole,
    )


def _space(wanted: world.Wanted) -> world.Space:
    kept = {link.name: _plain(link) for link in wanted.links}
    return world.Space(
        links=kept,
        addresses=frozenset(each for each in wanted.addresses if each.link in kept),
        routes=frozenset(each for each in wanted.routes if each.link in kept),
    )


def _plain(link: world.Link) -> world.Link:
    """As it would be read."""
    mode = link.mode if link.kind in world.CHILDREN else 0
    return replace(link, twin="", parent="", mode=mode, adopts=False)
