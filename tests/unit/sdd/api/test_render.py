"""What was made is told also when what it refers to went before the answer was written."""

from dataclasses import replace
from ipaddress import ip_interface

from sdd.api import records, render
from sdd.model import endpoint, ids, network, record, service
from sdd.state import EMPTY, ClusterState, Put

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


def test_whoever_makes_a_network_hears_that_dns_knows_another_by_that_name() -> None:
    def named(name: str) -> network.Network:
        return replace(NET, id=ids.NetworkId(name), name=name)

    one, two, other = named("Aa"), named("aa"), named("ab")
    state = EMPTY.apply(ids.Revision(1), [Put(one), Put(two), Put(other)])
    assert "Aa and aa apart" in str(render.network_made(state, one)["Warning"])
    assert "aa and Aa apart" in str(render.network_made(state, two)["Warning"])
    assert render.network_made(state, other)["Warning"] == ""
    assert render.network_of(state, one)["Warning"] == ""  # it is nothing to repair
