"""Bytes → a request of sdd.model.request, strictly; or errors.Invalid with a code `SDD-API-…`.

The requests are plain dataclasses that know no library. For each a msgspec Struct is derived once:
unknown fields are refused there, addresses and subnets get one custom type each (msgspec takes at
most one custom type in a union).
"""

import abc
import dataclasses
import functools
import types
import typing
from collections.abc import Mapping
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
)
from typing import Any, TypeVar

import msgspec

from sdd import errors
from sdd.model import nameserver, subnet
from sdd.model.nameserver import Nameserver

T = TypeVar("T")

ADDRESSES = frozenset({IPv4Address, IPv6Address})
SERVERS = ADDRESSES | {Nameserver}
SUBNETS = frozenset({IPv4Network, IPv6Network})
LONGEST_NAME = 100  # of a name in a sentence


class Address(abc.ABC):  # noqa: B024 - only a name for two types
    """Stands for "an address of either family" in a derived Struct."""


class Subnet(abc.ABC):  # noqa: B024 - only a name for two types
    """Stands for "a subnet of either family" in a derived Struct."""


class Server(abc.ABC):  # noqa: B024 - only a name for three types
    """Stands for "a name server, by its address or with its transport" in a derived Struct."""


for _each in (IPv4Address, IPv6Address, Nameserver):
    Server.register(_each)
Address.register(IPv4Address)
Address.register(IPv6Address)
Subnet.register(IPv4Network)
Subnet.register(IPv6Network)


def decode(kind: type[T], data: bytes) -> T:
    """The request in `data`; raises Invalid for anything that is not exactly one.

    Codes: SDD-API-JSON, SDD-API-BODY, and SDD-NET-SUBNET for the form of a subnet.
    """
    try:
        found = _decoder(typing.cast("Any", kind)).decode(data)
    except msgspec.ValidationError as exc:
        raise errors.Invalid(
            f"the request body is wrong: {_lower(str(exc))}", code="SDD-API-BODY"
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise errors.Invalid(
            f"the request body is not JSON: {_lower(str(exc))}", code="SDD-API-JSON"
        ) from None
    except errors.Invalid as exc:
        raise errors.Invalid(
            f"{_named(data)}{exc.sentence}", hint=exc.hint, code=exc.code
        ) from None
    return typing.cast("T", _plain(kind, found))


def _named(data: bytes) -> str:
    """The object that well-formed `data` is about, to begin a sentence with."""
    found = msgspec.json.decode(data)
    name = found.get("name") if isinstance(found, dict) else None
    return f"{name[:LONGEST_NAME]!r}: " if isinstance(name, str) else ""


@functools.cache
def struct(kind: Any) -> type[msgspec.Struct]:
    """The Struct with the same fields as the dataclass `kind`, unknown ones refused."""
    hints = typing.get_type_hints(kind)
    rows: list[Any] = []
    for each in dataclasses.fields(kind):
        wire = _wire(hints[each.name])
        if each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING:
            rows.append((each.name, wire))
        else:
            # UNSET keeps the dataclass's own default: no default is written down twice.
            rows.append((each.name, wire | msgspec.UnsetType, msgspec.UNSET))
    return msgspec.defstruct(kind.__name__, rows, kw_only=True, forbid_unknown_fields=True)


def _wire(hint: Any) -> Any:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return struct(hint)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _union(arguments)
    if origin is tuple:
        return types.GenericAlias(tuple, (_wire(arguments[0]), ...))
    if origin in (dict, Mapping):
        return types.GenericAlias(dict, (str, _wire(arguments[1])))
    return hint


def _union(arguments: tuple[Any, ...]) -> Any:
    rest = set(arguments)
    if rest >= SERVERS:
        rest = (rest - SERVERS) | {Server}
    if rest >= ADDRESSES:
        rest = (rest - ADDRESSES) | {Address}
    if rest >= SUBNETS:
        rest = (rest - SUBNETS) | {Subnet}
    return typing.Union[tuple(sorted(rest, key=lambda each: each is types.NoneType))]  # noqa: UP007 - built at run time


@functools.cache
def _decoder(kind: Any) -> Any:
    return msgspec.json.Decoder(struct(kind), dec_hook=_parse)


def _parse(kind: type[Any], value: Any) -> Any:
    """One custom type; the errors raised here become ValidationErrors with the path added."""
    if not isinstance(value, str):
        raise TypeError(f"expected text, got {type(value).__name__}")
    if kind is Subnet:
        return subnet.parse(value)  # its own code and hint: no ValidationError
    if kind is Server:
        return _server(value)
    try:
        return kind(value) if kind in ADDRESSES else ip_address(value)
    except ValueError:
        wanted = {IPv4Address: "an IPv4", IPv6Address: "an IPv6"}.get(kind, "an IP")
        raise ValueError(f'"{value}" is not {wanted} address') from None


def _server(text: str) -> nameserver.Server:
    try:
        return nameserver.server(text)
    except ValueError as exc:
        raise ValueError(f'"{text}" is no name server: {exc}') from None


def _plain(hint: Any, value: Any) -> Any:
    """A decoded Struct (or whatever holds some) → the dataclasses it was derived from."""
    if isinstance(value, msgspec.Struct):
        kind = _dataclass_in(hint)
        hints = typing.get_type_hints(kind)
        given = {name: getattr(value, name) for name in value.__struct_fields__}
        return kind(
            **{
                name: _plain(hints[name], each)
                for name, each in given.items()
                if each is not msgspec.UNSET
            }
        )
    if isinstance(value, tuple):
        return tuple(_plain(typing.get_args(hint)[0], each) for each in value)
    return value


def _dataclass_in(hint: Any) -> Any:
    if dataclasses.is_dataclass(hint):
        return hint
    return next(each for each in typing.get_args(hint) if dataclasses.is_dataclass(each))


def _lower(text: str) -> str:
    return text if text.startswith("JSON") else text[:1].lower() + text[1:]
