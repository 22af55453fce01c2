"""A request of sdd.model.request → a msgspec Struct with the same fields, for the OpenAPI document.

Addresses, subnets and name servers get one custom type each: msgspec takes at most one in a union.
"""

import abc
import dataclasses
import functools
import types
import typing
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any

import msgspec

from sdd.api.body import ADDRESSES, SERVERS, SUBNETS
from sdd.model.nameserver import Nameserver


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
