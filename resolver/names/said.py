"""What each object says on a network, and of what that was made.

In: the state, the network's ground, what was said before. Out: `Said` by object. As long as an
object and what it leans on are the very same values, it says the very same.
"""

import functools
import hashlib
import operator
from collections.abc import Collection, Mapping, Sequence
from enum import IntEnum
from itertools import chain
from typing import Final, NamedTuple, TypeVar

import msgspec

from resolver import protocol
from resolver.names import between, records
from resolver.names.ground import Ground
from sdd import contained
from sdd.affected import Affected
from sdd.model import endpoint, ids, network, service
from sdd.model.progress import Failure
from sdd.state import ClusterState

Key = TypeVar("Key", ids.ServiceId, ids.EndpointId)
On = TypeVar("On", service.Service, endpoint.Endpoint)

DIGEST: Final = 16  # bytes
_encoder: Final = msgspec.msgpack.Encoder()


class Kind(IntEnum):
    """Who is heard first."""

    SERVICE = 0
    ENDPOINT = 1


class Said(NamedTuple):
    """What one object says, and what that was made of; with a `failure` it says nothing.

    `claims` are the names right above these (`between`), `weight` what it adds to a digest.
    """

    made_of: tuple[object, ...]
    kind: Kind
    names: protocol.Names
    claims: tuple[bytes, ...] = ()
    weight: int = 0
    failure: Failure | None = None

    def says_as(self, other: "Said") -> bool:
        """Whether what it says is the same."""
        return (self.weight, self.failure) == (other.weight, other.failure)


def weight(*of: object) -> int:
    """What something adds to a digest: a sum does not depend on the order of its parts."""
    return int.from_bytes(hashlib.blake2b(_encoder.encode(of), digest_size=DIGEST).digest(), "big")


def news(
    state: ClusterState,
    net: network.Network,
    ground: Ground,
    then: Mapping[str, Said],
    reached: Affected | None,
) -> dict[str, Said | None]:
    """Who says something else than `then`, or for other reasons; None for who is silent now.

    `reached` is who may; without it everybody is asked.
    """
    if reached is None:
        services: Sequence[service.Service] = state.services_by_network.get(net.id, ())
        ends: Sequence[endpoint.Endpoint] = state.endpoints_by_network.get(net.id, ())
        heard: Collection[str] = then.keys()
    else:
        services = _there(state.services, reached.services, net)
        ends = _there(state.endpoints, reached.endpoints, net)
        heard = {*reached.services, *reached.endpoints}
    now: dict[str, Said | None] = {key: None for key in heard if key in then}
    for svc in services:
        now[svc.id] = _of_service(state, svc, ground, then.get(svc.id))
    for end in ends:
        now[end.id] = _of_endpoint(state, end, ground, then.get(end.id))
    return {key: said for key, said in now.items() if said is None or then.get(key) is not said}


def _there(things: Mapping[Key, On], those: Collection[Key], net: network.Network) -> Sequence[On]:
    """Those that are there, on the network."""
    found = (things.get(each) for each in those)
    return [each for each in found if each is not None and each.network == net.id]


def _of_service(
    state: ClusterState, svc: service.Service, ground: Ground, then: Said | None
) -> Said:
    members = tuple(records.members(state, svc))
    made_of = (svc, *chain.from_iterable(members))
    if then is not None and _are_same(then.made_of, made_of):
        return then
    say = functools.partial(records.of_service, svc, members, ground)
    names = contained.attempt(say, svc.id, f"service {svc.name!r} has no names")
    return _said(made_of, Kind.SERVICE, svc.id, names, ground.tail)


def _of_endpoint(
    state: ClusterState, end: endpoint.Endpoint, ground: Ground, then: Said | None
) -> Said:
    box = state.sandboxes[end.sandbox]
    made_of = (end, box)
    if then is not None and _are_same(then.made_of, made_of):
        return then
    what = f"sandbox {box.name!r} has no names on network {ground.suffix!r}"
    say = functools.partial(records.of_endpoint, box, end, ground)
    names = contained.attempt(say, end.id, what)
    return _said(made_of, Kind.ENDPOINT, end.id, names, ground.tail)


def _said(
    made_of: tuple[object, ...], kind: Kind, key: str, names: protocol.Names | Failure, tail: bytes
) -> Said:
    if isinstance(names, Failure):
        return Said(made_of, kind, {}, failure=names)
    return Said(made_of, kind, names, between.claims(names, tail), weight(key, names))


def _are_same(some: Sequence[object], others: Sequence[object]) -> bool:
    return len(some) == len(others) and all(map(operator.is_, some, others))
