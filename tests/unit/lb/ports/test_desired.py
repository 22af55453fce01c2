"""Where published ports lead, by state."""

from ipaddress import ip_address

import pytest

from lb.ports import desired
from sdd.model import ids
from sdd.model.health import Status
from sdd.model.port import Mode, Policy
from sdd.state import ClusterState
from tests.support import work_of
from tests.unit.lb import states
from tests.unit.lb.ports import towns
from tests.unit.lb.ports.towns import box, entries, port, svc

PLUG = states.plug("web", "front", "10.1.0.2/24", "fd01::2/64")


def shown(*values: object) -> list[tuple[str, list[str]]]:
    return [
        (f"v{each.bind.version} {each.bind}", [str(one.address) for one in each.backends])
        for each in entries(*values)  # type: ignore[arg-type]  # values of the model
    ]


def test_P5_one_number_for_both_ip_versions() -> None:
    assert shown(box("web", port()), PLUG) == [
        ("v4 8080/tcp", ["10.1.0.2"]),
        ("v6 8080/tcp", ["fd01::2"]),
    ]


@pytest.mark.parametrize(
    ("host", "lines"),
    [
        ("0.0.0.0", [("v4 8080/tcp", ["10.1.0.2"])]),
        ("::", [("v6 8080/tcp", ["fd01::2"])]),
        ("127.0.0.1", [("v4 127.0.0.1:8080/tcp", ["10.1.0.2"])]),
        ("fd00::9", [("v6 [fd00::9]:8080/tcp", ["fd01::2"])]),
    ],
)
def test_a_host_address_is_of_one_version(host: str, lines: object) -> None:
    assert shown(box("web", port(host=host)), PLUG) == lines


def test_71_an_internal_network_is_passed_over() -> None:
    vault = states.plug("web", "vault", "10.3.0.2/24")
    back = states.plug("web", "back", "10.2.0.2/24")
    assert shown(box("web", port()), vault, back) == [("v4 8080/tcp", ["10.2.0.2"])]


def test_a_port_whose_sandbox_is_on_no_network_any_more_stays_bound_and_refuses() -> None:
    assert shown(box("web", port())) == [("v4 8080/tcp", [])]


def test_sandboxes_of_other_nodes_publish_there() -> None:
    plug = states.plug("web", "front", "10.1.0.2/24", node=states.ELSEWHERE)
    assert shown(box("web", port(), node=states.ELSEWHERE), plug) == []


WEB2 = states.plug("web2", "front", "10.1.0.3/24")
PAIR = (
    box("web"),
    PLUG,
    box("web2"),
    WEB2,
    states.member("web", "web", "front", weight=3),
    states.member("web", "web2", "front", node=states.ELSEWHERE),
)


@pytest.mark.parametrize(
    ("mode", "policy", "backends"),
    [
        (Mode.INGRESS, Policy.PRESERVE, ["10.1.0.2", "10.1.0.3"]),
        (Mode.INGRESS, Policy.LOCAL, ["10.1.0.2"]),
        (Mode.HOST, Policy.PRESERVE, ["10.1.0.2"]),
    ],
)
def test_whose_backends_are_behind_a_services_port(
    mode: Mode, policy: Policy, backends: list[str]
) -> None:
    assert shown(svc("web", port(mode=mode, policy=policy)), *PAIR)[0] == ("v4 8080/tcp", backends)


def test_a_backend_that_is_down_is_not_behind_the_port() -> None:
    checked = svc("web", port(mode=Mode.INGRESS), health=states.CHECKED)
    up, down = (
        states.verdict("web", "web", "front", Status.UP),
        states.verdict("web", "web2", "front", Status.DOWN),
    )
    assert shown(checked, *PAIR, up, down)[0] == ("v4 8080/tcp", ["10.1.0.2"])


def test_the_clients_address_is_kept_where_answers_come_back_this_way() -> None:
    (v4, v6) = entries(box("web", port()), PLUG)
    assert v4.masked == v6.masked == frozenset()
    assert v4.devices == {towns.FRONT.device}


def test_97_an_answer_that_would_leave_by_another_network_is_asked_for_with_our_address() -> None:
    """The default route is over `back`, IPv4 only; what is published is on `front`."""
    front = states.plug("web", "front", "10.1.0.2/24", "fd01::2/64")
    back = states.plug("web", "back", "10.2.0.2/24")
    member = states.member("api", "web", "front")
    found = entries(box("web"), back, front, svc("api", port(mode=Mode.INGRESS)), member)
    ends = states.state(*towns.GROUND, box("web"), back, front).endpoints_by_sandbox
    first = ends[ids.SandboxId("web")][0].network
    masked = {each.bind.version: [str(one) for one in each.masked] for each in found}
    assert masked == {4: ["10.1.0.2"] if first == "back" else [], 6: []}


def test_snat_shows_the_hosts_address_to_every_backend() -> None:
    (v4, _) = entries(box("web", port(policy=Policy.SNAT)), PLUG)
    assert {str(each) for each in v4.masked} == {"10.1.0.2"}


def test_what_did_not_change_is_the_same_object() -> None:
    before = states.state(*towns.GROUND, box("web", port()), PLUG, box("api", port(81)))
    first = desired.desired(before, desired.nothing(states.NODE))
    second = desired.desired(towns.later(before, box("other", port(82))), first)
    assert second.parts["web"] is first.parts["web"]
    third = desired.desired(
        towns.later(second.state, states.plug("web", "front", "10.1.0.9/24")), second
    )
    assert third.parts["web"] is not first.parts["web"]
    assert third.parts["api"] is first.parts["api"]


def test_a_port_whose_address_names_a_link_is_the_failure_of_who_publishes_it() -> None:
    bad, good = box("bad", port(host="fe80::1%eth0")), box("web", port(8081))
    far = box("far", port(host="fe80::2%eth0"), node=states.ELSEWHERE)
    state = states.state(*towns.GROUND, bad, good, far, PLUG)
    first = desired.desired(state, desired.nothing(states.NODE))
    for want in (first, desired.desired(towns.later(state, box("more")), first)):
        assert list(want.refused) == [bad.id]
        assert want.refused[bad.id].code == "SDD-OBJECT-DATA"
        assert "the ports of 'bad' are not published" in want.refused[bad.id].sentence
        assert want.parts.keys() == {good.id, far.id}
        assert [each.bind.number for each in want.parts[good.id]] == [8081, 8081]
    mended = desired.desired(towns.later(state, box("bad", port(8082))), first)
    assert not mended.refused
    assert bad.id in mended.parts


@pytest.mark.parametrize("mode", Mode)
def test_twice_as_many_ports_are_twice_the_work(mode: Mode) -> None:
    def deriving(count: int) -> int:
        many = svc("web", *(port(20000 + each, 20000 + each, mode=mode) for each in range(count)))
        state = states.state(*towns.GROUND, many, *PAIR)
        return work_of(lambda: desired.desired(state, desired.nothing(states.NODE)))

    once, twice = deriving(200), deriving(400)
    assert once < twice < 2.2 * once


def many_ports(count: int, *, through: bool) -> ClusterState:
    """Of a service that is checked; half of its ports lead to members of this node alone."""
    modes = [Mode.INGRESS if each % 2 else Mode.HOST for each in range(count)]
    ports = (port(20000 + each, 20000 + each, mode=mode) for each, mode in enumerate(modes))
    vips = (ip_address("10.255.0.9"),) if through else ()
    many = svc("web", *ports, health=states.CHECKED, ingress_vips=vips)
    verdicts = [states.verdict("web", each, "front", Status.UP) for each in ("web", "web2")]
    return states.state(*towns.GROUND, many, *PAIR, *verdicts)


@pytest.mark.parametrize("through", [True, False])
def test_only_ports_behind_which_somebody_else_is_are_derived_anew(through: bool) -> None:
    """The member that fails is another node's."""
    before = many_ports(6, through=through)
    first = desired.desired(before, desired.nothing(states.NODE))
    after = towns.later(before, states.verdict("web", "web2", "front", Status.DOWN))
    second = desired.desired(after, first)
    anew = [
        old is not new for old, new in zip(first.parts["web"], second.parts["web"], strict=True)
    ]
    leads_to_it = [
        any(one.address in WEB2.hosts for one in each.backends) for each in first.parts["web"]
    ]
    assert anew == leads_to_it
    assert any(anew) is not through
    assert second.parts == desired.desired(after, desired.nothing(states.NODE)).parts


def test_news_that_change_no_port_cost_the_same_however_many_there_are() -> None:
    def following(count: int) -> int:
        before = many_ports(count, through=True)
        first = desired.desired(before, desired.nothing(states.NODE))
        after = towns.later(before, states.verdict("web", "web2", "front", Status.DOWN))
        return work_of(lambda: desired.desired(after, first))

    assert following(400) < 1.1 * following(20)
