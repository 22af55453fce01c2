"""Names and balancers hand out the same members at one revision, by each IP version."""

from dataclasses import replace
from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st

from lb.desired import desired, nothing
from resolver.message import wire
from resolver.names import records
from resolver.names.ground import Ground
from sdd.model import health
from sdd.model.service import Member
from tests.unit.lb import states
from tests.unit.lb.test_by_version import CLIENT, FRONT, GROUND, NAMES, WEB


@st.composite
def judged(draw: st.DrawFn, name: str) -> tuple[Member, health.Verdict]:
    status = draw(st.sampled_from(list(health.Status)))
    failing = draw(st.sampled_from([(), (4,), (6,)])) if status is health.Status.UP else ()
    member = states.member("web", name, "front", weight=draw(st.integers(0, 2)))
    verdict = states.verdict("web", name, "front", status)
    drains = draw(st.sampled_from([0.0, 0.0, 9.0]))
    return (
        replace(member, backup=draw(st.booleans()), drains_until=drains),
        replace(verdict, failing=failing),
    )


@given(
    st.tuples(*(judged(name) for name in NAMES)),
    st.integers(1, 3),
    st.sampled_from([0, 30, 60, 100]),
)
def test_names_are_those_to_which_the_balancer_leads(
    found: tuple[tuple[Member, health.Verdict], ...], quorum: int, panic: int
) -> None:
    svc = replace(WEB, quorum=quorum, panic=panic)
    state = states.state(*GROUND, svc, *(value for pair in found for value in pair))
    served = desired(state, nothing(states.NODE)).sandboxes[CLIENT].table.services
    led = {vip: {each.address for each in one.open} for vip, one in served.items()}
    names = records.of_service(svc, records.members(state, svc), Ground.of(FRONT, 1))
    tasks, name = (
        {
            ip_address(data[-size:])
            for kind, size in ((wire.A, 4), (wire.AAAA, 16))
            for data in names[wire.to_wire(each)].get(kind, ())
        }
        for each in ("tasks.web", "web")
    )
    assert tasks == set().union(*led.values())
    answering = {vip for vip in led if led[vip]}
    assert name == (answering or set(svc.vips))
