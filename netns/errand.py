"""(the last pass, a wish, a look) → an errand: what to bring about, what to read, what is known.

A pass that left everything as wanted need not be checked by the next one: it reads what the look
names and what had failed, and remembers the rest. Pure.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace

from netns import contract, memory, plan, steps, world
from netns.desired import Want
from sdd import lineage
from sdd.model import ids
from sdd.model.look import Look


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """What to bring about, where to look for it, and what need not be looked at."""

    part: Want
    scope: contract.Scope
    known: memory.Memory = memory.NOTHING

    def plan(self, have: contract.Have) -> Sequence[steps.Step]:
        """The steps, from what was found and what is known."""
        return plan.diff(self.known.completed(have), self.part)

    def sure(self) -> "Errand":
        """The same without memory."""
        paths = self.scope.paths | self.known.spaces.keys()
        links = self.scope.links
        scope = replace(
            self.scope,
            paths=frozenset(paths),
            links=None if links is None else links | self.known.names,
            is_wide=True,
            sysctls=self.part.sysctls(paths & self.part.spaces.keys()),
        )
        return replace(self, scope=scope, known=memory.NOTHING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """What a pass wanted, for whom it did not get it, and how the host was after it."""

    revision: ids.Revision
    want: Want
    failed: frozenset[str]
    wide: memory.Wide | None = None
    mtus: Mapping[str, int] = field(default_factory=dict)  # of the links on which others stand

    def errand(self, now: Want, look: Look) -> Errand:
        """What is not known to be as `now` wants it, and where to look for it."""
        then = self.want.spaces
        links = _Links.of(self.want, now)
        look = _with_routes(now, look)
        paths = frozenset(self._unsure_paths(now, look, links.changed | look.links))
        names = links.with_their_ground(self._unsure_links(now, paths, look, links))
        leaving = frozenset(then.keys() - now.spaces.keys())
        # Nothing on the host leads to children: they are removed where they are.
        orphaned = {path for path in leaving if any(link.parent for link in then[path].links)}
        known = self._known(now, look, paths, links.only(names))
        unknown = paths - known.spaces.keys()
        return Errand(
            part=now.part(paths, names),
            scope=contract.Scope(
                paths=unknown | orphaned,
                leaving=leaving | known.spaces.keys(),
                links=names - known.names,
                sysctls=now.sysctls(unknown),
                is_wide=known.wide is None,
            ),
            known=known,
        )

    def _unsure_paths(self, now: Want, look: Look, outers: AbstractSet[str]) -> Iterator[str]:
        """The namespaces to be looked at, and those of which anything is new or had failed."""
        then = self.want.spaces
        news = lineage.between(then, now.spaces)
        # An outer end changes with its sandbox, or the look names it.
        is_narrow = not (look.everywhere or look.parts or look.links or self.failed)
        if is_narrow and news is not None:
            maybe = {path: now.spaces[path] for path in (*news, *look.spaces) if path in now.spaces}
        else:
            maybe = dict(now.spaces)
        unwell = self._unwell(maybe.values(), outers)
        for path, wanted in maybe.items():
            if path == world.HOST:
                continue
            before = then.get(path)
            is_same = before is wanted or before == wanted
            if not is_same or path in unwell or look.covers(path):
                yield path

    def _unwell(self, spaces: Collection[world.Wanted], outers: AbstractSet[str]) -> frozenset[str]:
        """The namespaces that had a failure, and those into which one of `outers` leads."""
        found: set[str] = set()
        if outers:
            found |= {each.path for each in spaces for link in each.links if link.twin in outers}
        if self.failed:
            found |= {each.path for each in spaces if not self.failed.isdisjoint(_subjects(each))}
        return frozenset(found)

    def _known(self, now: Want, look: Look, paths: Iterable[str], links: "_Links") -> memory.Memory:
        """Of what is to be changed that which is still as this pass left it.

        What others may have a hand in is looked at: adopted namespaces and links.
        """
        then = self.want.spaces
        left_by_us = [
            then[path]
            for path in paths
            if path in then and then[path].owner is world.Owner.SDD and not look.covers(path)
        ]
        unwell = self._unwell(left_by_us, look.links)
        spaces = [each for each in left_by_us if each.path not in unwell]
        left = {each.path for each in spaces}
        # The ends of a pair are mended together, and a port is read with its bridge.
        looked = (path for path in paths if path in then and path not in left)
        read = {link.twin for path in looked for link in now.spaces[path].links}
        read |= {
            name
            for name in links.names
            if look.covers_link(name)
            or not self._is_left(links.before.get(name), links.after.get(name))
        }
        read |= {links.after[name].master for name in read if name in links.after}
        whole = None if look.covers(world.HOST) else self.wide
        kept = links.names - read
        return memory.of(spaces, self.want.part((), kept).host, kept, whole)

    def _is_left(self, before: world.Link | None, after: world.Link | None) -> bool:
        """Whether a link of the host is known: as this pass left it, or not there yet."""
        if before is None:  # the kernel refuses to make a pair in the place of another link
            return after is not None and after.kind is world.Kind.VETH and not after.adopts
        users = self.want.users.get(before.mark, (before.mark,))
        return not before.adopts and self.failed.isdisjoint(users)

    def _unsure_links(
        self, now: Want, paths: Iterable[str], look: Look, links: "_Links"
    ) -> frozenset[str]:
        names = set(links.changed)
        names |= {each.link for each in self.want.host.addresses ^ now.host.addresses}
        names |= {each.link for each in self.want.host.routes ^ now.host.routes}
        inner = [link for path in paths for link in now.spaces[path].links]
        names |= {each for link in inner for each in (link.twin, link.parent)} - {""}
        names |= look.links  # of what nobody wants too: one of ours may have been renamed
        for name, link in links.after.items() if self.failed or look.parts else ():
            # The outer end of a pair is read with its namespace: it cannot be mended alone.
            is_looked_at = link.kind is not world.Kind.VETH and look.covers_link(name)
            users = now.users.get(link.mark, (link.mark,))
            if is_looked_at or not self.failed.isdisjoint(users):
                names.add(name)
        return frozenset(names)

    def remade(self, done: Iterable[steps.Step]) -> frozenset[str]:
        """The links of the host that were wanted before and had to be made once more."""
        made = (step.link.name for step in done if isinstance(step, steps.AddLink))
        return frozenset(name for name in made if name in self.want.links)

    def seen(self, now: Want, have: contract.Have) -> Mapping[str, int]:
        """The MTUs of the links on which others stand, as far as they are known now."""
        found = have.spaces[world.HOST].links
        known = {name: self.mtus[name] for name in now.floors if name in self.mtus}
        return known | {name: found[name].mtu for name in now.floors if name in found}

    def resized(self, mtus: Mapping[str, int]) -> frozenset[str]:
        """The links that have another MTU now: nobody tells of those that stand on them.

        The kernel tells of a parent with each macvlan link that comes, so this alone is news.
        """
        return frozenset(name for name, mtu in mtus.items() if self.mtus.get(name, mtu) != mtu)

    def above(self, names: AbstractSet[str]) -> Look:
        """Where what stands on the host's links `names` is: their ports, their children, theirs."""
        ports = {link.name for link in self.want.host.links if link.master in names}
        floors = set(names)
        while more := {e.name for e in self.want.host.links if e.parent in floors} - floors:
            floors |= more
        spaces = (
            path
            for path, wanted in self.want.spaces.items()
            if path and any(link.twin in ports or link.parent in floors for link in wanted.links)
        )
        return Look(spaces=frozenset(spaces), links=frozenset(ports | floors))

    def had_met(self, now: Want, step: steps.Step, *, by_others: bool = False) -> bool:
        """Whether the step's object was as wanted, and still wanted the same, before the step.

        `by_others`: an earlier process had realised all that is wanted now. The host's table is
        written once by each, whatever was there.
        """
        if by_others:
            return step.subject != world.UNFINISHED and not isinstance(step, steps.WriteTable)
        if self.revision == ids.NEVER or step.subject in self.failed:
            return False
        if step.subject == world.UNFINISHED:
            return False  # cut short in the making: a refusal's remains, or a kill's
        path = step.inside if isinstance(step, steps.AddPair | steps.AddChild) else step.space
        if path != world.HOST:
            return self.want.spaces.get(path) == now.spaces.get(path)
        return self.want.table == now.table and self.want.host == now.host


def _with_routes(now: Want, look: Look) -> Look:
    """The same, with the links over which its `routes` should lead."""
    if not look.routes:
        return look
    over = {each.link for each in now.host.routes if each.destination in look.routes}
    return replace(look, links=look.links | over)


def everything(want: Want) -> Errand:
    """All of it, with nothing known: of the host every link is read."""
    paths = frozenset(want.spaces) - {world.HOST}
    return Errand(part=want, scope=contract.Scope(paths=paths, sysctls=want.sysctls(paths)))


@dataclass(frozen=True, slots=True)
class _Links:
    """The host's links by name, as they were wanted and as they are."""

    before: Mapping[str, world.Link]
    after: Mapping[str, world.Link]
    changed: frozenset[str]  # wanted otherwise, or no longer, or only now
    names: frozenset[str] = frozenset()

    @classmethod
    def of(cls, then: Want, now: Want) -> "_Links":
        """Of two wishes."""
        before, after = then.links, now.links
        news = lineage.between(before, after)
        maybe = before.keys() | after.keys() if news is None else news
        return cls(before, after, frozenset(n for n in maybe if before.get(n) != after.get(n)))

    def with_their_ground(self, names: frozenset[str]) -> frozenset[str]:
        """`names` and the bridges and parents under them."""
        found = (self.after[name] for name in names if name in self.after)
        under = {each for link in found for each in (link.master, link.parent)}
        return (names | under) - {""}

    def only(self, names: frozenset[str]) -> "_Links":
        """The same, about `names`."""
        return replace(self, names=names)


def _subjects(wanted: world.Wanted) -> Iterator[str]:
    yield wanted.subject
    yield from (link.mark for link in wanted.links)


NOTHING = Pass(
    revision=ids.NEVER,
    want=Want(spaces={world.HOST: world.Wanted(path=world.HOST, owner=world.Owner.HOST)}),
    failed=frozenset(),
)
