"""Balancing by IPVS: mark services, a small nft table in front, one local route per address.

IPVS has no transactions, so every change starts from what the kernel holds of the services it is
about and every request is judged by itself. Order: IPVS first, then the marks that lead to it, then
the routes; whatever is missing in between, the front refuses rather than lets a packet stray.
"""

import errno
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet

from lb import plan, table, world
from lb.kernel import (
    ipvs_codec,
    ipvs_connections,
    ipvs_counts,
    ipvs_entries,
    ipvs_front,
    ipvs_modules,
    ipvs_read,
    ipvs_session,
    ipvs_settings,
    ipvs_whole,
    legible,
    local_routes,
    nft_frames,
    nft_netlink,
)
from lb.kernel.ipvs_codec import Key
from lb.kernel.ipvs_session import Session
from lb.kernel.nft_prints import Prints
from sdd import errors
from sdd.linux import namespaces, netlink, nft_compile
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
        self._family = family
        self._frames = nft_frames.Frames(spaces, ipvs_front.frame_of)

    async def prepare(self) -> None:
        """Have ready what is alike in all sandboxes, so that the first does not wait for it."""
        await self._frames.of("")

    def foresee(self, services: Iterable[table.VirtualService]) -> None:
        """Their requests are put together now: a thousand take longer than a namespace."""
        ipvs_whole.foresee(self._family, services)

    async def inode(self, place: table.Place) -> int:
        """The namespace's number, 0 while there is none."""
        return await namespaces.wait_inode(place.netns)

    async def read(
        self,
        place: table.Place,
        only: Collection[IPAddress] | None = None,
        likely: Mapping[IPAddress, table.VirtualService] = world.NOTHING_KNOWN,
    ) -> table.Table:
        """The table as IPVS, the front and the routes hold it together."""
        frame = await self._prints(place) if only is None else {}

        def work() -> table.Table:
            return ipvs_read.read(self._family, place, only, likely, frame)

        return await self._spaces.run(place.netns, lambda: legible.legible(work))

    async def _prints(self, place: table.Place) -> Prints:
        """Nothing to compare with where it cannot be known: the next look tries again."""
        try:
            return await self._frames.prints(place.uplink)
        except errors.SddError:
            return {}

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
            place.netns, lambda: legible.counts(lambda: ipvs_counts.loads(self._family))
        )

    async def counters(self, place: table.Place) -> tuple[world.Load, ...]:
        """The same: IPVS counts its connections anyway."""
        return await self.loads(place)

    async def connections(
        self, place: table.Place, vips: Collection[IPAddress]
    ) -> tuple[world.Load, ...]:
        """The same of those services alone, with half-closed connections among the active."""
        return await self._spaces.run(
            place.netns,
            lambda: legible.counts(lambda: ipvs_counts.connections(self._family, vips)),
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
    ended = ipvs_counts.last(family, have, steps)
    after = plan.result(have, steps)
    vips = _concerned(have, after, steps)
    whole = plan.Mend(None) in steps
    refused = tuple(_apply(family, place, frame, have, after, vips=vips, whole=whole))
    likely = _served(have, after, vips)
    shown = ipvs_read.read(family, place, vips, likely)
    return world.Change(refusals=refused, shown=shown, ended=ended)


# Hashing an address takes as long as making the requests of a backend. Of an empty namespace all
# services are new, so that a thousand of them need not be looked up again and again.


def _concerned(
    have: table.Table, after: table.Table, steps: Sequence[plan.Step]
) -> AbstractSet[IPAddress]:
    """The virtual addresses that `steps` are about."""
    if have.services or have.flaws:
        return plan.addresses(steps)
    return after.services.keys()


def _served(
    have: table.Table, after: table.Table, vips: AbstractSet[IPAddress]
) -> Mapping[IPAddress, table.VirtualService]:
    """Those of `vips`, the addresses of all that changes, with a service afterwards."""
    if not have.services:
        return after.services
    return {vip: found for vip in vips if (found := after.services.get(vip)) is not None}


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
    there = _there(session, have, after, vips, whole=whole)
    told = _served(have, after, vips)
    unready = {vip for vip, each in told.items() if _is_unready(each)}
    if unready:  # what is there of them stays as it is
        vips, kept = vips - unready, frozenset(_keys(have, after, unready))
        there = {key: how for key, how in there.items() if key not in kept}
    # A thousand addresses are looked up in nothing: that hashes none of them.
    old, late = have.services or (), unready or ()
    new = [
        each
        for vip, each in told.items()
        if vip not in old
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


def _there(
    session: Session,
    have: table.Table,
    after: table.Table,
    vips: AbstractSet[IPAddress],
    *,
    whole: bool,
) -> Mapping[Key, ipvs_codec.Settings]:
    """What is there of their mark services, or of all of ours."""
    if not have.services and not session.listed():
        return {}
    keys = frozenset(_keys(have, after, vips))
    return session.listed(keys) if whole else session.asked(keys)


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


available = ipvs_session.available
