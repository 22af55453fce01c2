"""Rows carry the names of the state and the counts of the kernel."""

from ipaddress import ip_address

from lb import plan, table
from lb.fake import FakeKernel
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


async def view(*services: table.VirtualService, rates: bool = False) -> tuple[Row, ...]:
    kernel = FakeKernel()
    kernel.make(CLIENT.netns)
    steps = plan.diff(table.EMPTY, table_of(*services))
    await kernel.apply(table.Place(netns=CLIENT.netns), table.EMPTY, steps)
    return await View(kernel, lambda: STATE)(CLIENT, rates)


async def test_each_backend_is_a_row_under_its_services_name() -> None:
    rows = await view(virtual(WEB, 3, 0))
    assert [(row.service, str(row.address), row.weight) for row in rows] == [
        ("web", "10.77.0.1", 3),
        ("web", "10.77.0.2", 0),
    ]
    assert {(row.vip, row.scheduler, row.port) for row in rows} == {(WEB, "rr", 0)}


async def test_what_is_nobodys_has_no_name_and_a_service_without_backends_one_row() -> None:
    (row,) = await view(virtual(API))
    assert (row.service, row.address) == ("", None)


async def test_rates_are_shown_when_asked_for() -> None:
    (row,) = await view(virtual(WEB, 1), rates=True)
    assert isinstance(row, RateRow)
    (plain,) = await view(virtual(WEB, 1))
    assert not isinstance(plain, RateRow)


async def test_a_namespace_that_is_gone_has_no_rows() -> None:
    assert await View(FakeKernel(), lambda: STATE)(CLIENT) == ()
    assert ip_address("10.77.0.100") in STATE.endpoints_by_sandbox[CLIENT.id][0].hosts
