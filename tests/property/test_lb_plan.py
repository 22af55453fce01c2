"""Laws of the balancing plan, for any two tables."""

from ipaddress import IPv4Address, IPv6Address

from hypothesis import given
from hypothesis import strategies as st

from lb import plan, table
from lb.back import DAMAGED, Back
from sdd.model.network import IPAddress
from sdd.model.service import Scheduler

VIPS: tuple[IPAddress, ...] = (
    IPv4Address("10.0.0.100"),
    IPv4Address("10.0.0.101"),
    IPv6Address("fd00::100"),
)


def addresses(version: int) -> st.SearchStrategy[IPAddress]:
    numbers = st.integers(1, 4)
    if version == 4:
        return numbers.map(lambda number: IPv4Address(f"10.0.0.{number}"))
    return numbers.map(lambda number: IPv6Address(f"fd00::{number}"))


@st.composite
def virtual_services(draw: st.DrawFn, vip: IPAddress) -> table.VirtualService:
    weights = draw(st.dictionaries(addresses(vip.version), st.integers(0, 3)))
    return table.VirtualService(
        number=draw(st.integers(1, 2)),
        vip=vip,
        scheduler=draw(st.sampled_from([Scheduler.RR, Scheduler.MH])),
        persistence_s=draw(st.sampled_from([0, 60])),
        backends=plan.ordered([table.Backend(address=a, weight=w) for a, w in weights.items()]),
    )


@st.composite
def tables(draw: st.DrawFn, *, flawed: bool = False) -> table.Table:
    vips = draw(st.sets(st.sampled_from(VIPS)))
    flaws: list[IPAddress | None] = []
    if flawed:
        flaws = draw(st.lists(st.sampled_from((*VIPS, None))))
    return table.Table(
        services={vip: draw(virtual_services(vip)) for vip in vips},
        flaws=tuple(table.Flaw(vip=vip, what="broken") for vip in flaws),
        back=draw(st.sampled_from([None, DAMAGED, Back(link="ing0", lost=(4,))])),
    )


@given(tables(flawed=True), tables())
def test_the_steps_lead_from_what_is_to_what_should_be(
    have: table.Table, want: table.Table
) -> None:
    assert plan.result(have, plan.diff(have, want)) == want


@given(tables())
def test_from_what_should_be_there_is_no_step(want: table.Table) -> None:
    assert plan.diff(want, want) == ()


@given(tables(flawed=True), tables())
def test_a_service_that_stays_is_never_removed_and_keeps_its_kept_backends(
    have: table.Table, want: table.Table
) -> None:
    steps = plan.diff(have, want)
    for vip, service in want.services.items():
        before = have.services.get(vip)
        if before is None or before.number != service.number:
            continue
        assert plan.RemoveService(vip) not in steps
        kept = before.weights.keys() & service.weights.keys()
        assert not any(plan.RemoveBackend(vip, address) in steps for address in kept)


@given(tables(), tables())
def test_no_service_is_without_backends_on_the_way(have: table.Table, want: table.Table) -> None:
    steps = plan.diff(have, want)
    stays = [
        vip
        for vip, service in want.services.items()
        if service.backends
        and (before := have.services.get(vip)) is not None
        and before.number == service.number
        and before.backends
    ]
    for at in range(len(steps) + 1):
        now = plan.result(have, steps[:at])
        assert all(now.services[vip].backends for vip in stays)


# A backend's weights before and after; None: it is not there. None takes connections all the time.
TURNS = ((1, 0), (0, 1), (2, 0), (0, 2), (0, 0), (1, None), (None, 1), (None, 0))


@st.composite
def reweighed(draw: st.DrawFn) -> tuple[table.VirtualService, table.VirtualService]:
    """A service twice, whose backends take each other's place."""
    vip = draw(st.sampled_from(VIPS))
    which = draw(st.lists(addresses(vip.version), unique=True, min_size=2))
    turns = {each: draw(st.sampled_from(TURNS)) for each in which}

    def service(at: int) -> table.VirtualService:
        pairs = ((each, turn[at]) for each, turn in turns.items())
        found = [table.Backend(address=a, weight=w) for a, w in pairs if w is not None]
        return table.VirtualService(number=1, vip=vip, backends=plan.ordered(found))

    return service(0), service(1)


@given(reweighed())
def test_who_takes_connections_before_and_after_takes_them_on_the_way(
    both: tuple[table.VirtualService, table.VirtualService],
) -> None:
    have, want = (table.Table(services={each.vip: each}) for each in both)
    steps = plan.diff(have, want)
    if not all(each.open for each in both):
        return
    for at in range(len(steps) + 1):
        (now,) = plan.result(have, steps[:at]).services.values()
        assert now.open


@given(tables(), tables())
def test_every_step_changes_something(have: table.Table, want: table.Table) -> None:
    now = have
    for step in plan.diff(have, want):
        after = plan.result(now, (step,))
        assert after != now
        now = after
