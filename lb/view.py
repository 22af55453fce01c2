"""What a sandbox's kernel says of balancing, with the names people gave: `sdctl lb ls`."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from lb import desired, explain, growth, kept, table, world
from sdd import errors, ways
from sdd.model import sandbox, service
from sdd.model.network import IPAddress
from sdd.model.serving import Way
from sdd.state import ClusterState


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One backend of one virtual service in one sandbox; `service` is empty when nobody's.

    All ports are forwarded, so `port` is 0. `serving` says who serves by that address, where not
    the same do by all. Fields as in `lb.world.Load`.
    """

    service: str
    serving: str
    protocol: str
    vip: IPv4Address | IPv6Address
    port: int
    scheduler: str
    persistence_s: int
    address: IPv4Address | IPv6Address | None
    forward: str
    weight: int
    active: int
    inactive: int
    connections: int | None
    in_packets: int | None
    out_packets: int | None
    in_bytes: int | None
    out_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RateRow(Row):
    """The same per second: the kernel's averages or, where it has none, of the last second."""

    connection_rate: int | None
    in_packet_rate: int | None
    out_packet_rate: int | None
    in_byte_rate: int | None
    out_byte_rate: int | None


RATE_S = 1.0  # between the two readings that make a rate


class View:
    """`view(sandbox)`: the kernel is asked at every call, the state gives the names."""

    def __init__(
        self,
        kernel: world.Kernel,
        state: Callable[[], ClusterState],
        clock: Callable[[], float] = time.monotonic,
        rate_s: float = RATE_S,
        kept: kept.Kept | None = None,
    ) -> None:
        """`kept` knows what backends counted before they were away."""
        self._kept = kept
        self._kernel = kernel
        self._state = state
        self._clock = clock
        self._rate_s = rate_s

    async def __call__(self, box: sandbox.Sandbox, /, rates: bool = False) -> tuple[Row, ...]:
        """The rows of one sandbox; none when its namespace is gone."""
        state = self._state()
        named = {each.vip: each.service for each in explain.targets(state, box)}
        served = {vip: _serving(state, svc, vip) for vip, svc in named.items()}
        try:
            loads = await self._loads(desired.place_of(state, box), rates=rates)
        except errors.NotFound:
            return ()
        if self._kept is not None:
            loads = self._kept.with_former(box.id, loads)
        ordered = sorted(loads, key=_order)
        return tuple(
            _row(
                each,
                named[each.vip].name if each.vip in named else "",
                served.get(each.vip, ""),
                rates=rates,
            )
            for each in ordered
        )

    async def _loads(self, place: table.Place, *, rates: bool) -> tuple[world.Load, ...]:
        begun = self._clock()
        first = await self._kernel.loads(place)
        if not rates or all(each.connection_rate is not None for each in first if each.address):
            return first
        await asyncio.sleep(self._rate_s)
        second = await self._kernel.loads(place)
        return growth.rated(first, second, self._clock() - begun)


def _order(load: world.Load) -> tuple[int, int, str, int]:
    """By virtual address, protocol and backend: kernels list as it suits them."""
    backend = -1 if load.address is None else int(load.address)
    return load.vip.version, int(load.vip), load.protocol, backend


def _serving(state: ClusterState, svc: service.Service, vip: IPAddress) -> str:
    found = ways.differing(state, svc)
    way = Way(vip.version, is_ingress=vip in svc.ingress_vips)
    return found[way].mode.value if way in found else ""


def _row(load: world.Load, name: str, serving: str, *, rates: bool) -> Row:
    kind = RateRow if rates else Row
    asked = kind.__dataclass_fields__.keys() - {"service", "serving", "port"}
    return kind(
        service=name, serving=serving, port=0, **{field: getattr(load, field) for field in asked}
    )
