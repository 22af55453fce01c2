"""The entries of a service, and what they were made of, from which the next ones begin. Pure.

A service may have thousands of ports, and few kinds of them: all of a kind have the same behind
them. Where a port leads changes with the service; who is behind, with any news of a member.
"""

import functools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from lb.ports.behind import Behind
from lb.ports.table import Bind, Entry
from sdd.model import port, service
from sdd.model.ways import Ways

VERSIONS = (4, 6)


class Kind(NamedTuple):
    """What decides who is behind a port of a service.

    `is_through`: the ingress sandbox is; `is_local`: members of this node alone.
    """

    version: int
    policy: port.Policy
    is_through: bool
    is_local: bool


class Place(NamedTuple):
    """One port that is bound, and its port at those behind it."""

    bind: Bind
    target: int
    kind: Kind
    is_outward: bool


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where the ports of a service are bound.

    `versions` are the IP versions in which its network lets ports in, `virtual` those in which it
    has a virtual address on ingress.
    """

    ports: tuple[port.Port, ...]
    versions: frozenset[int]
    virtual: frozenset[int]

    @functools.cached_property
    def all(self) -> tuple[Place, ...]:
        """In the order of the ports."""
        return tuple(self._found())

    @functools.cached_property
    def kinds(self) -> tuple[Kind, ...]:
        """Each kind that there is, once."""
        return tuple(dict.fromkeys(each.kind for each in self.all))

    def _found(self) -> Iterator[Place]:
        ways = Ways(self.ports)
        for each in self.ports:
            is_beside = ways.is_beside(each)
            if is_beside and not each.is_wide:
                continue  # what it asks for, the wide one does
            # Nobody asked for it at 127.0.0.1; at ::1 no port answers anyway.
            is_outward = each.is_wide and not each.is_on_loopback and not is_beside
            is_through = each.is_ingress and bool(self.virtual)
            is_local = not is_through and (
                each.mode is port.Mode.HOST or each.policy is port.Policy.LOCAL
            )
            for bind in binds(each, self.virtual if is_through else self.versions):
                kind = Kind(bind.version, each.policy, is_through, is_local)
                yield Place(bind, each.target, kind, is_outward)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """`entries` of a service, one for each of `places`, and who was `behind` those of each kind."""

    entries: tuple[Entry, ...]
    places: Places
    behind: Mapping[Kind, Behind]
    settings: tuple[str, service.Scheduler, int]


def made(
    svc: service.Service, places: Places, behind: Mapping[Kind, Behind], was: Made | None
) -> Made:
    """Those of `svc`; of the kinds behind which nothing changed they are the objects of `was`."""
    settings = (svc.id, svc.scheduler, svc.persistence_s)

    def entry(place: Place) -> Entry:
        kind = place.kind
        if kind.is_through:
            return behind[kind].entry(place.bind, svc.id, place.target, is_outward=place.is_outward)
        return behind[kind].entry(
            place.bind,
            svc.id,
            place.target,
            scheduler=svc.scheduler,
            persistence_s=svc.persistence_s,
            is_outward=place.is_outward,
        )

    if was is None or was.places is not places or was.settings != settings:
        entries = tuple(map(entry, places.all))
        return Made(entries=entries, places=places, behind=behind, settings=settings)
    others = {kind for kind, one in behind.items() if was.behind[kind] != one}
    if not others:
        return was
    pairs = zip(places.all, was.entries, strict=True)
    entries = tuple([entry(place) if place.kind in others else old for place, old in pairs])
    return Made(entries=entries, places=places, behind=behind, settings=settings)


def binds(each: port.Port, versions: Iterable[int]) -> Iterator[Bind]:
    """One per IP version that is served; without any the port is bound all the same.

    A port without a number of the node is the fence's business alone (netns.desired).
    """
    if not each.published:
        return
    wanted = each.address
    served = [
        version
        for version in VERSIONS
        if version in versions and (wanted is None or wanted.version == version)
    ]
    address = None if wanted is None or wanted.is_unspecified else wanted
    for version in served or [wanted.version if wanted else VERSIONS[0]]:
        yield Bind(version=version, protocol=each.protocol, number=each.published, address=address)
