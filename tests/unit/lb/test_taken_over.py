"""What an earlier process had realised and is not so: hands undid it, and that is told once."""

import pytest

from lb import table
from lb.ports.reconciler import Reconciler as Publisher
from lb.reconciler import Reconciler
from sdd.model import progress
from tests.unit.lb import states
from tests.unit.lb.ports import towns
from tests.unit.lb.ports.test_reconciler import PLUG, Host
from tests.unit.lb.test_reconciler import VIP, WEB, Bench, at


def taking_over(bench: Bench, *revisions: int) -> Reconciler:
    """Another process on the same kernel; the earlier one had realised `revisions`."""
    return Reconciler(bench.kernel, states.NODE, was_realised=revisions.__contains__)


async def test_what_hands_did_meanwhile_is_told_once() -> None:
    bench = Bench()
    await bench.reconciler.realise(at(1, *WEB))
    bench.kernel.tables["/ns/client"] = table.EMPTY
    later = taking_over(bench, 1)
    outcome = await later.realise(at(1, *WEB))
    assert (outcome.changed, outcome.repaired) == (1, 1)
    assert outcome.repairs == (
        progress.Repair(sandbox="client", service="web", what=f"{VIP} was gone"),
    )
    assert (await later.realise(at(1))).repaired == 0, "a new wish is none"


@pytest.mark.parametrize("known", [(), (2,)])
async def test_what_is_new_since_is_no_repair(known: tuple[int, ...]) -> None:
    bench = Bench()
    await bench.reconciler.realise(at(2))
    outcome = await taking_over(bench, *known).realise(at(3, *WEB))
    assert (outcome.changed, outcome.repaired, outcome.repairs) == (2, 0, ())


async def test_nothing_is_told_where_all_is_as_it_was_left() -> None:
    bench = Bench()
    await bench.reconciler.realise(at(1, *WEB))
    outcome = await taking_over(bench, 1).realise(at(1, *WEB))
    assert (outcome.changed, outcome.repaired, outcome.repairs) == (0, 0, ())


@pytest.mark.parametrize(("known", "repaired"), [((1,), 1), ((), 0), ((2,), 0)])
async def test_an_element_that_hands_took_from_the_ports_is_told(
    known: tuple[int, ...], repaired: int
) -> None:
    host = Host()
    await host.to(towns.box("web", towns.port()), PLUG)
    assert host.kernel.image
    host.kernel.image -= {next(iter(host.kernel.image))}
    later = Publisher(host.kernel, states.NODE, ready_s=0.02, was_realised=known.__contains__)
    assert (await later.realise(host.now)).repaired == repaired
    assert host.kernel.image == host.wanted()
    assert (await later.realise(host.now)).repaired == 0
