"""Bytes become the model's own requests, strictly: unknown fields, wrong types, broken JSON."""

import json
from dataclasses import fields
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdd import errors
from sdd.api import body
from sdd.api.routes import ROUTES
from sdd.model import nameserver, network, request, sandbox, service

BODIES: list[Any] = [each.takes for each in ROUTES if each.takes is not None]


def decoded(kind: type[Any], value: object) -> Any:
    return body.decode(kind, json.dumps(value).encode())


def test_every_field_of_a_network_arrives() -> None:
    found = decoded(
        request.NetworkCreate,
        {
            "name": "lab",
            "driver": "macvlan",
            "pools": [
                {
                    "subnet": "10.1.0.0/24",
                    "gateway": "10.1.0.1",
                    "ip_range": "10.1.0.128/25",
                    "aux": {"printer": "10.1.0.9"},
                },
                {"subnet": None},
            ],
            "internal": True,
            "attachable": True,
            "ipv6": True,
            "options": {"parent": "eth0"},
            "labels": {"a": "b"},
            "dns": ["10.1.0.53", "fd00::53", "tls://9.9.9.9#dns.quad9.net", "udp://10.1.0.54"],
            "dns_search": ["corp"],
        },
    )
    assert found == request.NetworkCreate(
        name="lab",
        driver=network.Driver.MACVLAN,
        pools=(
            request.PoolSpec(
                subnet=IPv4Network("10.1.0.0/24"),
                gateway=IPv4Address("10.1.0.1"),
                ip_range=IPv4Network("10.1.0.128/25"),
                aux={"printer": IPv4Address("10.1.0.9")},
            ),
            request.PoolSpec(),
        ),
        internal=True,
        attachable=True,
        ipv6=True,
        options={"parent": "eth0"},
        labels={"a": "b"},
        dns=(
            IPv4Address("10.1.0.53"),
            IPv6Address("fd00::53"),
            nameserver.parse("tls://9.9.9.9#dns.quad9.net"),
            IPv4Address("10.1.0.54"),
        ),
        dns_search=("corp",),
    )


def test_what_is_left_out_has_the_requests_own_default() -> None:
    assert decoded(request.NetworkCreate, {"name": "x"}) == request.NetworkCreate(name="x")
    assert decoded(request.SandboxCreate, {"name": "x"}) == request.SandboxCreate(name="x")
    assert decoded(request.ServiceCreate, {"name": "x", "network": "n"}) == request.ServiceCreate(
        name="x", network="n"
    )


def test_nested_values_are_the_models_own() -> None:
    found = decoded(
        request.SandboxCreate,
        {
            "name": "x",
            "attachments": [{"network": "n", "ip": "10.0.0.2", "ip6": "fd00::2"}],
            "dns": {"servers": ["10.0.0.53"], "options": ["ndots:1"]},
            "extra_hosts": [{"name": "p", "address": "fd00::7"}],
        },
    )
    assert found.attachments == (
        request.Attachment(network="n", ip=IPv4Address("10.0.0.2"), ip6=IPv6Address("fd00::2")),
    )
    assert found.dns == sandbox.DnsSettings(
        servers=(IPv4Address("10.0.0.53"),), options=("ndots:1",)
    )
    assert found.extra_hosts == (sandbox.ExtraHost(name="p", address=IPv6Address("fd00::7")),)
    web = decoded(
        request.ServiceCreate,
        {"name": "w", "network": "n", "mode": "dnsrr", "health": {"kind": "tcp", "port": 80}},
    )
    assert web.mode is service.EndpointMode.DNSRR
    assert web.health == service.HealthCheck(kind=service.CheckKind.TCP, port=80)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"name": 7}, "$.name"),
        ({}, "name"),
        ({"name": "x", "colour": 1}, "colour"),
        ({"name": "x", "pools": [{"subnets": "10.0.0.0/8"}]}, "subnets"),
        ({"name": "x", "pools": [{"subnet": 10}]}, "expected"),
        ({"name": "x", "pools": [{"gateway": "ten"}]}, '"ten"'),
        ({"name": "x", "driver": "vxlan9"}, "vxlan9"),
        ({"name": "x", "internal": "yes"}, "$.internal"),
        ({"name": "x", "labels": {"a": 1}}, "$.labels"),
        ({"name": "x", "dns": ["10.0.0.1/8"]}, "10.0.0.1/8"),
    ],
)
def test_what_is_wrong_is_named(value: object, words: str) -> None:
    with pytest.raises(errors.Invalid) as caught:
        decoded(request.NetworkCreate, value)
    assert caught.value.code == "SDD-API-BODY"
    assert words in caught.value.sentence


@pytest.mark.parametrize(
    ("text", "words", "hint"),
    [
        ("10.0.0.5/24", "10.0.0.5/24 is an address of the subnet", "use 10.0.0.0/24"),
        ("fd00::1/64", "host bits", "use fd00::/64"),
        ("10.0.0.0", '"10.0.0.0" has no prefix length', "10.0.0.0/24"),
        ("10.0.0.0/33", '"10.0.0.0/33" is not a subnet', "10.1.0.0/24"),
    ],
)
def test_a_subnet_of_a_wrong_form_names_the_network_and_says_what_to_use(
    text: str, words: str, hint: str
) -> None:
    with pytest.raises(errors.Invalid) as caught:
        decoded(request.NetworkCreate, {"name": "f3", "pools": [{"subnet": text}]})
    assert caught.value.code == "SDD-NET-SUBNET"
    assert caught.value.sentence.startswith("'f3': ")
    assert words in caught.value.sentence
    assert hint in caught.value.hint
    assert "$" not in caught.value.sentence


def test_a_family_that_does_not_fit_is_refused() -> None:
    value = {"name": "x", "attachments": [{"network": "n", "ip": "fd00::1"}]}
    with pytest.raises(errors.Invalid, match='"fd00::1" is not an IPv4 address'):
        decoded(request.SandboxCreate, value)


@pytest.mark.parametrize("kind", BODIES, ids=lambda kind: kind.__name__)
def test_a_body_has_exactly_the_fields_of_its_request(kind: Any) -> None:
    names = {each.name for each in fields(kind)}
    assert set(body.struct(kind).__struct_fields__) == names


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "pools", "subnet", "network", "ip", "health", "labels"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)


@pytest.mark.parametrize("kind", BODIES, ids=lambda kind: kind.__name__)
@given(data=st.binary(max_size=64) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_give_a_request_or_the_one_error(kind: Any, data: bytes) -> None:
    try:
        found = body.decode(kind, data)
    except errors.Invalid as error:
        found = error
    assert isinstance(found, kind) or found.code.startswith(("SDD-API-", "SDD-NET-SUBNET"))
