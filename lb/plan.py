"""(have, want) → the steps between, in an order that never leaves a service without its backends.

Services that are not wanted go first, so that their addresses and marks are free; then services
come, whole, and change, backends come, weights rise, then fall, what is flawed is mended, and only
then backends go. A live service is edited, never deleted and made again: that would reset its
connections.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address
from operator import attrgetter, is_
from types import MappingProxyType
from typing import cast

from lb import table
from lb.back import Back
from sdd import lineage
from sdd.model.network import IPAddress


@dataclass(frozen=True, slots=True)
class AddService:
    """A new virtual service, with its backends."""

    service: table.VirtualService


@dataclass(frozen=True, slots=True)
class EditService:
    """New settings (scheduler, persistence) for a live one, told without backends: these stay."""

    service: table.VirtualService


@dataclass(frozen=True, slots=True)
class AddBackend:
    """A backend joins `vip`."""

    vip: IPv4Address | IPv6Address
    backend: table.Backend


@dataclass(frozen=True, slots=True)
class SetWeight:
    """A backend of `vip` gets its new weight; its connections stay."""

    vip: IPv4Address | IPv6Address
    backend: table.Backend


@dataclass(frozen=True, slots=True)
class Mend:
    """Everything around `vip` is written anew; None means the frame all services share."""

    vip: IPv4Address | IPv6Address | None


@dataclass(frozen=True, slots=True)
class SetBack:
    """The ways back to ingress sandboxes become these; None: there are none."""

    back: Back | None


@dataclass(frozen=True, slots=True)
class RemoveBackend:
    """A backend leaves `vip`; its connections end at once."""

    vip: IPv4Address | IPv6Address
    address: IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class RemoveService:
    """A virtual service goes, with the backends it still has."""

    vip: IPv4Address | IPv6Address


Step = (
    AddService
    | EditService
    | AddBackend
    | SetWeight
    | Mend
    | SetBack
    | RemoveBackend
    | RemoveService
)


_PACKED = attrgetter("packed")


class Diff:
    """`diff`, found once for all sandboxes of which the same is asked; for one pass.

    The very same steps are told to the kernel of each, so that it can know them again: also to
    those that are on other networks as well, of which nothing changed.
    """

    def __init__(self) -> None:
        # The tables are held, so that nobody else gets the numbers of their services.
        self._found: dict[tuple[int, int], tuple[table.Table, table.Table, tuple[Step, ...]]] = {}
        self._steps: dict[tuple[object, ...], tuple[Step, ...]] = {}
        self._alike: dict[tuple[int, int], tuple[object, object, bool]] = {}

    def __call__(self, have: table.Table, want: table.Table) -> tuple[Step, ...]:
        """As `diff`."""
        if have.flaws or have.back != want.back:
            return diff(have, want)
        key = id(have.services), id(want.services)
        if key not in self._found:
            steps = diff(have, want)
            known = self._steps.setdefault(tuple(map(_identity, steps)), steps)
            self._found[key] = (have, want, known)
        return self._found[key][2]

    def left(
        self, shown: table.Table, want: table.Table, steps: Iterable[Step]
    ) -> Collection[IPAddress | None]:
        """What those steps were about and is not as in `want`; `shown` is all of it that is there.

        None for the frame.
        """
        vips = [vip for vip in touched(steps) if vip is not None]
        pairs = ((shown.services.get(vip), want.services.get(vip)) for vip in vips)
        if not shown.flaws and all(self._are_alike(*pair) for pair in pairs):
            return ()
        return touched(diff(shown, table.narrowed(want, vips)))

    def _are_alike(self, one: object, other: object) -> bool:
        """Compared once; a kernel that knows what it was told shows the same in every sandbox."""
        key = id(one), id(other)
        if key not in self._alike:
            self._alike[key] = (one, other, one == other)
        return self._alike[key][2]


def _identity(step: Step) -> object:
    """What tells it from others; a whole service is the same object in all sandboxes."""
    return (AddService, id(step.service)) if isinstance(step, AddService) else step


def diff(have: table.Table, want: table.Table) -> tuple[Step, ...]:
    """The steps from `have` to `want`; empty when they are the same and nothing is flawed."""
    if not have.services and not have.flaws:  # a thousand that are new: none is looked up
        back = (SetBack(want.back),) if have.back != want.back else ()
        return (*map(AddService, want.services.values()), *back)
    changed = _changed(have, want)
    return (
        *_departed(have, want, changed),
        *(step for vip in changed for step in _settings(have, want.services[vip])),
        *(step for vip in changed for step in _arrivals(have, want.services[vip])),
        *_mends(have, want),
        *((SetBack(want.back),) if have.back != want.back else ()),
        *(step for vip in changed for step in _departures(have, want.services[vip])),
    )


def result(have: table.Table, steps: Iterable[Step]) -> table.Table:
    """What `have` becomes by `steps`: the meaning every kernel must give them."""
    services = lineage.thawed(have.services)
    changes: dict[IPAddress, Changes] = {}  # of services whose backends change
    flaws, back = set(have.flaws), have.back
    last: IPAddress | None = None  # steps about one service follow each other: it is looked up once
    those: Changes = {}
    for step in steps:
        match step:
            case AddService(service):
                services[service.vip] = service
            case EditService(service):
                before = services.get(service.vip)
                services[service.vip] = replace(service, backends=before.backends if before else ())
            case AddBackend(vip, backend) | SetWeight(vip, backend):
                if vip is not last:
                    last, those = vip, changes.setdefault(vip, {})
                those[backend.packed] = backend
            case RemoveBackend(vip, address):
                changes.setdefault(vip, {})[address.packed] = None
            case RemoveService(vip):
                last = None
                services.pop(vip, None)
                changes.pop(vip, None)
                flaws = {flaw for flaw in flaws if flaw.vip != vip}
            case SetBack(now):
                back = now
            case Mend(where):
                flaws = {flaw for flaw in flaws if flaw.vip != where}
    for vip, each in changes.items():
        services[vip] = replace(services[vip], backends=_amended(services[vip].backends, each))
    remaining = tuple(flaw for flaw in have.flaws if flaw in flaws)
    return table.Table(services=MappingProxyType(services), flaws=remaining, back=back)


Changes = dict[bytes, table.Backend | None]  # by address in network order; None: it leaves


def _amended(
    backends: Sequence[table.Backend], changes: Mapping[bytes, table.Backend | None]
) -> tuple[table.Backend, ...]:
    """`backends` stay the objects they are, but those that change."""
    come = dict(changes)
    kept = [now for each in backends if (now := come.pop(each.packed, each)) is not None]
    new = [each for each in come.values() if each is not None]
    return ordered((*kept, *new)) if new else tuple(kept)


def touched(steps: Iterable[Step]) -> frozenset[IPAddress | None]:
    """The virtual addresses that `steps` are about; None among them for the frame."""
    found: set[IPAddress | None] = set()
    last: object = found  # steps about one address follow each other: it is hashed once
    for step in steps:
        if (vip := subject(step)) is not last:
            found.add(vip)
            last = vip
    return frozenset(found)


def addresses(steps: Iterable[Step]) -> frozenset[IPAddress]:
    """The same without the frame."""
    found: frozenset[IPAddress | None] = touched(steps)
    return cast("frozenset[IPAddress]", found - {None})  # a difference hashes none of them again


def leaving(steps: Iterable[Step]) -> frozenset[tuple[IPAddress, IPAddress]]:
    """The backends that `steps` take away from services that stay, with their virtual addresses."""
    return frozenset((each.vip, each.address) for each in steps if isinstance(each, RemoveBackend))


def subject(step: Step) -> IPAddress | None:
    """The virtual address a step is about; None for the frame."""
    match step:
        case AddService(service) | EditService(service):
            return service.vip
        case SetBack():
            return None
        case _:
            return step.vip


def ordered(backends: Collection[table.Backend]) -> tuple[table.Backend, ...]:
    """By address: the order is part of consistent hashing and must be the same on every node."""
    return tuple(sorted(backends, key=_PACKED))


def _changed(have: table.Table, want: table.Table) -> Sequence[IPAddress]:
    """The virtual addresses of `want` whose service is new or another."""
    known = lineage.between(have.services, want.services)
    if known is not None:
        pairs = ((vip, want.services.get(vip), have.services.get(vip)) for vip in known)
        return [vip for vip, new, old in pairs if new is not None and old is not new and old != new]
    found = have.services.values() if _alike(have, want) else map(have.services.get, want.services)
    both = zip(want.services.items(), found, strict=True)
    return [vip for (vip, new), old in both if old is not new and old != new]


def _alike(have: table.Table, want: table.Table) -> bool:
    """Whether they have the very same addresses in the same order: one was made from the other.

    Then nothing needs to be looked up: hashing an address takes longer than comparing a service.
    """
    same_length = len(have.services) == len(want.services)
    return same_length and all(map(is_, have.services, want.services))


def _departed(
    have: table.Table, want: table.Table, changed: Collection[IPAddress]
) -> Iterator[Step]:
    known = lineage.between(have.services, want.services)
    if known is not None:
        suspects: Iterable[IPAddress] = (vip for vip in known if vip in have.services)
    else:
        suspects = changed if _alike(have, want) else have.services
    # A virtual address that another service took over is one that went and one that came.
    for vip in suspects:
        kept = want.services.get(vip)
        if kept is None or kept.number != have.services[vip].number:
            yield RemoveService(vip)


def _before(have: table.Table, service: table.VirtualService) -> table.VirtualService | None:
    found = have.services.get(service.vip)
    return found if found is not None and found.number == service.number else None


def _settings(have: table.Table, service: table.VirtualService) -> Iterator[Step]:
    before = _before(have, service)
    if before is None:
        yield AddService(service)
        return
    bare = replace(service, backends=())
    if replace(before, backends=()) != bare:
        yield EditService(bare)


def _arrivals(have: table.Table, service: table.VirtualService) -> Iterator[Step]:
    before = _before(have, service)
    if before is None:
        return  # it comes with all of them
    if _are_the_same(before, service):
        pairs = zip(before.backends, service.backends, strict=True)
        yield from _weighed(service.vip, ((old.weight, new) for old, new in pairs))
        return
    weights = before.weights
    for backend in service.backends:
        if backend.address not in weights:
            yield AddBackend(service.vip, backend)
    known = ((weights.get(each.address, each.weight), each) for each in service.backends)
    yield from _weighed(service.vip, known)


def _weighed(vip: IPAddress, backends: Iterable[tuple[int, table.Backend]]) -> Iterator[Step]:
    """Each of `backends` comes with its weight until now. Raised first: who takes over is there.

    IPVS is told one by one; between two steps connections come in.
    """
    lowered: list[Step] = []
    for weight, backend in backends:
        if backend.weight > weight:
            yield SetWeight(vip, backend)
        elif backend.weight < weight:
            lowered.append(SetWeight(vip, backend))
    yield from lowered


def _mends(have: table.Table, want: table.Table) -> Iterator[Step]:
    places = {flaw.vip: None for flaw in have.flaws}  # a dict keeps their order
    for vip in places:
        if vip is None or vip in want.services:
            yield Mend(vip)
    stray = [vip for vip in places if vip not in have.services and vip not in want.services]
    yield from (RemoveService(vip) for vip in stray if vip is not None)


def _departures(have: table.Table, service: table.VirtualService) -> Iterator[Step]:
    before = _before(have, service)
    if before is None or _are_the_same(before, service):
        return
    staying = service.weights
    for backend in before.backends:
        if backend.address not in staying:
            yield RemoveBackend(service.vip, backend.address)


def _are_the_same(one: table.VirtualService, other: table.VirtualService) -> bool:
    """Whether they have the very same addresses: derived from one another they do.

    To hash the addresses of a thousand backends takes longer than all else of a change of one.
    """
    if len(one.backends) != len(other.backends):
        return False
    pairs = zip(one.backends, other.backends, strict=True)
    return all(old.address is new.address for old, new in pairs)
