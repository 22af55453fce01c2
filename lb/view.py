"""What a sandbox's kernel says of balancing, with the names people gave: `sdctl lb ls`."""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from lb import table, world
from sdd import errors
from sdd.model import sandbox
from sdd.state import ClusterState


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One backend of one virtual service in one sandbox; `service` is empty when nobody's.

    All ports are forwarded, so `port` is 0. Fields as in `lb.world.Load`.
    """

    service: str
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
    """The same with the kernel's running averages, per second."""

    connection_rate: int | None
    in_packet_rate: int | None
    out_packet_rate: int | None
    in_byte_rate: int | None
    out_byte_rate: int | None


class View:
    """`view(sandbox)`: the kernel is asked at every call, the state gives the names."""

    def __init__(self, kernel: world.Kernel, state: Callable[[], ClusterState]) -> None:
        self._kernel = kernel
        self._state = state

    async def __call__(self, box: sandbox.Sandbox, /, rates: bool = False) -> tuple[Row, ...]:
        """The rows of one sandbox; none when its namespace is gone."""
        state = self._state()
        endpoints = state.endpoints_by_sandbox.get(box.id, ())
        place = table.Place(
            netns=box.netns, addresses=tuple(each for one in endpoints for each in one.addresses)
        )
        names = {
            vip: service.name
            for one in endpoints
            for service in state.services_by_network.get(one.network, ())
            for vip in service.vips
        }
        try:
            loads = await self._kernel.loads(place)
        except errors.NotFound:
            return ()
        return tuple(_row(each, names.get(each.vip, ""), rates=rates) for each in loads)


def _row(load: world.Load, name: str, *, rates: bool) -> Row:
    kind = RateRow if rates else Row
    asked = kind.__dataclass_fields__.keys() - {"service", "port"}
    return kind(service=name, port=0, **{field: getattr(load, field) for field in asked})
