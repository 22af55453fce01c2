from ipaddress import ip_network

from metrics import exposition
from sdd.model import ids, network, sandbox, service
from sdd.state import EMPTY, ClusterState, Put

NET = network.Network(
    id=ids.NetworkId("n"), name="n", pools=(network.Pool(subnet=ip_network("10.0.0.0/24")),)
)
BOX = sandbox.Sandbox(
    id=ids.SandboxId("s"), name="s", node=ids.NodeId("h"), origin=sandbox.Origin.NAMED, netns="/x"
)
SVC = service.Service(id=ids.ServiceId("w"), name="w", network=NET.id, number=1)
MEMBER = service.Member(service=SVC.id, endpoint=ids.EndpointId("e"), sandbox=BOX.id, node=BOX.node)


def values(state: ClusterState) -> dict[tuple[str, str], float]:
    return {
        (sample.name, "".join(sample.labels.values())): sample.value
        for family in exposition.families(state)
        for sample in family.samples
    }


def test_an_empty_state_is_all_zeros() -> None:
    found = values(EMPTY)
    assert set(found.values()) == {0}
    assert ("sdd_networks", "macvlan") in found
    assert ("sdd_service_backends", "down") in found


def test_objects_are_counted_by_kind() -> None:
    found = values(EMPTY.apply(ids.Revision(9), [Put(NET), Put(BOX), Put(SVC), Put(MEMBER)]))
    assert found["sdd_state_revision", ""] == 9
    assert found["sdd_networks", "bridge"] == 1
    assert found["sdd_sandboxes", "named"] == 1
    assert found["sdd_services", "vip"] == 1
    assert found["sdd_service_backends", "up"] == 1


def test_backends_are_told_by_name() -> None:
    found = values(EMPTY.apply(ids.Revision(9), [Put(NET), Put(BOX), Put(SVC), Put(MEMBER)]))
    assert found["sdd_lb_backend_healthy", "ws"] == 1
    assert found["sdd_lb_backend_weight", "ws"] == 1
    assert found["sdd_metrics_left_out_series", "sdd_lb_backend_weight"] == 0
