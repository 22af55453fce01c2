"""Objects ↔ bytes, and objects ↔ keys: the only place that knows how state is written down.

In: model values, or keys and bytes of an engine. Out: the other of the two. A value is JSON,
`{"v": 1, "o": {…}}` with the field names of sdd/model; a field that is missing has its default, so
older values stay readable. It knows no engine and no claim (sdd.control.keys has those).
"""

import types
import typing
from collections.abc import Callable, Hashable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from functools import cache
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_interface,
    ip_network,
)

import msgspec

from sdd import errors, shared
from sdd.model import endpoint, health, ids, network, objects, record, sandbox, service, template
from sdd.model.nameserver import Nameserver

VERSION = 1
CODE = "SDD-STORE-VALUE"

Object = objects.Object
Kind = type[Object]
Reader = Callable[[object], object]

NETWORKS = "networks/"
TEMPLATES = "templates/"
SANDBOXES = "sandboxes/"
ENDPOINTS = "endpoints/"
SERVICES = "services/"
MEMBERS = "members/"
VERDICTS = "verdicts/"
RECORDS = "records/"
KINDS: Mapping[str, Kind] = types.MappingProxyType(
    {
        NETWORKS: network.Network,
        TEMPLATES: template.Template,
        SANDBOXES: sandbox.Sandbox,
        ENDPOINTS: endpoint.Endpoint,
        SERVICES: service.Service,
        MEMBERS: service.Member,
        VERDICTS: health.Verdict,
        RECORDS: record.Record,
    }
)
PREFIXES: Mapping[Kind, str] = types.MappingProxyType({KINDS[each]: each for each in KINDS})


# --- keys -------------------------------------------------------------------------------------


def key(value: Object) -> str:
    """Where `value` is stored.

    Parts of a network lie below its id: a compare on the empty range says "nobody uses it".
    """
    match value:
        case network.Network():
            return network_key(value.id)
        case template.Template():
            return f"{TEMPLATES}{value.id}"
        case sandbox.Sandbox():
            return sandbox_key(value.id)
        case endpoint.Endpoint() | service.Service() | record.Record():
            return f"{PREFIXES[type(value)]}{value.network}/{value.id}"
        case service.Member():
            return member_key(value.service, value.endpoint)
        case health.Verdict():
            return verdict_key(value.service, value.endpoint)


def network_key(net: ids.NetworkId) -> str:
    """The key of the network `net`."""
    return f"{NETWORKS}{net}"


def sandbox_key(box: ids.SandboxId) -> str:
    """The key of the sandbox `box`."""
    return f"{SANDBOXES}{box}"


def endpoints_of(net: ids.NetworkId) -> str:
    """The prefix of the endpoints on `net`."""
    return f"{ENDPOINTS}{net}/"


def services_of(net: ids.NetworkId) -> str:
    """The prefix of the services on `net`."""
    return f"{SERVICES}{net}/"


def member_key(svc: ids.ServiceId, end: ids.EndpointId) -> str:
    """The key of the membership of `end` in `svc`."""
    return f"{MEMBERS}{svc}/{end}"


def verdict_key(svc: ids.ServiceId, end: ids.EndpointId) -> str:
    """The key of the verdict about `end` as a member of `svc`."""
    return f"{VERDICTS}{svc}/{end}"


def kind_of(key: str) -> Kind | None:
    """What is stored at `key`; None when it is no object (a claim, or of a later release)."""
    head, slash, _ = key.partition("/")
    return KINDS.get(head + slash)


def identity(key: str) -> str | tuple[ids.ServiceId, ids.EndpointId]:
    """What sdd.state indexes the object at `key` by: its id, or (service, endpoint)."""
    kind, *parts = key.split("/")
    if f"{kind}/" in (MEMBERS, VERDICTS):
        return ids.ServiceId(parts[0]), ids.EndpointId(parts[1])
    return parts[-1]


# --- values -----------------------------------------------------------------------------------


def encode(value: Object) -> bytes:
    """The bytes of `value`; `decode` gives an equal value back."""
    return msgspec.json.encode({"v": VERSION, "o": value}, enc_hook=_plain)


def decode(key: str, data: bytes) -> Object:
    """The object stored at `key`.

    Raises `Unavailable` `SDD-STORE-VALUE` for bytes that no release up to this one wrote.
    """
    kind = kind_of(key)
    try:
        envelope = msgspec.json.decode(data)
        return typing.cast("Object", _reader(typing.cast("Hashable", kind))(_opened(envelope)))
    except (msgspec.DecodeError, ValueError, TypeError, KeyError, AttributeError) as exc:
        raise errors.Unavailable(
            f"the store's value at {key!r} cannot be read: {exc}",
            hint="it was written by a newer sdd or is damaged; restore the database from a backup",
            code=CODE,
        ) from exc


def _opened(envelope: dict[str, object]) -> object:
    """The value in its envelope; raises ValueError for another version."""
    if envelope["v"] != VERSION:
        raise ValueError(f"version {envelope['v']} is not known, only {VERSION}")
    return envelope["o"]


def _plain(value: object) -> object:
    """What msgspec does not know: frozen mappings, and addresses (as text)."""
    return dict(value) if isinstance(value, Mapping) else str(value)


def _server(raw: object) -> object:
    """An address is text, any other name server has the fields of the model."""
    return ip_address(raw) if isinstance(raw, str) else _reader(Nameserver)(raw)


def _interface(raw: typing.Any) -> IPv4Interface | IPv6Interface:
    """The addresses of one subnet share it: as an object it takes 500 bytes."""
    made = ip_interface(raw)
    if isinstance(made, IPv4Interface):
        made.network = shared.same(made.network)
    else:
        made.network = shared.same(made.network)
    return made


ADDRESSES: Mapping[frozenset[type], Reader] = types.MappingProxyType(
    {
        frozenset({IPv4Address, IPv6Address}): typing.cast("Reader", ip_address),
        frozenset({IPv4Network, IPv6Network}): typing.cast("Reader", ip_network),
        frozenset({IPv4Interface, IPv6Interface}): _interface,
        frozenset({IPv4Address, IPv6Address, Nameserver}): _server,
    }
)


@cache
def _reader(kind: typing.Any) -> Reader:
    """How a value annotated `kind` is made from parsed JSON; compiled once per type."""
    if isinstance(kind, typing.NewType):
        return _reader(kind.__supertype__)
    if origin := typing.get_origin(kind):
        return _generic_reader(origin, typing.get_args(kind))
    if is_dataclass(kind):
        return _dataclass_reader(typing.cast("type", kind))
    if issubclass(kind, Enum):
        return typing.cast("Reader", kind)
    if kind is float:
        return lambda raw: float(_a((int, float), raw))
    return lambda raw: _a(kind, raw)


def _generic_reader(origin: object, args: tuple[typing.Any, ...]) -> Reader:
    if origin is tuple:
        item = _reader(args[0])
        return lambda raw: tuple(map(item, _a(list, raw)))
    if origin is Mapping:
        item = _reader(args[1])
        return lambda raw: types.MappingProxyType(
            {name: item(each) for name, each in _a(dict, raw).items()}
        )
    return _union_reader(frozenset(args))


def _union_reader(kinds: frozenset[type]) -> Reader:
    if type(None) in kinds:
        inner = _union_reader(kinds - {type(None)})
        return lambda raw: None if raw is None else inner(raw)
    return ADDRESSES[kinds] if kinds in ADDRESSES else _reader(*kinds)


def _dataclass_reader(kind: type) -> Reader:
    hints = typing.get_type_hints(kind)
    readers = {each.name: _reader(hints[each.name]) for each in fields(kind)}
    needed = {each.name for each in fields(kind) if _is_needed(each)}

    def read(raw: object) -> object:
        given = _a(dict, raw)
        if missing := needed - given.keys():
            raise ValueError(f"{kind.__name__} without {', '.join(sorted(missing))}")
        return kind(**{name: readers[name](given[name]) for name in readers.keys() & given.keys()})

    return read


def _is_needed(field: Field[object]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _a(kind: type | tuple[type, ...], raw: object) -> typing.Any:
    """`raw`, when it is what JSON should have had there; bool is no int."""
    if not isinstance(raw, kind) or (isinstance(raw, bool) and kind is not bool):
        raise TypeError(f"{raw!r} is no {kind}")
    return raw
