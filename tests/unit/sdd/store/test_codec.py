"""How objects are written down: keys, envelope, defaults for what older releases did not write."""

import json
from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from sdd import errors
from sdd.model import endpoint, health, ids, network, sandbox, service
from sdd.store import codec

NET = ids.NetworkId("a" * 64)
BOX = ids.SandboxId("b" * 64)
END = ids.EndpointId("c" * 64)
SVC = ids.ServiceId("d" * 64)
NODE = ids.NodeId("n")

LAB = network.Network(id=NET, name="lab", pools=(network.Pool(subnet=ip_network("10.0.0.0/24")),))
DB = sandbox.Sandbox(id=BOX, name="db", node=NODE, origin=sandbox.Origin.NAMED, netns="/run/x")
ETH = endpoint.Endpoint(
    id=END, network=NET, sandbox=BOX, node=NODE, addresses=(), mac="", ifname="eth0"
)
WEB = service.Service(id=SVC, name="web", network=NET, number=1)
MEMBER = service.Member(service=SVC, endpoint=END, sandbox=BOX, node=NODE)
VERDICT = health.Verdict(service=SVC, endpoint=END, status=health.Status.UP)


@pytest.mark.parametrize(
    ("value", "key", "identity"),
    [
        (LAB, f"networks/{NET}", NET),
        (DB, f"sandboxes/{BOX}", BOX),
        (ETH, f"endpoints/{NET}/{END}", END),
        (WEB, f"services/{NET}/{SVC}", SVC),
        (MEMBER, f"members/{SVC}/{END}", (SVC, END)),
        (VERDICT, f"verdicts/{SVC}/{END}", (SVC, END)),
    ],
)
def test_each_kind_has_its_key(value: codec.Object, key: str, identity: object) -> None:
    assert codec.key(value) == key
    assert codec.identity(key) == identity
    assert codec.kind_of(key) is type(value)
    assert codec.decode(key, codec.encode(value)) == value


@pytest.mark.parametrize("key", ["names/network/lab", "pools", "networks", "later/x"])
def test_claims_and_unknown_keys_are_no_objects(key: str) -> None:
    assert codec.kind_of(key) is None


def test_the_value_is_readable_json_with_a_version() -> None:
    stored = json.loads(codec.encode(LAB))
    assert stored["v"] == codec.VERSION
    assert stored["o"]["pools"][0]["subnet"] == "10.0.0.0/24"
    assert stored["o"]["driver"] == "bridge"


def test_missing_fields_have_their_defaults_and_unknown_ones_are_passed_over() -> None:
    stored = json.loads(codec.encode(LAB))
    del stored["o"]["labels"]
    stored["o"]["of_a_later_release"] = 1
    assert codec.decode(codec.key(LAB), json.dumps(stored).encode()) == LAB


def test_another_version_is_refused_by_number() -> None:
    stored = json.loads(codec.encode(LAB)) | {"v": 2}
    with pytest.raises(errors.Unavailable, match="version 2") as caught:
        codec.decode(codec.key(LAB), json.dumps(stored).encode())
    assert codec.key(LAB) in caught.value.sentence


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", None),
        ("internal", 1),
        ("created", True),
        ("created", "x"),
        ("pools", {}),
        ("pools", [{"subnet": "10.0.0.1/24"}]),
        ("pools", [{}]),
        ("labels", []),
        ("labels", {"a": 1}),
        ("driver", "carrier-pigeon"),
    ],
)
def test_a_wrong_type_is_refused(field: str, value: object) -> None:
    stored = json.loads(codec.encode(LAB))
    stored["o"][field] = value
    with pytest.raises(errors.Unavailable):
        codec.decode(codec.key(LAB), json.dumps(stored).encode())


def test_a_whole_number_is_a_time() -> None:
    stored = json.loads(codec.encode(LAB))
    stored["o"]["created"] = 5
    decoded = codec.decode(codec.key(LAB), json.dumps(stored).encode())
    assert isinstance(decoded, network.Network)
    assert isinstance(decoded.created, float)


def test_what_older_releases_took_stays_readable() -> None:
    """Their daemon starts; what cannot be made of the object is said of that object alone."""
    address = ip_address("fe80::1%eth0")
    host = sandbox.ExtraHost(name="fe", address=address)
    dns = sandbox.DnsSettings(servers=(address, ip_address("::")))
    old = replace(DB, extra_hosts=(host,), dns=dns)
    assert codec.decode(codec.key(old), codec.encode(old)) == old
    pool = network.Pool(subnet=ip_network("fd37::%1/64"))
    lab = replace(LAB, pools=(pool,))
    assert codec.decode(codec.key(lab), codec.encode(lab)) == lab
