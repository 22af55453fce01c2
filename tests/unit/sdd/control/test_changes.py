from dataclasses import replace
from ipaddress import ip_interface, ip_network

from sdd.control import changes
from sdd.model import endpoint, health, ids, network, record, sandbox, service
from sdd.model.event import Event
from sdd.state import EMPTY, ClusterState, Gone, Put

NET = network.Network(
    id=ids.NetworkId("n"), name="lab", pools=(network.Pool(subnet=ip_network("10.0.0.0/24")),)
)
BOX = sandbox.Sandbox(
    id=ids.SandboxId("s"),
    name="web1",
    node=ids.NodeId("h"),
    origin=sandbox.Origin.NAMED,
    netns="/x",
)
END = endpoint.Endpoint(
    id=ids.EndpointId("e"),
    network=NET.id,
    sandbox=BOX.id,
    node=BOX.node,
    addresses=(ip_interface("10.0.0.2/24"),),
    mac="02:00:00:00:00:01",
    ifname="eth0",
)
SVC = service.Service(id=ids.ServiceId("w"), name="web", network=NET.id, number=1)
MEMBER = service.Member(service=SVC.id, endpoint=END.id, sandbox=BOX.id, node=BOX.node)
UP = health.Verdict(service=SVC.id, endpoint=END.id, status=health.Status.UP)
ALL = (NET, BOX, END, SVC, MEMBER, UP)
FULL = EMPTY.apply(ids.Revision(1), [Put(each) for each in ALL])


def told(events: tuple[Event, ...]) -> list[str]:
    return [f"{each.kind} {each.action} {each.subject}" for each in events]


def after(*puts: object) -> ClusterState:
    return FULL.apply(ids.Revision(2), [Put(each) for each in puts])  # type: ignore[arg-type]  # drawn from ALL


def test_what_comes_is_told_from_the_outside_in() -> None:
    assert told(changes.between(EMPTY, FULL)) == [
        "network create n",
        "sandbox create s",
        "network connect n",
        "service create w",
        "service join w",
        "service health_status w",
    ]


def test_what_goes_is_told_from_the_inside_out_with_its_names() -> None:
    events = changes.between(FULL, EMPTY)
    assert told(events) == [
        "service leave w",
        "service destroy w",
        "network disconnect n",
        "sandbox destroy s",
        "network destroy n",
    ]
    assert events[2].attributes == {"name": "lab", "sandbox": "web1", "address": "10.0.0.2"}


def test_nothing_changed_is_nothing_told() -> None:
    assert changes.between(FULL, FULL) == ()
    assert changes.between(FULL, after(*ALL)) == ()


def test_a_new_weight_and_a_new_verdict_are_told() -> None:
    (event,) = changes.between(FULL, after(replace(MEMBER, weight=7)))
    assert (event.action, event.attributes["weight"]) == ("update", "7")
    assert "draining" not in event.attributes
    (event,) = changes.between(FULL, after(replace(MEMBER, drains_until=9.0)))
    assert (event.action, event.attributes["draining"]) == ("update", "true")
    down = replace(UP, status=health.Status.DOWN, reason="connect refused")
    (event,) = changes.between(FULL, after(down))
    assert event.attributes == {
        "name": "web",
        "sandbox": "web1",
        "state": "down",
        "reason": "connect refused",
    }


def test_a_verdict_with_the_same_status_is_no_news() -> None:
    assert changes.between(FULL, after(replace(UP, reason="again"))) == ()


def test_a_replaced_network_or_service_is_an_update() -> None:
    assert told(changes.between(FULL, after(replace(NET, labels={"a": "b"})))) == [
        "network update n"
    ]
    assert told(changes.between(FULL, after(replace(SVC, drain_s=1)))) == ["service update w"]


def test_a_verdict_without_its_member_is_told_without_a_sandbox() -> None:
    alone = EMPTY.apply(ids.Revision(1), [Put(UP)])
    (event,) = changes.between(EMPTY, alone)
    assert (event.attributes["sandbox"], event.attributes["name"]) == ("", "")
    assert (
        changes.between(
            alone, alone.apply(ids.Revision(2), [Gone(health.Verdict, (SVC.id, END.id))])
        )
        == ()
    )


def test_a_record_is_told_as_a_change_of_its_network() -> None:
    one = record.Record(
        id=ids.RecordId("r"),
        network=NET.id,
        name="db",
        kind=record.RecordType.A,
        data="10.0.0.9",
    )
    there = after(one)
    (come,), (gone,) = changes.between(FULL, there), changes.between(there, FULL)
    assert come.attributes == {"name": "lab", "record-added": "db A 10.0.0.9"}
    assert gone.attributes == {"name": "lab", "record-removed": "db A 10.0.0.9"}
    assert told((come, gone)) == [f"network update {NET.id}"] * 2
    without = there.apply(
        ids.Revision(3), [Gone(record.Record, "r"), Gone(network.Network, NET.id)]
    )
    assert "record" not in str(changes.between(there, without))
