"""What differs between two states, and which services and endpoints that reaches. Pure.

Every backend asks this at every revision, so it is found without a walk over what is there: a table
knows what it changed (`sdd.lineage`). Where it does not, identities are compared in C.
"""

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from itertools import compress
from operator import is_not
from typing import TypeVar

from sdd import lineage
from sdd.model import ids
from sdd.state import ClusterState

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Affected:
    """Ids of whatever may be derived differently now, also of what came or went.

    An endpoint is reached by a change of its sandbox, a service by one of its members, their
    verdicts, endpoints or sandboxes.
    """

    services: frozenset[ids.ServiceId]
    endpoints: frozenset[ids.EndpointId]
    records: frozenset[ids.RecordId]


def between(before: ClusterState, after: ClusterState) -> Affected:
    """What a step from `before` to `after` may change."""
    endpoints = changed(before.endpoints, after.endpoints)
    for box in changed(before.sandboxes, after.sandboxes):
        endpoints.update(each.id for each in after.endpoints_by_sandbox.get(box, ()))
    services = changed(before.services, after.services)
    for member in (
        *changed(before.members, after.members),
        *changed(before.verdicts, after.verdicts),
    ):
        services.add(member[0])
    for end in endpoints:
        services.update(each.service for each in after.members_by_endpoint.get(end, ()))
    return Affected(
        services=frozenset(services),
        endpoints=frozenset(endpoints),
        records=frozenset(changed(before.records, after.records)),
    )


def changed(before: Mapping[K, object], after: Mapping[K, object]) -> set[K]:
    """The keys whose object is another, new or gone; states share what did not change."""
    known = lineage.between(before, after)
    if known is not None:
        return {key for key in known if before.get(key) is not after.get(key)}
    found = set(differing(before, after))
    came = sum(key not in before for key in found)
    if len(before) + came != len(after):
        found.update(before.keys() - after.keys())
    return found


def differing(before: Mapping[K, object], after: Mapping[K, object]) -> Iterator[K]:
    """The keys of `after` whose object is new or another, in the order in which they changed.

    Where that is not known, in the order of `after`.
    """
    known = lineage.between(before, after)
    if known is None:
        yield from compress(after, map(is_not, after.values(), map(before.get, after)))
    else:
        yield from (key for key in known if key in after and before.get(key) is not after[key])
