"""Balancing by IPVS: mark services, a small nft table in front, one local route per address.

IPVS has no transactions, so every change starts from what the kernel holds of the services it is
about and every request is judged by itself. Order: IPVS first, then the marks that lead to it, then
the routes; whatever is missing in between, the front refuses rather than lets a packet stray.
"""

import contextlib
import errno
from collections.abc import Collection, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet

from lb import plan, table, world
from lb.kernel import (
    ipvs_codec,
    ipvs_connections,
    ipvs_entries,
    ipvs_front,
    ipvs_modules,
    ipvs_read,
    ipvs_session,
    ipvs_settings,
    legible,
    local_routes,
    nft_frames,
    nft_netlink,
)
from lb.kernel.ipvs_codec import Key
from lb.kernel.ipvs_session import Session
from sdd import errors
from sdd.linux import lookups, namespaces, netlink, nft_compile
from sdd.model.network import IPAddress
from sdd.model.port import Protocol
from sdd.model.service import Scheduler

NOT_YET = "SDD-LB-NOTYET"
Frame = Sequence[netlink.Message]


class IpvsKernel:
    """Passes tests/contract/lb_kernel.py on a kernel with ip_vs. `family` is from `available`."""

    counts_s = 2.0  # IPVS sums its counters up every 2 s

    def __init__(self, spaces: namespaces.Namespaces, family: int) -> None:
        self._spaces = spaces
        self._lookups = lookups.Lookups()
        self._family = family
        self._frames = nft_frames.Frames(spaces, ipvs_front.frame_of)

    async def prepare(self) -> None:
        """Have ready what is alike in all sandboxes, so that the first does not wait for it."""
        await self._frames.of("")

    async def inode(self, place: table.Place) -> int:
        """The namespace's number, 0 while there is none."""
        if place.inode:
            return await self._lookups.inode(place.netns)
        return namespaces.inode(place.netns)  # a file of ours: a thread would take longer to ask

    async def read(
        self, place: table.Place, only: Collection[IPAddress] | None = None
    ) -> table.Table:
        """The table as IPVS, the front and the routes hold it together."""
        return await self._spaces.run(
            place.netns, lambda: legible.legible(lambda: ipvs_read.read(self._family, place, only))
        )

    async def apply(
        self, place: table.Place, have: table.Table, steps: Sequence[plan.Step]
    ) -> world.Change:
        """All of `steps` but what is refused, whatever order it is refused in."""
        frame = await self._frames.of(place.uplink)
        return await self._spaces.run(
            place.netns, lambda: _change(self._family, place, frame, have, steps)
        )

    async def schedulers(self) -> tuple[Scheduler, ...]:
        """Those that the kernel has, loaded now if they are modules."""
        return await self._spaces.run("", lambda: _schedulers(self._family))

    async def loads(self, place: table.Place) -> tuple[world.Load, ...]:
        """IPVS's own connection, packet and byte counters."""
        return await self._spaces.run(
            place.netns, lambda: legible.counts(lambda: _loads(self._family))
        )

    async def counters(self, place: table.Place) -> tuple[world.Load, ...]:
        """The same: IPVS counts its connections anyway."""
        return await self.loads(place)

    async def connections(
        self, place: table.Place, vips: Collection[IPAddress]
    ) -> tuple[world.Load, ...]:
        """The same of those services alone."""
        return await self._spaces.run(
            place.netns, lambda: legible.counts(lambda: _loads(self._family, vips))
        )

    async def led_to(
        self,
        place: table.Place,
        vip: IPAddress,
        port: int,
        protocol: Protocol = Protocol.TCP,
        client: IPAddress | None = None,
    ) -> IPAddress | None:
        """As IPVS's table of connections has it."""
        return await self._spaces.run(place.netns, lambda: _led_to(vip, port, protocol, client))


def _led_to(
    vip: IPAddress, port: int, protocol: Protocol, client: IPAddress | None
) -> IPAddress | None:
    lines = ipvs_connections.FILE.read_text().splitlines()
    return ipvs_connections.backend_of(lines, vip, port, protocol, client)


# Changing


def _change(
    family: int,
    place: table.Place,
    frame: Frame,
    have: table.Table,
    steps: Sequence[plan.Step],
) -> world.Change:
    ended = _last(family, have, steps)
    after = plan.result(have, steps)
    vips: AbstractSet[IPAddress] = plan.addresses(steps)
    whole = plan.Mend(None) in steps
    refused = tuple(_apply(family, place, frame, have, after, vips=vips, whole=whole))
    likely = {vip: found for vip in vips if (found := after.services.get(vip)) is not None}
    shown = ipvs_read.read(family, place, vips, likely)
    return world.Change(refusals=refused, shown=shown, ended=ended)


def _apply(
    family: int,
    place: table.Place,
    frame: Frame,
    have: table.Table,
    after: table.Table,
    *,
    vips: AbstractSet[IPAddress],
    whole: bool,
) -> Iterator[world.Refusal]:
    if not vips and not whole:
        return
    vips = vips | after.services.keys() if whole else vips
    with Session(family) as session:
        yield from _set_up(session, after, place)
        yield from _balance(session, have, after, vips, whole=whole)
    yield from _face(after, vips, frame, whole=whole)
    yield from _route(place, after, vips, whole=whole)


def _set_up(session: Session, after: table.Table, place: table.Place) -> Iterator[world.Refusal]:
    if not after.services:
        return
    try:
        ipvs_settings.write(ipvs_read.settings(after.services.values(), place))
    except OSError as exc:
        yield world.Refusal(vip=None, sentence=f"a setting of IPVS cannot be changed: {exc}")
    if session.timeouts() != ipvs_settings.TIMEOUTS:
        result = session.set_timeouts(ipvs_settings.TIMEOUTS)
        if result.error:
            yield world.Refusal(vip=None, sentence=f"the timeouts of IPVS cannot be set: {result}")


def _balance(
    session: Session,
    have: table.Table,
    after: table.Table,
    vips: AbstractSet[IPAddress],
    *,
    whole: bool,
) -> Iterator[world.Refusal]:
    keys = frozenset(_keys(have, after, vips))
    there = session.listed(keys) if whole else session.asked(keys)
    told = {vip: after.services.get(vip) for vip in vips}
    unready = {vip for vip, each in told.items() if each is not None and _is_unready(each)}
    if unready:  # what is there of them stays as it is
        vips, kept = vips - unready, frozenset(_keys(have, after, unready))
        there = {key: how for key, how in there.items() if key not in kept}
    # A thousand addresses are looked up in nothing: that hashes none of them.
    old, late = have.services or (), unready or ()
    new = [
        each
        for vip, each in told.items()
        if each is not None
        and vip not in old
        and vip not in late
        and (not there or there.keys().isdisjoint(ipvs_entries.keys(each)))
    ]
    refused = session.make(new)
    if len(new) < len(vips) or there:
        rest = vips - {each.vip for each in new}
        refused |= _adapted(session, session.entries(there), have, after, rest)
    lacks = unready or any(each.error == errno.ENOENT for each in refused.values())
    known = session.schedulers() if lacks else ()  # one look: each may ask for a module
    yield from (_unknown(after.services[vip], known) for vip in unready)
    for vip, result in refused.items():
        service = after.services.get(vip)
        if service is not None and result.error == errno.ENOENT:  # no such scheduler
            yield _unknown(service, known)
        else:
            yield world.Refusal(vip=vip, sentence=f"IPVS refuses: {result}", code="SDD-LB-IPVS")


def _adapted(
    session: Session,
    entries: ipvs_entries.Entries,
    have: table.Table,
    after: table.Table,
    vips: Collection[IPAddress],
) -> dict[IPAddress, netlink.Result]:
    """What is there of `vips` is changed; of each that was refused something, the first refusal.

    What `entries` holds beside it goes.
    """
    want: dict[Key, ipvs_entries.Entry] = {}
    owners: dict[Key, IPAddress] = {}
    for vip in vips:
        owners |= dict.fromkeys(_keys(have, after, (vip,)), vip)
        if vip in after.services:
            want |= ipvs_entries.entries(after.services[vip])
    refused: dict[IPAddress, netlink.Result] = {}
    for key, result in session.change(entries, want).items():
        if key in owners:
            refused.setdefault(owners[key], result)
    return refused


def _keys(have: table.Table, after: table.Table, vips: Collection[IPAddress]) -> Iterator[Key]:
    """The mark services of `vips`, before and afterwards."""
    tables = [each for each in (have.services, after.services) if each]
    for vip in vips:
        for services in tables:
            if (found := services.get(vip)) is not None:
                yield from ipvs_entries.keys(found)


def _is_unready(service: table.VirtualService) -> bool:
    return not ipvs_modules.is_there(service.scheduler)


def _unknown(service: table.VirtualService, known: Collection[Scheduler]) -> world.Refusal:
    return world.Refusal(
        vip=service.vip,
        sentence=f"the kernel has no scheduler {service.scheduler.value!r},"
        f" it offers: {', '.join(known) or 'none'}",
        hint=f"choose one of them, or load the module ip_vs_{service.scheduler.value}",
        code=world.NO_SCHEDULER,
    )


def _face(
    after: table.Table, vips: Collection[IPAddress], frame: Frame, *, whole: bool
) -> Iterator[world.Refusal]:
    want = {
        vip: ipvs_front.Front(vip=vip, number=service.number, is_up=bool(service.open))
        for vip, service in after.services.items()
    }
    with netlink.Connection(netlink.NETFILTER) as connection:
        is_there = nft_netlink.present(connection)
        found = ipvs_front.read(connection, vips) if is_there and not whole else None
        messages: Iterable[netlink.Message]
        if not want:
            messages = (ipvs_front.remove(),) if is_there else ()
        elif found is None or found.flaws:
            messages = ipvs_front.rebuild(want, frame, is_there=is_there)
        else:
            messages = ipvs_front.changes(found.fronts, want, vips)
        result = connection.transaction(nft_compile.SUBSYSTEM, messages)
    if result.error:
        yield world.Refusal(vip=None, sentence=f"nftables refuses: {result}", code="SDD-LB-NFT")


def _route(
    place: table.Place, after: table.Table, vips: Collection[IPAddress], *, whole: bool
) -> Iterator[world.Refusal]:
    want = {vip: place.source_for(vip) for vip in vips if vip in after.services}
    with netlink.Connection(netlink.ROUTE) as connection:
        gone = {vip for vip in vips if vip not in after.services}
        if whole:
            gone |= local_routes.read(connection).keys() - after.services.keys()
        local_routes.remove(connection, gone)
        for vip, result in local_routes.add(connection, want).items():
            if result.error:
                yield world.Refusal(
                    vip=vip,
                    sentence=f"its local route from {want[vip]} is refused: {result}",
                    hint="the sandbox's own address may not be there yet; it is tried again",
                    code=NOT_YET,
                )


def _schedulers(family: int) -> tuple[Scheduler, ...]:
    with Session(family) as session:
        return session.schedulers()


# Counting


def _last(family: int, have: table.Table, steps: Sequence[plan.Step]) -> tuple[world.Load, ...]:
    """The counts of the backends that leave; of their services alone, for somebody waits."""
    if not have.services:
        return ()
    leaving = plan.leaving(steps)
    ending = {step.vip for step in steps if isinstance(step, plan.RemoveService)}
    vips = {*ending, *(vip for vip, _ in leaving)} & have.services.keys()
    if not vips:
        return ()
    with Session(family) as session:
        found = (each for vip in vips for each in _told(session, have.services[vip]))
        return tuple(
            each for each in found if each.vip in ending or (each.vip, each.address) in leaving
        )


def _told(session: Session, service: table.VirtualService) -> Iterator[world.Load]:
    """Nothing of what is gone already."""
    how, keys = ipvs_entries.settings(service), ipvs_entries.keys(service)
    for protocol, key in zip(("tcp", "udp"), keys, strict=True):
        with contextlib.suppress(errors.KernelRefused):
            for backend in session.backends(key):
                yield _load(service.vip, protocol, how, backend)


def _loads(family: int, only: Collection[IPAddress] | None = None) -> Iterator[world.Load]:
    with netlink.Connection(netlink.NETFILTER) as connection:
        fronts = ipvs_front.read(connection, only).fronts
    with Session(family) as session:
        ours = frozenset(ipvs_read.marks(fronts.values()))
        listed = session.listed(ours) if only is None else session.asked(ours)
        for front in sorted(fronts.values(), key=lambda each: (each.vip.version, int(each.vip))):
            for protocol, mark in (("tcp", front.stream), ("udp", front.datagram)):
                key = Key(front.vip.version, mark)
                if (settings := listed.get(key)) is not None:
                    for backend in _ordered(session.backends(key)) or (None,):
                        yield _load(front.vip, protocol, settings, backend)


def _ordered(backends: Iterable[ipvs_codec.Backend]) -> list[ipvs_codec.Backend]:
    """By address, as nftables has them; the kernel lists the newest first."""
    return sorted(backends, key=lambda each: int(each.address))


_COUNTED = tuple(ipvs_codec.Stats.__dataclass_fields__)


def _load(
    vip: IPAddress,
    protocol: str,
    settings: ipvs_codec.Settings,
    backend: ipvs_codec.Backend | None,
) -> world.Load:
    if backend is None:
        return world.Load(
            vip=vip,
            protocol=protocol,
            scheduler=settings.scheduler,
            persistence_s=settings.timeout_s,
        )
    return world.Load(
        vip=vip,
        protocol=protocol,
        scheduler=settings.scheduler,
        persistence_s=settings.timeout_s,
        address=backend.address,
        forward=ipvs_codec.FORWARDS.get(backend.forward, str(backend.forward)),
        weight=backend.weight,
        active=backend.active,
        inactive=backend.inactive,
        **{name: getattr(backend.stats, name) for name in _COUNTED},
    )


available = ipvs_session.available
