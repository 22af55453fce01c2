"""Backups, quorum and panic count for each IP version, and on ingress, by itself."""

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address, ip_network

from lb import desired, explain, moment
from lb.fake import FakeKernel
from lb.ports import desired as ports
from lb.view import View
from sdd.model import health, ids, network, service
from sdd.model.health import Status
from sdd.model.port import Mode, Port
from sdd.model.service import EndpointMode
from sdd.state import ClusterState, Object
from tests.unit.lb import ingress_states, states

VIPS = ("10.1.0.100", "fd01::100")
FRONT = network.Network(
    id=ids.NetworkId("front"),
    name="front",
    pools=tuple(
        network.Pool(subnet=ip_network(each), gateway=ip_network(each)[1])
        for each in ("10.1.0.0/24", "fd01::/64")
    ),
)
NAMES = ("a", "b", "c", "sorry")
GROUND: tuple[Object, ...] = (
    FRONT,
    states.box("client"),
    states.plug("client", "front", "10.1.0.9/24", "fd01::9/64"),
    *(states.box(name) for name in NAMES),
    *(
        states.plug(name, "front", f"10.1.0.1{at}/24", f"fd01::1{at}/64")
        for at, name in enumerate(NAMES)
    ),
)
WEB = states.svc("web", "front", *VIPS, check=states.CHECKED)
CLIENT = ids.SandboxId("client")


def up(name: str, *failing: int) -> health.Verdict:
    return replace(states.verdict("web", name, "front", Status.UP), failing=failing)


def down(name: str) -> health.Verdict:
    return states.verdict("web", name, "front", Status.DOWN)


def members(*names: str) -> Sequence[service.Member]:
    made = [states.member("web", name, "front") for name in names]
    return [replace(each, backup=each.sandbox == "sorry") for each in made]


def town(svc: service.Service, *verdicts: health.Verdict) -> ClusterState:
    names = [each.endpoint.removesuffix("-front") for each in verdicts]
    return states.state(*GROUND, svc, *members(*names), *verdicts)


def who(state: ClusterState) -> dict[int, set[str]]:
    """Whom the client's balancer leads to, by IP version."""
    wanted = desired.desired(state, desired.nothing(states.NODE)).sandboxes[CLIENT]
    owner = {address: str(end.sandbox) for end in state.endpoints.values() for address in end.hosts}
    return {
        vip.version: {owner[each.address] for each in served.open}
        for vip, served in wanted.table.services.items()
    }


def test_a_backup_takes_over_the_ip_version_in_which_no_member_answers() -> None:
    assert who(town(WEB, up("a", 6), up("sorry"))) == {4: {"a"}, 6: {"sorry"}}
    assert who(town(WEB, up("a", 4), up("sorry"))) == {4: {"sorry"}, 6: {"a"}}
    assert who(town(WEB, up("a"), up("sorry"))) == {4: {"a"}, 6: {"a"}}
    assert who(town(WEB, down("a"), up("sorry"))) == {4: {"sorry"}, 6: {"sorry"}}


def test_a_backup_that_fails_there_too_takes_over_nothing() -> None:
    assert who(town(WEB, up("a", 6), up("sorry", 6))) == {4: {"a"}, 6: set()}


def test_the_quorum_counts_those_that_answer_in_the_ip_version() -> None:
    two = replace(WEB, quorum=2)
    assert who(town(two, up("a"), up("b", 6), up("sorry"))) == {4: {"a", "b"}, 6: {"sorry"}}
    assert who(town(two, up("a"), up("b"), up("c", 6), up("sorry"))) == {
        4: {"a", "b", "c"},
        6: {"a", "b"},
    }


def test_a_program_that_knows_one_ip_version_is_no_panic() -> None:
    calm = replace(WEB, panic=60)
    assert who(town(calm, up("a", 6), up("b", 6))) == {4: {"a", "b"}, 6: set()}
    assert who(town(calm, up("a"), up("b", 6), up("c", 6))) == {4: {"a", "b", "c"}, 6: {"a"}}


def test_in_panic_nobody_is_led_to_who_is_known_not_to_answer_there() -> None:
    calm = replace(WEB, panic=60)
    assert who(town(calm, up("a", 6), down("b"), down("c"))) == {
        4: {"a", "b", "c"},
        6: {"b", "c"},
    }


def test_who_rests_in_one_ip_version_keeps_its_connections_there() -> None:
    two = replace(WEB, quorum=2)
    wanted = desired.desired(
        town(two, up("a"), up("b", 6), up("sorry")), desired.nothing(states.NODE)
    )
    served = wanted.sandboxes[CLIENT].table.services[ip_address("fd01::100")]
    assert served.weights == {ip_address("fd01::10"): 0, ip_address("fd01::13"): 1}


def test_a_published_port_leads_to_the_backup_by_that_ip_version() -> None:
    svc = replace(WEB, ports=(Port(published=8080, target=80, mode=Mode.HOST),))
    want = ports.desired(town(svc, up("a", 6), up("sorry")), ports.nothing(states.NODE))
    found = {
        entry.bind.version: [str(each.address) for each in entry.backends if each.weight]
        for entry in want.parts["web"]
    }
    assert found == {4: ["10.1.0.10"], 6: ["fd01::13"]}


def test_a_backup_takes_over_on_ingress_alone() -> None:
    shop = ingress_states.shop(health=states.CHECKED)
    sorry = replace(states.member("shop", "sorry", "front"), backup=True)
    fails = states.verdict("shop", "web", "front", Status.UP)
    values = (
        states.box("sorry"),
        states.plug("sorry", "front", "10.1.0.3/24"),
        ingress_states.on_ingress("sorry", 11),
        sorry,
        states.verdict("shop", "sorry", "front", Status.UP),
    )
    for on_ingress, by4, by6 in (((), "10", "a"), ((4,), "11", "a"), ((4, 6), "11", "b")):
        state = ingress_states.town(shop, *values, replace(fails, ingress_failing=on_ingress))
        boxes = desired.desired(state, desired.nothing(states.NODE)).sandboxes
        found = boxes[ids.SandboxId("sbox")].table.services
        assert [str(each.address) for vip in found for each in found[vip].open] == [
            f"10.0.0.{by4}",
            f"fd00::{by6}",
        ]
        own = boxes[ids.SandboxId("web")].table.services[ip_address("10.1.0.100")]
        assert [str(each.address) for each in own.open] == ["10.1.0.2"]


def test_slow_start_waits_while_no_check_is_believed() -> None:
    slow = replace(WEB, panic=70, slow_start_s=30.0)
    verdicts = [replace(each, since=1000.0) for each in (up("a"), up("b", 6), down("c"))]
    state = moment.at(town(slow, *verdicts), 1001.0).state
    assert {each.weight for each in state.members.values()} == {10}
    calm = moment.at(town(replace(slow, panic=0), *verdicts), 1001.0).state
    assert {str(each.sandbox): each.weight for each in calm.members.values()} == {
        "a": 1,
        "b": 1,
        "c": 10,
    }


def serving(state: ClusterState) -> list[str]:
    steps = (
        dict(explain.decided(state, target, (), "nftables", 0.0))["serving"]
        for target in explain.targets(state, state.sandboxes[CLIENT])
    )
    return list(steps)


def test_a_trace_says_by_which_ip_version_where_it_differs() -> None:
    assert serving(town(WEB, up("a", 6), up("sorry"))) == [
        "the members that are up by IPv4 and take connections: 1",
        "the backups, 1: fewer than 1 members are up by IPv6",
    ]
    panic = replace(WEB, panic=60)
    assert serving(town(panic, up("a", 6), down("b"), down("c"))) == [
        "all members, 3: fewer than 60 % are up, no check is believed",
        (
            "all members but those that are up and fail by IPv6, 2: fewer than 60 % are up,"
            " no check is believed"
        ),
    ]
    same = "the members that are up and take connections: 1"
    assert serving(town(WEB, up("a"), up("sorry"))) == [same, same]


async def test_a_listing_says_who_serves_by_an_address_where_it_differs() -> None:
    kernel = FakeKernel()
    for state, found in (
        (town(WEB, up("a", 6), up("sorry")), {4: "members", 6: "backups"}),
        (town(WEB, up("a"), up("sorry")), {4: "", 6: ""}),
    ):
        want = desired.desired(state, desired.nothing(states.NODE)).sandboxes[CLIENT]
        kernel.make(want.place.netns)
        kernel.tables[want.place.netns] = want.table
        rows = await View(kernel, lambda state=state: state)(state.sandboxes[CLIENT])  # type: ignore[misc]  # bound now
        assert {row.vip.version: row.serving for row in rows} == found


def test_an_unchecked_service_is_the_same_in_all_ways() -> None:
    plain = states.svc("web", "front", *VIPS, mode=EndpointMode.VIP)
    state = states.state(*GROUND, plain, *members("a", "sorry"))
    assert who(state) == {4: {"a"}, 6: {"a"}}
