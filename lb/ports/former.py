"""Ports that a service published before: whoever came by one of them is connected still.

A port that goes ends no connection, and the state knows nothing of it any more. Remembered for the
life of the process, the last `MOST` of a service, until the member or the service goes or somebody
leads from the same port to the same member and target anew: then it cannot be told who came by
which.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from lb.ports.table import Bind, Entry
from lb.ports.way import Way, ways
from sdd import affected
from sdd.model import endpoint, ids, service
from sdd.state import ClusterState, MemberKey

MOST: Final = 64  # a service that gives a new port with each release would be remembered for ever

_Ways = dict[Bind, frozenset[Way]]  # the port that went last is the last


class Former:
    """The ways to members by ports that went."""

    def __init__(self) -> None:
        self._ways: dict[ids.ServiceId, _Ways] = {}

    def note(self, before: ClusterState, now: ClusterState, come: Mapping[Bind, Entry]) -> None:
        """The state is another one; `come` are the ports that lead somewhere new, and where to."""
        if before.services is not now.services:
            self._services(before, now)
        if self._ways and before.members is not now.members:
            self._members(before, now)
        for of in tuple(self._ways) if come else ():
            for bind in self._ways[of].keys() & come.keys():
                self._put(of, bind, self._ways[of][bind] - _led(come[bind]))

    def to(self, state: ClusterState, key: MemberKey) -> frozenset[Way]:
        """Those to a member, whether it is in `state` still or was in the one before."""
        of, plug = key
        known, end = self._ways.get(of), state.endpoints.get(plug)
        if not known or end is None:
            return frozenset()
        every = frozenset().union(*known.values())
        return frozenset(way for way in every if way.backend in end.hosts)

    def _services(self, before: ClusterState, now: ClusterState) -> None:
        for of in affected.changed(before.services, now.services):
            if of not in now.services:
                self._ways.pop(of, None)
            elif of in before.services:
                for way in _gone(before, now.services[of]):
                    known = self._ways.setdefault(of, {})
                    known[way.bind] = known.pop(way.bind, frozenset()) | {way}
                    while len(known) > MOST:
                        del known[next(iter(known))]

    def _members(self, before: ClusterState, now: ClusterState) -> None:
        """Forget ways to those that are no members any more."""
        changed = {of for of, _ in affected.changed(before.members, now.members)}
        for of in changed & self._ways.keys():
            hosts = {host for end in _ends(now, of) for host in end.hosts}
            for bind, each in tuple(self._ways[of].items()):
                self._put(of, bind, frozenset(way for way in each if way.backend in hosts))

    def _put(self, of: ids.ServiceId, bind: Bind, left: frozenset[Way]) -> None:
        if left:
            self._ways[of][bind] = left
            return
        del self._ways[of][bind]
        if not self._ways[of]:
            del self._ways[of]


def _led(entry: Entry) -> frozenset[Way]:
    return frozenset(Way(entry.bind, each.address, entry.port) for each in entry.backends)


def _gone(before: ClusterState, now: service.Service) -> Iterator[Way]:
    was = before.services[now.id]
    ports = tuple(each for each in was.ports if each not in now.ports)
    if ports:
        yield from ways(replace(was, ports=ports), _ends(before, was.id))


def _ends(state: ClusterState, of: ids.ServiceId) -> Iterator[endpoint.Endpoint]:
    for member in state.members_by_service.get(of, ()):
        if (end := state.endpoints.get(member.endpoint)) is not None:
            yield end
