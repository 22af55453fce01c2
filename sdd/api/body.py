"""Bytes → a request of sdd.model.request, strictly; or errors.Invalid that says what it must be.

The requests are plain dataclasses that know no library: their own types say what is taken. An
unknown field, another type, more than `sdd.alloc.bounds` allows: each is refused by its place.
"""

import dataclasses
import difflib
import functools
import types
import typing
from collections.abc import Callable, Mapping
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any, TypeVar

from sdd import errors, strict_json
from sdd.alloc import bounds
from sdd.model import address, nameserver, subnet
from sdd.model.nameserver import Nameserver

T = TypeVar("T")

ADDRESSES = frozenset({IPv4Address, IPv6Address})
SERVERS = ADDRESSES | {Nameserver}
SUBNETS = frozenset({IPv4Network, IPv6Network})
DESCRIPTION = "GET /v1/openapi.json"


class NoChoice(errors.Invalid):
    """`value` is none of the enum `kind`: for who knows better which of them can be had."""

    def __init__(self, kind: type[Enum], value: object, said: errors.Invalid) -> None:
        super().__init__(said.sentence, hint=said.hint, code=said.code)
        self.kind = kind
        self.value = value


def decode(kind: type[T], data: bytes) -> T:
    """The request in `data`; raises Invalid for anything that is not exactly one.

    Codes: SDD-API-JSON, SDD-API-BODY, SDD-BOUND, and SDD-NET-SUBNET for the form of a subnet.
    """
    try:
        value = strict_json.load(data)
    except strict_json.Broken as exc:
        why = str(exc) if data else "it is empty"
        raise errors.Invalid(
            f"the request body is not JSON: {why}",
            hint=f"send one JSON object in UTF-8; what it holds: {DESCRIPTION}",
            code="SDD-API-JSON",
        ) from None
    try:
        return typing.cast("T", _object(kind, value, ""))
    except errors.Invalid as exc:
        if exc.code == "SDD-API-BODY":
            raise
        raise errors.Invalid(
            f"{_named(value)}{exc.sentence}", hint=exc.hint, code=exc.code
        ) from None


def _named(value: object) -> str:
    """The object that a body is about, to begin a sentence with."""
    name = value.get("name") if isinstance(value, dict) else None
    return f"{errors.quoted(name)}: " if isinstance(name, str) else ""


# --- one value --------------------------------------------------------------------------------


def _value(hint: Any, value: object, at: str) -> Any:
    """What `hint` makes of `value`, which stands at the place `at`."""
    kinds = _kinds(hint)
    if value is None and types.NoneType in kinds:
        return None
    kinds -= {types.NoneType}
    if kinds in _FAMILIES:
        read, words = _FAMILIES[kinds]
        return _read(read, words, value, at)
    (kind,) = kinds
    origin = typing.get_origin(kind)
    if origin is not None:
        return (_list if origin is tuple else _mapping)(typing.get_args(kind), value, at)
    if dataclasses.is_dataclass(kind):
        return _object(kind, value, at)
    if issubclass(kind, Enum):
        return _choice(kind, value, at)
    return _plain(kind, value, at)


def _kinds(hint: Any) -> frozenset[Any]:
    union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    return frozenset(typing.get_args(hint) if union else (hint,))


def _read(read: Callable[[str], Any], words: str, value: object, at: str) -> Any:
    if not isinstance(value, str):
        raise _wrong(at, words, value)
    bounds.check_text(at, value)
    try:
        return read(value)
    except ValueError as exc:
        # The parsers of ours give a reason, Python's own say the same as the words.
        is_told = read is nameserver.server or isinstance(exc, address.Zoned)
        raise _wrong(at, words, value, str(exc) if is_told else "") from None


_FAMILIES: Mapping[frozenset[Any], tuple[Callable[[str], Any], str]] = {
    SERVERS: (nameserver.server, "an IP address or TRANSPORT://ADDRESS"),
    SUBNETS: (subnet.parse, "a subnet such as 10.1.0.0/24"),
    ADDRESSES: (address.parse, "an IP address"),
    frozenset({IPv4Address}): (IPv4Address, "an IPv4 address"),
    frozenset({IPv6Address}): (address.parse_v6, "an IPv6 address"),
}


def _plain(kind: type[Any], value: object, at: str) -> Any:
    fits = isinstance(value, (int, float) if kind is float else kind)
    if not fits or (isinstance(value, bool) and kind is not bool):
        raise _wrong(at, _PLAIN[kind], value)
    if isinstance(value, str):
        bounds.check_text(at, value)
    return kind(value)


_PLAIN: Mapping[type[Any], str] = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
}


def _choice(kind: type[Enum], value: object, at: str) -> Enum:
    try:
        return kind(value)
    except ValueError:
        wrong = _wrong(at, f"one of {', '.join(str(each.value) for each in kind)}", value)
        raise NoChoice(kind, value, wrong) from None


# --- what holds others ------------------------------------------------------------------------


def _list(hints: tuple[Any, ...], value: object, at: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise _wrong(at, "a list", value)
    bounds.check_count(_last(at), len(value))
    return tuple(_value(hints[0], each, f"{at}[{number}]") for number, each in enumerate(value))


def _mapping(hints: tuple[Any, ...], value: object, at: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _wrong(at, "an object", value)
    bounds.check_count(_last(at), len(value))
    for key in value:
        bounds.check_text(at, key)
    found = {key: _value(hints[1], each, f"{at}.{key}") for key, each in value.items()}
    if _last(at) in bounds.LABELS:
        for key, text in found.items():
            bounds.check_label(key, text)
    return found


def _last(at: str) -> str:
    return at.rpartition(".")[2]


def _object(kind: Any, value: object, at: str) -> Any:
    if not isinstance(value, dict):
        raise _wrong(at, "an object", value)
    hints = _hints(kind)
    for key in value:
        if key not in hints:
            raise _unknown(key, at, hints)
    for each in dataclasses.fields(kind):
        needed = each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING
        if needed and each.name not in value:
            raise _body(
                f'the field "{_below(at, each.name)}" is missing', f"give it; all: {DESCRIPTION}"
            )
    return kind(**{key: _value(hints[key], each, _below(at, key)) for key, each in value.items()})


@functools.cache
def _hints(kind: Any) -> Mapping[str, Any]:
    return typing.get_type_hints(kind)


def _below(at: str, name: str) -> str:
    return f"{at}.{name}" if at else name


# --- sentences --------------------------------------------------------------------------------


def _wrong(at: str, wanted: str, value: object, why: str = "") -> errors.Invalid:
    place = f'"{errors.shortened(at)}"' if at else "it"
    reason = f" ({why})" if why else ""
    return _body(
        f"{place} must be {wanted}, not {strict_json.shown(value)}{reason}",
        f"what each field takes: {DESCRIPTION}",
    )


def _unknown(key: str, at: str, known: Mapping[str, Any]) -> errors.Invalid:
    near = difflib.get_close_matches(key, known, n=1)
    where = f' in "{errors.shortened(at)}"' if at else ""
    return _body(
        f"the field {strict_json.shown(key)} is not known{where}",
        f'did you mean "{near[0]}"?' if near else f"known fields: {', '.join(known)}",
    )


def _body(sentence: str, hint: str) -> errors.Invalid:
    return errors.Invalid(f"the request body is wrong: {sentence}", hint=hint, code="SDD-API-BODY")
