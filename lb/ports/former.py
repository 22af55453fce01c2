"""Ports that a service published before: whoever came by one of them is connected still.

A port that goes ends no connection, and the state knows nothing of it any more. Remembered for the
life of the process, until the service goes or somebody leads from the same port to the same member
and target anew: then it cannot be told who came by which.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from lb.ports.table import Bind, Entry
from lb.ports.way import Way, ways
from sdd import affected
from sdd.model import endpoint, ids, service
from sdd.state import ClusterState, MemberKey


class Former:
    """The ways to members by ports that went."""

    def __init__(self) -> None:
        self._ways: Mapping[ids.ServiceId, frozenset[Way]] = {}

    def note(self, before: ClusterState, now: ClusterState, come: Mapping[Bind, Entry]) -> None:
        """The state is another one; `come` are the ports that lead somewhere new, and where to."""
        found = {of: each for of, each in self._ways.items() if of in now.services}
        if before.services is not now.services:
            for of in affected.changed(before.services, now.services):
                if of in before.services and of in now.services:
                    gone = frozenset(_gone(before, now.services[of]))
                    found[of] = found.get(of, frozenset()) | gone
        led = {
            Way(bind, each.address, entry.port)
            for bind, entry in come.items()
            for each in entry.backends
        }
        self._ways = {of: left for of, each in found.items() if (left := each - led)}

    def to(self, state: ClusterState, key: MemberKey) -> frozenset[Way]:
        """Those to a member, whether it is in `state` still or was in the one before."""
        of, plug = key
        known, end = self._ways.get(of), state.endpoints.get(plug)
        if not known or end is None:
            return frozenset()
        return frozenset(way for way in known if way.backend in end.hosts)


def _gone(before: ClusterState, now: service.Service) -> Iterator[Way]:
    was = before.services[now.id]
    ports = tuple(each for each in was.ports if each not in now.ports)
    if ports:
        yield from ways(replace(was, ports=ports), _ends(before, was))


def _ends(state: ClusterState, svc: service.Service) -> Iterator[endpoint.Endpoint]:
    for member in state.members_by_service.get(svc.id, ()):
        if (end := state.endpoints.get(member.endpoint)) is not None:
            yield end
