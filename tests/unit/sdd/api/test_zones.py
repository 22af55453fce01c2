"""Wherever a body of the API takes an address, one with a zone (`%eth0`) is Invalid.

The places are found in the types of the bodies: a field that is new is tried as well.
"""

import dataclasses
import json
import types
import typing
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any

import pytest

from sdd import errors
from sdd.api import body
from sdd.api.routes import ROUTES, Route
from sdd.model.nameserver import Nameserver

SUBNETS = {IPv4Network, IPv6Network}
ADDRESSES = {IPv4Address, IPv6Address, Nameserver}
Place = tuple[str, object]  # its path, and a body with that place alone


def _places(hint: Any, good: bool) -> Iterator[Place]:
    """Each place below `hint` that takes an address, and a value there that has a zone."""
    union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    kinds = set(typing.get_args(hint) if union else (hint,)) - {types.NoneType}
    if kinds & SUBNETS:
        yield "", "fd37::/64" if good else "fd37::%eth0/64"
    elif kinds & ADDRESSES:
        text = "10.0.0.1" if IPv6Address not in kinds else "fd00::1"
        yield "", text if good else f"{text}%eth0"
        if Nameserver in kinds:
            yield "(url)", "tls://[fd00::1]" if good else "tls://[fd00::1%eth0]"
    elif len(kinds) == 1:
        (kind,) = kinds
        yield from _inside(kind, good)


def _inside(kind: Any, good: bool) -> Iterator[Place]:
    match typing.get_origin(kind):
        case None if dataclasses.is_dataclass(kind):
            yield from _fields(kind, good)
        case origin if origin is tuple:
            for path, value in _places(typing.get_args(kind)[0], good):
                yield f"[]{path}", [value]
        case origin if origin is Mapping:
            for path, value in _places(typing.get_args(kind)[1], good):
                yield f"{{}}{path}", {"x": value}


def _fields(kind: Any, good: bool) -> Iterator[Place]:
    hints = typing.get_type_hints(kind)
    for each in dataclasses.fields(kind):
        for path, value in _places(hints[each.name], good):
            yield f".{each.name}{path}", _needed(kind, hints) | {each.name: value}


def _needed(kind: Any, hints: Mapping[str, Any]) -> dict[str, object]:
    """Something for the fields without a default."""
    return {
        each.name: {str: "x", int: 1}.get(hints[each.name], "192.0.2.1")
        for each in dataclasses.fields(kind)
        if each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING
    }


def _cases(good: bool) -> list[Any]:
    return [
        pytest.param(row, value, id=f"{row.action}{path}")
        for row in ROUTES
        if row.takes is not None
        for path, value in _places(row.takes, good)
    ]


ZONED, PLAIN = _cases(good=False), _cases(good=True)


@pytest.mark.parametrize(("row", "value"), ZONED)
def test_an_address_that_names_a_link_is_invalid(row: Route, value: object) -> None:
    with pytest.raises(errors.Invalid) as caught:
        body.decode(typing.cast("type[Any]", row.takes), json.dumps(value).encode())
    assert caught.value.code in {"SDD-API-BODY", "SDD-NET-SUBNET"}
    said = f"{caught.value.sentence} {caught.value.hint}"
    assert "%eth0" in said
    assert "link" in said or "an IPv4 address" in said  # of that family there are none


@pytest.mark.parametrize(("row", "value"), PLAIN)
def test_the_same_bodies_without_it_are_taken(row: Route, value: object) -> None:
    assert body.decode(typing.cast("type[Any]", row.takes), json.dumps(value).encode())


def test_the_places_that_people_know_are_among_them() -> None:
    ids = " ".join(case.id for case in ZONED)
    for place in (
        "network_create.pools[].subnet",
        "network_create.pools[].gateway",
        "network_create.pools[].ip_range",
        "network_create.pools[].aux{}",
        "network_create.dns[]",
        "network_create.dns_zones[].server",
        "network_update.dns_add[]",
        "network_update.zone_add[].server",
        "network_connect.ip6",
        "network_connect.link_local[]",
        "sandbox_create.attachments[].ip6",
        "sandbox_create.extra_hosts[].address",
        "sandbox_create.dns.servers[]",
        "sandbox_create.publish[].address",
        "service_create.vip",
        "service_create.publish[].address",
        "service_update.publish_add[].address",
    ):
        assert place in ids
