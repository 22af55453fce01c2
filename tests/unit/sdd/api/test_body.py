"""Bytes become the model's own requests, strictly: unknown fields, wrong types, broken JSON."""

import json
from dataclasses import fields
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdd import errors
from sdd.api import body, schema
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
        ({"name": 7}, '"name" must be a text, not 7'),
        ({"name": None}, '"name" must be a text, not null'),
        ({}, 'the field "name" is missing'),
        ([], "it must be an object, not []"),
        (None, "it must be an object, not null"),
        ({"name": "x", "colour": 1}, 'the field "colour" is not known'),
        (
            {"name": "x", "pools": [{"subnets": "10.0.0.0/8"}]},
            'the field "subnets" is not known in "pools[0]"',
        ),
        ({"name": "x", "pools": [{"subnet": 10}]}, '"pools[0].subnet" must be a subnet'),
        ({"name": "x", "pools": [{"gateway": "ten"}]}, 'must be an IP address, not "ten"'),
        ({"name": "x", "pools": {}}, '"pools" must be a list, not {}'),
        ({"name": "x", "driver": "vxlan9"}, '"driver" must be one of bridge, overlay, macvlan'),
        ({"name": "x", "driver": ["bridge"]}, '"driver" must be one of bridge'),
        ({"name": "x", "internal": "yes"}, '"internal" must be true or false, not "yes"'),
        ({"name": "x", "internal": 1}, '"internal" must be true or false, not 1'),
        ({"name": "x", "labels": {"a": 1}}, '"labels.a" must be a text, not 1'),
        ({"name": "x", "labels": ["a"]}, '"labels" must be an object, not ["a"]'),
        ({"name": "x", "dns": ["10.0.0.1/8"]}, '"dns[0]" must be an IP address or TRANSPORT'),
        ({"name": "x", "dns": ["tcp://x"]}, "the form is TRANSPORT://ADDRESS"),
    ],
)
def test_peers_61_what_is_wrong_is_named(value: object, words: str) -> None:
    with pytest.raises(errors.Invalid) as caught:
        decoded(request.NetworkCreate, value)
    assert caught.value.code == "SDD-API-BODY"
    assert words in caught.value.sentence
    assert caught.value.hint


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
    with pytest.raises(errors.Invalid, match='must be an IPv4 address, not "fd00::1"'):
        decoded(request.SandboxCreate, value)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "it is empty"),
        (b"{", "a key in double quotes is missing at line 1, column 2"),
        (b"{'name': 1}", "a key in double quotes is missing"),
        (b'{"name" "x"}', 'a ":" is missing'),
        (b'{"name": "x"', 'a "," or the end is missing'),
        (b'{"name": }', "a value is missing at line 1, column 10"),
        (b'{"name": "x"} 1', "something follows its end"),
        (b'{"name": "x', "a text has no end"),
        (b'{"name": "a\nb"}', "a raw control character"),
        (b'{"name": "\\q"}', "an unknown escape"),
        (b"\xff\xfe{}", "it is not UTF-8 (byte 0)"),
        (b'\xef\xbb\xbf{"name": "x"}', "a byte order mark"),
        (b'{"name": "a", "name": "b"}', 'the key "name" stands there twice'),
        (b'{"name": "a", "labels": {"k": "1", "k": "2"}}', 'the key "k" stands there twice'),
        (b'{"name": "\\ud800"}', "half of a surrogate pair"),
        (b'{"name": "x", "labels": {"\\udfff": "1"}}', "half of a surrogate pair"),
        (b'{"name": "x", "dns_search": ["\\ud83d"]}', "half of a surrogate pair"),
        (b'{"name": "a\\u0000b"}', "a NUL character"),
        (b'{"name": "x", "labels": {"k\\u0000": "1"}}', "a NUL character"),
        (b'{"name": NaN}', "NaN is no JSON value"),
        (b'{"name": -Infinity}', "-Infinity is no JSON value"),
        (b'{"name": 1e999}', "the number 1e999 is too large"),
        (b'{"name": ' + b"9" * 5000 + b"}", "… (5000 characters) is too large"),
        (b'{"name": 9223372036854775808}', "is too large"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_not_json_is_said_in_our_words(data: bytes, words: str) -> None:
    with pytest.raises(errors.Invalid) as caught:
        body.decode(request.NetworkCreate, data)
    assert caught.value.code == "SDD-API-JSON"
    assert words in caught.value.sentence
    assert caught.value.sentence.isprintable()
    assert "one JSON object" in caught.value.hint


def test_a_whole_surrogate_pair_is_one_character() -> None:
    found = body.decode(request.NetworkCreate, b'{"name": "x", "labels": {"k": "\\ud83d\\ude00"}}')
    assert found.labels == {"k": "\U0001f600"}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"labels": {str(n): "" for n in range(129)}}, '"labels" would have 129 entries, at most'),
        ({"labels": {"k" * 318: ""}}, "is longer than 317"),
        ({"labels": {"k": "v" * 1025}}, "has 1025 characters, at most 1024"),
        ({"labels": {"": ""}}, "is empty or holds a blank"),
        ({"labels": {"a b": ""}}, "is empty or holds a blank"),
        ({"dns": ["10.0.0.1"] * 33}, '"dns" would have 33 entries, at most 32'),
        ({"dns_search": ["x"] * 33}, '"dns_search" would have 33'),
        ({"pools": [{}] * 65}, '"pools" would have 65'),
        ({"pools": [{"aux": {str(n): "10.0.0.1" for n in range(257)}}]}, "257 entries"),
        ({"options": {"k": "v" * 4096}}, '"options.k" has 4096 characters'),
    ],
)
def test_more_than_the_bounds_is_refused(value: dict[str, object], words: str) -> None:
    with pytest.raises(errors.Invalid) as caught:
        decoded(request.NetworkCreate, {"name": "n1", **value})
    assert caught.value.code == "SDD-BOUND"
    assert caught.value.sentence.startswith("'n1': ")
    assert words in caught.value.sentence
    assert len(caught.value.sentence) < 300
    assert caught.value.hint


def test_lists_of_a_sandbox_are_bounded() -> None:
    for field, value, most in (
        ("extra_hosts", {"name": "h", "address": "10.0.0.1"}, 256),
        ("publish", {"target": 80}, 256),
        ("attachments", {"network": "n"}, 64),
        ("services", "s", 64),
    ):
        assert decoded(request.SandboxCreate, {"name": "x", field: [value] * most})
        with pytest.raises(errors.Invalid, match=f'"{field}" would have {most + 1} entries'):
            decoded(request.SandboxCreate, {"name": "x", field: [value] * (most + 1)})
    many = [{"network": "n", "aliases": ["a"] * 65}]
    with pytest.raises(errors.Invalid, match='"aliases" would have 65'):
        decoded(request.SandboxCreate, {"name": "x", "attachments": many})


def test_what_is_quoted_is_short() -> None:
    with pytest.raises(errors.Invalid) as caught:
        decoded(request.NetworkCreate, {"name": "x" * 10**6})
    assert len(caught.value.sentence) < 300
    with pytest.raises(errors.Invalid) as caught:
        decoded(request.NetworkCreate, {"name": "x", "c" * 10**6: 1})
    assert len(caught.value.sentence) + len(caught.value.hint) < 500
    with pytest.raises(errors.Invalid) as caught:
        decoded(request.NetworkCreate, {"name": "x", "driver": "d" * 10**6})
    assert len(caught.value.sentence) < 300


@pytest.mark.parametrize("kind", BODIES, ids=lambda kind: kind.__name__)
def test_a_body_has_exactly_the_fields_of_its_request(kind: Any) -> None:
    names = {each.name for each in fields(kind)}
    assert set(schema.struct(kind).__struct_fields__) == names


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
    assert isinstance(found, kind) or found.code.startswith(
        ("SDD-API-", "SDD-NET-SUBNET", "SDD-BOUND")
    )
