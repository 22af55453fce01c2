"""What was made is told also when what it refers to went before the answer was written."""

from dataclasses import replace
from ipaddress import ip_interface

from sdd.api import records, render
from sdd.model import endpoint, health, ids, network, record, service
from sdd.state import EMPTY, ClusterState, Put
from tests.unit.lb import states

NET = network.Network(id=ids.NetworkId("n1"), name="lab", pools=())
WITH = EMPTY.apply(ids.Revision(1), [Put(NET)])
PLUG = endpoint.Endpoint(
    id=ids.EndpointId("e1"),
    sandbox=ids.SandboxId("b1"),
    network=NET.id,
    node=ids.NodeId("here"),
    ifname="eth0",
    mac="02:42:00:00:00:01",
    addresses=(ip_interface("10.1.0.2/24"),),
)
SVC = service.Service(id=ids.ServiceId("s1"), name="web", network=NET.id, number=1, vips=())


def names(state: ClusterState) -> tuple[str, str]:
    made = record.Record(
        id=ids.RecordId("r1"), network=NET.id, name="db", kind=record.RecordType.A, data="10.1.0.9"
    )
    (row,) = records.rows(state, (made,))
    return render.service_of(state, SVC, 0.0)["Network"], row["Network"]


def test_names_of_what_is_there() -> None:
    assert names(WITH) == ("lab", "lab")
    assert render.endpoint_of(WITH, PLUG)["IPAddress"] == "10.1.0.2"


def test_what_went_meanwhile_has_no_name() -> None:
    assert names(EMPTY) == ("", "")
    told = render.endpoint_of(EMPTY, PLUG)
    assert (told["NetworkID"], told["IPAddress"], told["Gateway"]) == ("n1", "10.1.0.2", "")


def test_who_calls_a_network_like_a_public_domain_is_told() -> None:
    def warning(name: str, **options: str) -> str:
        told = render.network_of(WITH, replace(NET, name=name, options=options))["Warning"]
        assert isinstance(told, str)
        return told

    assert "forward-unknown=true" in warning("Dev")
    assert warning("lab") == warning("example.com") == warning("internal") == ""
    assert warning("dev", **{"forward-unknown": "true"}) == ""


def test_whoever_names_a_link_by_another_of_its_names_hears_of_its_own() -> None:
    one = replace(NET, driver=network.Driver.MACVLAN, options={"parent": "eth0"})

    def told(asked: dict[str, str]) -> object:
        return render.network_made(EMPTY, one, (), asked)["Warning"]

    assert "enp3s0 is another name of eth0" in str(told({"parent": "enp3s0"}))
    assert told({"parent": "eth0"}) == told({}) == ""


def test_whoever_makes_a_network_hears_that_dns_knows_another_by_that_name() -> None:
    def named(name: str) -> network.Network:
        return replace(NET, id=ids.NetworkId(name), name=name)

    one, two, other = named("Aa"), named("aa"), named("ab")
    state = EMPTY.apply(ids.Revision(1), [Put(one), Put(two), Put(other)])
    assert "Aa and aa apart" in str(render.network_made(state, one)["Warning"])
    assert "aa and Aa apart" in str(render.network_made(state, two)["Warning"])
    assert render.network_made(state, other)["Warning"] == ""
    assert render.network_of(state, one)["Warning"] == ""  # it is nothing to repair


def test_members_are_listed_by_name_whatever_their_ids() -> None:
    svc = states.svc("web", "front", "10.0.1.100")
    ends = [
        replace(states.plug(f"w{at}", "front"), id=ids.EndpointId(f"{9 - at}")) for at in (1, 2, 3)
    ]
    members = [
        replace(states.member("web", f"w{at}", "front"), endpoint=end.id)
        for at, end in enumerate(ends, 1)
    ]
    boxes = [states.box(f"w{at}") for at in (1, 2, 3)]
    state = states.state(states.net("front", 1), svc, *boxes, *ends, *members)
    assert [each["Sandbox"] for each in render.members_of(state, svc, 0.0)] == ["w1", "w2", "w3"]


def test_who_leaves_is_told_as_such_and_not_by_what_its_check_last_said() -> None:
    svc = states.svc("web", "front", "10.0.1.100", check=states.CHECKED)
    leaving = replace(states.member("web", "w1", "front"), drains_until=100.0)
    said = replace(
        states.verdict("web", "w1", "front", health.Status.UP), reason="port 80 accepts connections"
    )
    state = states.state(
        states.net("front", 1), svc, states.box("w1"), states.plug("w1", "front"), leaving, said
    )
    (row,) = render.members_of(state, svc, 91.0)
    assert row["State"] == "draining"
    assert row["Reason"] == "leaves when its connections have ended, at latest in 9 s"
