"""Rows carry the names of the state and the counts of the kernel."""

import asyncio
from ipaddress import ip_address

from lb import plan, table, world
from lb.fake import FakeKernel
from lb.growth import Growth
from lb.view import RateRow, Row, View
from tests.contract.lb_kernel import API, WEB, table_of, virtual
from tests.unit.lb import states

CLIENT = states.box("client")
STATE = states.state(
    states.net("front", 77),
    CLIENT,
    states.plug("client", "front", "10.77.0.100/24"),
    states.svc("web", "front", str(WEB)),
)


async def made(*services: table.VirtualService) -> FakeKernel:
    kernel = FakeKernel()
    kernel.make(CLIENT.netns)
    steps = plan.diff(table.EMPTY, table_of(*services))
    await kernel.apply(table.Place(netns=CLIENT.netns), table.EMPTY, steps)
    return kernel


async def view(*services: table.VirtualService) -> tuple[Row, ...]:
    return await View(await made(*services), lambda: STATE)(CLIENT)


async def test_each_backend_is_a_row_under_its_services_name() -> None:
    rows = await view(virtual(WEB, 3, 0))
    assert [(row.service, row.protocol, str(row.address), row.weight) for row in rows] == [
        ("web", "tcp", "10.77.0.1", 3),
        ("web", "tcp", "10.77.0.2", 0),
        ("web", "udp", "10.77.0.1", 3),
    ]
    assert {(row.vip, row.scheduler, row.port) for row in rows} == {(WEB, "rr", 0)}


async def test_rows_stand_by_address_however_the_kernel_lists_them() -> None:
    class Backwards(FakeKernel):
        async def loads(self, place: table.Place) -> tuple[world.Load, ...]:
            return (*reversed(await super().loads(place)),)

    kernel = Backwards()
    kernel.tables = (await made(virtual(WEB, 1, 1), virtual(API, 1))).tables
    rows = await View(kernel, lambda: STATE)(CLIENT)
    assert [(row.vip, row.protocol, row.address) for row in rows] == [
        (row.vip, row.protocol, row.address)
        for row in await view(virtual(WEB, 1, 1), virtual(API, 1))
    ]
    assert len(rows) == 6


async def test_what_is_nobodys_has_no_name_and_a_service_without_backends_one_row() -> None:
    rows = await view(virtual(API))
    assert [(row.service, row.protocol, row.address) for row in rows] == [
        ("", "tcp", None),
        ("", "udp", None),
    ]


async def test_rates_are_what_came_between_two_readings_per_second() -> None:
    kernel = await made(virtual(WEB, 1))
    times = iter((0.0, 2.0))
    kernel.counts[WEB, "tcp", ip_address("10.77.0.1")] = Growth(connections=5, in_bytes=100)

    def clock() -> float:
        now = next(times)
        if now == 0.0:
            asyncio.get_running_loop().call_soon(more)
        return now

    def more() -> None:
        kernel.counts[WEB, "tcp", ip_address("10.77.0.1")] = Growth(connections=25, in_bytes=300)

    tcp, udp = await View(kernel, lambda: STATE, clock, rate_s=0.01)(CLIENT, rates=True)
    assert isinstance(tcp, RateRow)
    assert isinstance(udp, RateRow)
    assert (tcp.connection_rate, tcp.in_byte_rate, udp.connection_rate) == (10, 100, 0)


async def test_a_namespace_that_is_gone_has_no_rows() -> None:
    assert await View(FakeKernel(), lambda: STATE)(CLIENT) == ()
    assert ip_address("10.77.0.100") in STATE.endpoints_by_sandbox[CLIENT.id][0].hosts
