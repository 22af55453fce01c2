"""What backends had counted when they left a kernel, as long as their members stay members.

In: each state, and the last counts of backends that leave. Out: counts that go on where they were
when a member is up again: a kernel forgets with the entry what it counted, and begins at 0. Since
this daemon began; at most as many counts as there are members, times sandboxes.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from lb import growth, world
from lb.desired import Wanted, member_on
from lb.growth import Growth
from sdd import affected
from sdd.model import ids, service
from sdd.model.network import IPAddress
from sdd.state import EMPTY, ClusterState, MemberKey


@dataclass(slots=True)
class _Counts:
    """Of one membership, that of `member`: whoever joins again begins anew."""

    member: service.Member
    of: defaultdict[tuple[ids.SandboxId, growth.Key], Growth] = field(
        default_factory=lambda: defaultdict(Growth)
    )


class Kept:
    """Of one node."""

    def __init__(self) -> None:
        self._state: ClusterState = EMPTY
        self._counts: dict[MemberKey, _Counts] = {}
        self._met: dict[tuple[ids.ServiceId, bool], Mapping[IPAddress, service.Member]] = {}

    def put(self, state: ClusterState) -> None:
        """For `Feed.subscribe`: forgets what belongs to nobody any more."""
        before, self._state = self._state, state
        self._met.clear()
        if not self._counts:
            return
        for key in affected.changed(before.members, state.members):
            if key in self._counts and not _is_same(self._counts[key].member, state.members):
                del self._counts[key]
        gone = affected.changed(before.sandboxes, state.sandboxes) - state.sandboxes.keys()
        for each in self._counts.values() if gone else ():
            for where in [where for where in each.of if where[0] in gone]:
                del each.of[where]

    def left(self, box: ids.SandboxId, was: Wanted, loads: Sequence[world.Load]) -> None:
        """Backends left a sandbox that balanced them as `was` says: their last counts there."""
        for load in loads:
            key, member = growth.key_of(load), self._member(was, load)
            if key is None or member is None:
                continue
            known = self._counts.get((member.service, member.endpoint))
            if known is None:
                known = self._counts[member.service, member.endpoint] = _Counts(member)
            known.of[box, key] += growth.counted(load)

    def with_former(
        self, box: ids.SandboxId, loads: Sequence[world.Load]
    ) -> tuple[world.Load, ...]:
        """`loads` of a sandbox, and in them what the same backends had counted there before."""
        former: defaultdict[growth.Key, Growth] = defaultdict(Growth)
        for counts in self._counts.values():
            for (where, key), each in counts.of.items():
                if where == box:
                    former[key] += each
        return tuple(_added(each, former) for each in loads)

    def _member(self, was: Wanted, load: world.Load) -> service.Member | None:
        """Who has the backend's address, if that is still a member."""
        owner = was.owners.get(load.vip)
        one = None if owner is None else self._state.services.get(owner)
        if one is None or load.address is None:
            return None
        # Of a mass failure every one of a thousand members is asked for, in each sandbox.
        way = (one.id, load.vip in one.ingress_vips)
        if way not in self._met:
            self._met[way] = dict(_addressed(self._state, one.id, is_ingress=way[1]))
        return self._met[way].get(load.address)


def _addressed(
    state: ClusterState, of: ids.ServiceId, *, is_ingress: bool
) -> Iterator[tuple[IPAddress, service.Member]]:
    """Each member of the service by the addresses at which it is reached."""
    for member in state.members_by_service.get(of, ()):
        end = member_on(state, member, is_ingress=is_ingress)
        for address in end.hosts if end is not None else ():
            yield address, member


def _is_same(member: service.Member, members: Mapping[MemberKey, service.Member]) -> bool:
    now = members.get((member.service, member.endpoint))
    return now is not None and now.created == member.created


def _added(load: world.Load, former: defaultdict[growth.Key, Growth]) -> world.Load:
    key = growth.key_of(load)
    if key is None or key not in former:
        return load
    every = growth.counted(load) + former[key]
    return replace(load, **{each: getattr(every, each) for each in growth.COUNTERS})
