"""How members find back to the ingress sandboxes, by state."""

from ipaddress import ip_address, ip_network

from lb import back, ways_back
from lb.back import Home, Node
from sdd.model import ids
from tests.unit.lb import ingress_states as towns
from tests.unit.lb import states

ALL4, ALL6 = ip_network("0.0.0.0/0"), ip_network("::/0")
HERE = Node(
    mac="02:42:0a:00:00:02",
    mark=0x5E000002,
    gateways=(ip_address("10.0.0.2"), ip_address("fd00::2")),
)


def found(*more: object, name: str = "web") -> back.Back | None:
    state = towns.town(*more)  # type: ignore[arg-type]  # values of the model
    box = state.sandboxes[ids.SandboxId(name)]
    return ways_back.of(state, box, ways_back.nodes(state))


def test_a_member_knows_the_ingress_sandbox_by_its_mac_and_answers_from_its_usual_address() -> None:
    web = ip_address("10.1.0.2")
    assert found() == back.Back(
        link="ing0",
        own=(ip_address("10.0.0.10"), ip_address("fd00::a")),
        homes=(
            Home(clients=ip_network("10.1.0.0/24"), address=web),
            Home(clients=ALL4, address=web),
        ),
        beside=(Home(clients=ip_network("10.0.0.0/24"), address=web),),
        nodes=(HERE,),
        lost=(6,),
    )


def test_more_nodes_are_more_entries() -> None:
    more = towns.ingress_box("far", 3, states.ELSEWHERE)
    one = found(*more)
    assert one is not None
    assert [each.mark for each in one.nodes] == [0x5E000002, 0x5E000003]
    assert one.nodes[0] == HERE


def test_a_network_without_a_way_out_is_a_home_for_neighbours_alone() -> None:
    plugs = (states.plug("safe", "vault", "10.3.0.2/24"), towns.on_ingress("safe", 11))
    one = found(states.box("safe"), *plugs, name="safe")
    assert one is not None
    assert one.homes == (Home(clients=ip_network("10.3.0.0/24"), address=ip_address("10.3.0.2")),)
    assert one.lost == (4, 6)
    assert one.beside == ()  # asked at its own address there, it answers from that


def test_neither_the_ingress_sandbox_nor_who_is_no_member_has_one() -> None:
    assert found(name="sbox") is None
    assert (
        found(states.box("idle"), states.plug("idle", "front", "10.1.0.9/24"), name="idle") is None
    )


def test_marks_lie_in_their_range_and_differ_within_a_network() -> None:
    every = {back.mark(each) for each in ip_network("10.0.0.0/22").hosts()}  # type: ignore[arg-type]  # IPv4
    assert len(every) == 1022
    assert {each & back.MASK for each in every} == {back.BASE}
