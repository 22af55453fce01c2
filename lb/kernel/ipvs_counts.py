"""What IPVS counts of a namespace, by virtual address, protocol and backend.

Call from a thread inside the namespace.
"""

import contextlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace

from lb import plan, table, world
from lb.kernel import ipvs_codec, ipvs_connections, ipvs_entries, ipvs_front, ipvs_read
from lb.kernel.ipvs_codec import Key
from lb.kernel.ipvs_session import Session
from sdd import errors
from sdd.linux import netlink
from sdd.model.network import IPAddress


def last(family: int, have: table.Table, steps: Sequence[plan.Step]) -> tuple[world.Load, ...]:
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


def loads(family: int, only: Collection[IPAddress] | None = None) -> Iterator[world.Load]:
    """Of all services that the front leads to, or of those of `only`."""
    with netlink.Connection(netlink.NETFILTER) as connection:
        fronts = ipvs_front.read(connection, only).fronts
    if not fronts:  # or it is being filled: to list it takes the lock of who does that
        return
    with Session(family) as session:
        ours = frozenset(ipvs_read.marks(fronts.values()))
        listed = session.listed(ours) if only is None else session.asked(ours)
        for front in sorted(fronts.values(), key=lambda each: (each.vip.version, int(each.vip))):
            for protocol, mark in (("tcp", front.stream), ("udp", front.datagram)):
                key = Key(front.vip.version, mark)
                if (settings := listed.get(key)) is not None:
                    for backend in _ordered(session.backends(key)) or (None,):
                        yield _load(front.vip, protocol, settings, backend)


def connections(family: int, vips: Collection[IPAddress]) -> Iterator[world.Load]:
    """The same of `vips`; connections that are half-closed are active, too.

    IPVS counts those with the ones that are over, and only its table tells them apart.
    """
    found = tuple(loads(family, vips))
    if any(map(_may_hide, found)):
        with ipvs_connections.FILE.open() as lines:
            half = ipvs_connections.half_closed(lines)
        found = tuple(
            replace(each, active=1)
            if _may_hide(each) and (each.vip, each.address) in half
            else each
            for each in found
        )
    yield from found


def _may_hide(load: world.Load) -> bool:
    """Whoever has a weight is busy anyway, and to read the table takes the kernel its time."""
    is_leaving = load.address is not None and not load.weight
    return is_leaving and load.protocol == "tcp" and not load.active and bool(load.inactive)


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
