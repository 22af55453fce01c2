"""Reads what IPVS, the front and the routes hold of a namespace together: a table, flaws included.

Call from a thread inside the namespace. Of many services that are likely to be so, what the
kernel lists is compared with what it lists of such; only of the others it is taken apart.
"""

import random
from collections.abc import Collection, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from types import MappingProxyType

from lb import table
from lb.kernel import (
    ipvs_codec,
    ipvs_entries,
    ipvs_front,
    ipvs_list,
    ipvs_session,
    ipvs_settings,
    local_routes,
    nft_netlink,
)
from lb.kernel.ipvs_codec import Key
from lb.kernel.ipvs_session import Session
from lb.kernel.nft_frame import TABLE
from lb.kernel.nft_prints import Prints
from sdd.linux import netlink
from sdd.model.network import IPAddress

_NOWHERE = object()  # no route; one without a source is None


def read(
    family: int,
    place: table.Place,
    only: Collection[IPAddress] | None,
    likely: Mapping[IPAddress, table.VirtualService] = MappingProxyType({}),
    frame: Prints = MappingProxyType({}),
) -> table.Table:
    """What is `likely` and found so, is the very same value; `frame` are the prints to be met."""
    with netlink.Connection(netlink.NETFILTER) as connection:
        found = ipvs_front.read(connection, only, place.uplink, frame)
    with netlink.Connection(netlink.ROUTE) as connection:
        if only is not None and len(only) <= nft_netlink.FEW:
            routes = local_routes.asked(connection, only)
        else:
            routes = local_routes.read(connection)
    fronts = found.fronts
    flaws = [table.Flaw(what=what) for what in found.flaws]
    with Session(family) as session:
        ours = frozenset(marks(fronts.values()))
        listed = session.listed(ours) if only is None else session.asked(ours)
        right = {vip for vip in fronts if routes.get(vip, _NOWHERE) == place.source_for(vip)}
        listing = session.listing() if len(likely) > ipvs_session.FEW else None
        services = _as_expected(listing, listed, fronts, likely, right) if listing else {}
        if only is None:
            _doubt_some(services)
        doubtful = [each for vip, each in fronts.items() if vip not in services]
        asked = listed.keys() - frozenset(marks(fronts[vip] for vip in services))
        entries = session.entries({key: listed[key] for key in asked}, listing)
        for front in doubtful:
            route = "" if front.vip in right else "wrong" if front.vip in routes else "gone"
            service, wrong = _judged(front, entries, route)
            if service is not None:
                services[front.vip] = service
            flaws.extend(table.Flaw(vip=front.vip, what=what) for what in wrong)
        if only is None:
            flaws.extend(_strays(found, entries.keys(), routes.keys()))
            flaws.extend(_set_otherwise(session, services, place) if services else ())
    return table.Table(services=MappingProxyType(services), flaws=tuple(flaws))


def _doubt_some(services: dict[IPAddress, table.VirtualService]) -> None:
    """The list tells no thresholds: a few, others each time, are asked for one by one."""
    for vip in random.sample(tuple(services), min(len(services), ipvs_session.FEW // 2)):
        del services[vip]


def _as_expected(
    listing: ipvs_list.Listing,
    listed: Mapping[Key, ipvs_codec.Settings],
    fronts: ipvs_front.Fronts,
    likely: Mapping[IPAddress, table.VirtualService],
    right: Collection[IPAddress],
) -> dict[IPAddress, table.VirtualService]:
    """Those of many that are just so: what the kernel lists is compared, not taken apart."""
    return {
        vip: service
        for vip, service in likely.items()
        if vip in right
        and fronts[vip].number == service.number
        and fronts[vip].is_up == bool(service.open)
        and ipvs_entries.are_listed(service, listed, listing)
    }


def marks(fronts: Iterable[ipvs_front.Front]) -> Iterator[Key]:
    """The two services of each."""
    for front in fronts:
        yield Key(front.vip.version, front.stream)
        yield Key(front.vip.version, front.datagram)


def _judged(
    front: ipvs_front.Front, entries: ipvs_entries.Entries, route: str
) -> tuple[table.VirtualService | None, list[str]]:
    """The virtual service behind a front, and what around it is not as it should be.

    `route` says what its local route is, if that is not right.
    """
    stream = entries.get(Key(front.vip.version, front.stream))
    if stream is None:
        return None, [f"{front.vip} was gone"]
    service = ipvs_entries.virtual(front.vip, front.number, stream)
    if service is None:
        return None, [f"its scheduler is {stream.settings.scheduler!r}"]
    wrong = [
        f"its IPVS service {key.mark:#x} is not as sdd makes it"
        for key, entry in ipvs_entries.entries(service).items()
        if entries.get(key) != entry
    ]
    if front.is_up != bool(service.open):
        wrong.append("its answer to pings is wrong")
    if route:
        wrong.append(f"its local route is {route}")
    return service, wrong


def _strays(
    found: ipvs_front.Found, entries: AbstractSet[Key], routes: AbstractSet[IPAddress]
) -> Iterator[table.Flaw]:
    """What belongs to no virtual address, damaged ones included.

    Routes are ours alone: where they stand without the table, it is that which is missing.
    """
    if routes and not found.is_there:
        yield table.Flaw(what=f"the table inet {TABLE} was gone")
        return
    known = {**found.damaged, **found.fronts}
    for key in entries - frozenset(marks(known.values())):
        yield table.Flaw(what=f"the IPVS service {key.mark:#x} belongs to no virtual address")
    for vip in routes - known.keys():
        yield table.Flaw(what=f"the local route to {vip} belongs to no virtual address")


def _set_otherwise(
    session: Session, services: dict[IPAddress, table.VirtualService], place: table.Place
) -> Iterator[table.Flaw]:
    for name, value in ipvs_settings.differing(settings(services.values(), place)):
        yield table.Flaw(what=f"net.ipv4.{name.replace('/', '.')} is {value}")
    if session.timeouts() != ipvs_settings.TIMEOUTS:
        yield table.Flaw(what="the timeouts of IPVS are not as sdd sets them")


def settings(services: Iterable[table.VirtualService], place: table.Place) -> Mapping[str, str]:
    """The settings of a namespace that balances `services`."""
    return ipvs_settings.wanted(services, is_ours=not place.inode)
