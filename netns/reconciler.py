"""Makes this node's kernel look like the state: read, plan, apply, report.

In: a state and where to look per call. Out: an `Outcome`. A pass reads what the look names and
what the last pass failed at; what it changes besides, it knows from the last pass.
"""

import errno
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from netns import contract, memory, plan, steps, world
from netns.desired import Want, desired
from sdd.model import ids, progress
from sdd.model.look import EVERYWHERE, Look
from sdd.state import ClusterState


class Reconciler:
    """The `Realise` of this backend; called by one task at a time."""

    def __init__(self, kernel: contract.Kernel, node: ids.NodeId) -> None:
        self._kernel = kernel
        self._node = node
        self._last = _NOTHING

    async def realise(self, state: ClusterState, look: Look = EVERYWHERE) -> progress.Outcome:
        """Failures per object; `repaired` counts what had been as wanted before."""
        last = self._last
        want = desired(state, self._node, last.want)
        if last.revision == ids.NEVER or look.everywhere:
            errand = _everything(want)
        else:
            errand = last.errand(want, look)
        have, plans, refusals = await self._run(errand)
        refused = _failures(want, refusals)
        failures = (*want.failures, *plan.obstacles(have, errand.part), *refused)
        self._last = _Pass(
            revision=state.revision,
            want=want,
            failed=frozenset(failure.subject for failure in failures),
        )
        return progress.Outcome(
            revision=state.revision,
            failures=failures,
            changed=len(plans),
            repaired=sum(last.had_met(want, step) for step in plans),
        )

    async def _run(
        self, errand: "_Errand"
    ) -> tuple[contract.Have, Sequence[steps.Step], Sequence[contract.Refusal]]:
        """What was there, what was done and what was refused.

        When the kernel refuses anything, memory was wrong maybe: all is looked at and tried again.
        """
        done = await self._kernel.change(errand.scope, errand.plan)
        if not done.refusals or errand.known == memory.NOTHING:
            return errand.known.completed(done.have), done.plan, done.refusals
        sure = errand.sure()
        again = await self._kernel.change(sure.scope, sure.plan)
        return again.have, (*done.plan, *again.plan), again.refusals


@dataclass(frozen=True, slots=True, kw_only=True)
class _Errand:
    """What to bring about, where to look for it, and what need not be looked at."""

    part: Want
    scope: contract.Scope
    known: memory.Memory = memory.NOTHING

    def plan(self, have: contract.Have) -> Sequence[steps.Step]:
        """The steps, from what was found and what is known."""
        return plan.diff(self.known.completed(have), self.part)

    def sure(self) -> "_Errand":
        """The same without memory."""
        paths = self.scope.paths | self.known.spaces.keys()
        links = self.scope.links
        scope = replace(
            self.scope,
            paths=frozenset(paths),
            links=None if links is None else links | self.known.names,
            sysctls=self.part.sysctls(paths & self.part.spaces.keys()),
        )
        return replace(self, scope=scope, known=memory.NOTHING)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pass:
    """What a pass wanted, and for whom it did not get it."""

    revision: ids.Revision
    want: Want
    failed: frozenset[str]

    def errand(self, now: Want, look: Look) -> _Errand:
        """What is not known to be as `now` wants it, and where to look for it."""
        then = self.want.spaces
        changed = _changed_links(self.want, now)
        outers = changed | look.links
        paths = frozenset(
            path
            for path, wanted in now.spaces.items()
            if path != world.HOST and (look.covers(path) or not self._met(path, wanted, outers))
        )
        links = self._unsure_links(now, paths, look, changed)
        leaving = frozenset(then.keys() - now.spaces.keys())
        # Nothing on the host leads to children: they are removed where they are.
        orphaned = {path for path in leaving if any(link.parent for link in then[path].links)}
        known = self._known(now, look, paths, links)
        unknown = paths - known.spaces.keys()
        return _Errand(
            part=now.part(paths, links),
            scope=contract.Scope(
                paths=unknown | orphaned,
                leaving=leaving | known.spaces.keys(),
                links=links - known.names,
                sysctls=now.sysctls(unknown),
            ),
            known=known,
        )

    def _known(
        self, now: Want, look: Look, paths: Iterable[str], links: Iterable[str]
    ) -> memory.Memory:
        """Of what is to be changed that which is still as this pass left it.

        What others may have a hand in is looked at: adopted namespaces and links.
        """
        then = self.want.spaces
        spaces = [
            then[path]
            for path in paths
            if path in then
            and then[path].owner is world.Owner.SDD
            and not look.covers(path)
            and self._met(path, then[path], look.links)
        ]
        left = {each.path for each in spaces}
        # The ends of a pair are mended together, and a port is read with its bridge.
        looked = (path for path in paths if path in then and path not in left)
        read = {link.twin for path in looked for link in now.spaces[path].links}
        before, after = _by_name(self.want), _by_name(now)
        read |= {
            name
            for name in links
            if look.covers_link(name) or not self._is_left(before.get(name), after.get(name))
        }
        read |= {after[name].master for name in read if name in after}
        return memory.of(spaces, self.want.host, frozenset(links) - read)

    def _is_left(self, before: world.Link | None, after: world.Link | None) -> bool:
        """Whether a link of the host is known: as this pass left it, or not there yet."""
        if before is None:  # the kernel refuses to make a pair in the place of another link
            return after is not None and after.kind is world.Kind.VETH and not after.adopts
        users = self.want.users.get(before.mark, (before.mark,))
        return not before.adopts and self.failed.isdisjoint(users)

    def _met(self, path: str, wanted: world.Wanted, outers: AbstractSet[str]) -> bool:
        """Whether nothing is new: neither the wish, nor an outer end (`outers`), nor a failure."""
        subjects = {wanted.subject, *(link.mark for link in wanted.links)}
        return (
            self.want.spaces.get(path) == wanted
            and self.failed.isdisjoint(subjects)
            and outers.isdisjoint(link.twin for link in wanted.links)
        )

    def _unsure_links(
        self, now: Want, paths: Iterable[str], look: Look, changed: frozenset[str]
    ) -> frozenset[str]:
        wanted = _by_name(now)
        names = changed | {
            name
            for name, link in wanted.items()
            if not self.failed.isdisjoint(now.users.get(link.mark, (link.mark,)))
        }
        names |= {each.link for each in self.want.host.addresses ^ now.host.addresses}
        names |= {each.link for each in self.want.host.routes ^ now.host.routes}
        names |= {link.twin for path in paths for link in now.spaces[path].links}
        # The outer end of a pair is read with its namespace: it cannot be mended alone.
        names |= {
            name
            for name, link in wanted.items()
            if name in look.links or (link.kind is not world.Kind.VETH and look.covers_link(name))
        }
        under = {
            each
            for name in names
            if name in wanted
            for each in (wanted[name].master, wanted[name].parent)
        }
        return frozenset((names | under) - {""})

    def had_met(self, now: Want, step: steps.Step) -> bool:
        """Whether the step's object was as wanted, and still wanted the same, before the step."""
        if self.revision == ids.NEVER or step.subject in self.failed:
            return False
        if step.space or isinstance(step, steps.AddPair):
            path = step.inside if isinstance(step, steps.AddPair) else step.space
            return self.want.spaces.get(path) == now.spaces.get(path)
        return self.want.table == now.table and self.want.host == now.host


def _everything(want: Want) -> _Errand:
    paths = frozenset(want.spaces) - {world.HOST}
    return _Errand(part=want, scope=contract.Scope(paths=paths, sysctls=want.sysctls(paths)))


def _changed_links(then: Want, now: Want) -> frozenset[str]:
    """The host's links that are wanted otherwise, or no longer, or only now."""
    before, after = _by_name(then), _by_name(now)
    names = before.keys() | after.keys()
    return frozenset(name for name in names if before.get(name) != after.get(name))


def _by_name(want: Want) -> Mapping[str, world.Link]:
    return {link.name: link for link in want.host.links}


_NOTHING = _Pass(
    revision=ids.NEVER,
    want=Want(spaces={world.HOST: world.Wanted(path=world.HOST, owner=world.Owner.HOST)}),
    failed=frozenset(),
)


def _failures(want: Want, refusals: Iterable[contract.Refusal]) -> Iterable[progress.Failure]:
    """One per object: what follows from its first refusal is no news."""
    first: dict[str, contract.Refusal] = {}
    for refusal in refusals:
        for subject in want.users.get(refusal.step.subject, (refusal.step.subject,)):
            first.setdefault(subject, refusal)
    for subject, refusal in first.items():
        refused = f"the kernel refuses {said(refusal.step)}: {refusal.reason}"
        yield progress.Failure(
            subject=subject,
            sentence=refusal.reason if refusal.code else refused,
            hint=refusal.hint or _hint(refusal),
            code=refusal.code or "SDD-NETNS-REFUSED",
        )


def _hint(refusal: contract.Refusal) -> str:
    parent = _parent(refusal.step)
    if not parent:
        return _HINTS.get(refusal.error, "")
    return _PARENT_HINTS.get(refusal.error, _PARENT_HINTS[0]).format(parent=parent)


def _parent(step: steps.Step) -> str:
    return step.link.parent if isinstance(step, steps.AddLink | steps.AddChild) else ""


_MEMORY = "the kernel's memory or one of its limits is used up"
_HINTS = {
    errno.EPERM: "sdd needs CAP_NET_ADMIN and CAP_SYS_ADMIN; a container must be given them",
    errno.EEXIST: "somebody else made one already; remove theirs, or choose another",
    errno.EOPNOTSUPP: "the kernel lacks this feature; sdctl doctor tells which",
    errno.ENOMEM: _MEMORY,
    errno.ENOBUFS: _MEMORY,
    errno.ENOSPC: _MEMORY,
    errno.EXFULL: "a bridge holds 1023 links; connect more sandboxes to another network",
    errno.EMFILE: "sdd has too many files open; see LimitNOFILE in its unit",
}
_PARENT_HINTS = {
    0: "the parent {parent} must be a link of this host; list them with: ip -br link",
    errno.EBUSY: "{parent} already serves a bridge, a bond, or the other of macvlan and ipvlan",
    errno.EOPNOTSUPP: "the kernel has no such links (modules macvlan, ipvlan, 8021q), "
    "or {parent} cannot carry them",
    errno.ENETDOWN: "set the parent up first: ip link set {parent} up",
    errno.EINVAL: "{parent} cannot carry such links; a mode may not fit the ones that are there",
}


def said(step: steps.Step) -> str:
    """The step in a person's words."""
    match step:
        case steps.MakeSpace(name=name):
            said = f"the namespace {name!r}"
        case steps.DropSpace(space=space):
            said = f"to remove the namespace {space!r}"
        case steps.AddLink(link=link) | steps.SetLink(link=link) | steps.AddChild(link=link):
            said = f"the link {link.name!r}"
        case steps.AddPair(outer=outer, inner=inner):
            said = f"the pair {outer.name!r} - {inner.name!r}"
        case steps.DropLink(name=name):
            said = f"to remove the link {name!r}"
        case steps.AddAddress(address=address):
            said = f"the address {address.interface} on {address.link!r}"
        case steps.DropAddress(address=address):
            said = f"to remove the address {address.interface} from {address.link!r}"
        case steps.AddRoute(route=route):
            said = f"the route to {route.destination} over {route.link!r}"
        case steps.DropRoute(route=route):
            said = f"to remove the route to {route.destination} over {route.link!r}"
        case steps.WriteTable():
            said = "the table inet sdd"
        case steps.Forward(version=version, on=on):
            said = f"to {'forward' if on else 'stop forwarding'} IPv{version}"
    return said
