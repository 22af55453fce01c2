"""Reading driver options: one field and one parser per key.

In: texts. Out: values, or a ValueError whose words complete "the option K …".
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from typing import Any

_IFNAME = re.compile(r"[^\s/:%]{1,15}")  # IFNAMSIZ - 1; what the kernel's dev_valid_name takes
_PREFIX_LONGEST = 11  # leaves room for four digits
MTU_MIN, MTU_MAX = 68, 65535  # RFC 791: every link carries 68 bytes
_TRUE = frozenset({"1", "t", "T", "true", "True", "TRUE"})
_FALSE = frozenset({"0", "f", "F", "false", "False", "FALSE"})


@dataclass(frozen=True, slots=True)
class Option:
    """Where a key's value goes, and how its text is read."""

    field: str
    parse: Callable[[str], Any]


def fields(known: Mapping[str, Option], given: Mapping[str, str]) -> dict[str, Any]:
    """Field → value of every given option; all keys are known."""
    return {known[key].field: known[key].parse(text) for key, text in given.items()}


def to_bool(text: str) -> bool:
    """As Go's strconv.ParseBool, which Docker uses."""
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    raise ValueError(f"cannot be {text!r}: it is true or false")


def to_ifname(text: str) -> str:
    """A link name."""
    if not _IFNAME.fullmatch(text) or text in (".", ".."):
        raise ValueError(
            f"cannot be {text!r}: a link name has 1 to 15 characters, no blank, '/', ':' or '%'"
        )
    return text


def to_mtu(text: str) -> int:
    """A number of bytes."""
    if not (text.isascii() and text.isdigit()) or not MTU_MIN <= int(text) <= MTU_MAX:
        raise ValueError(f"cannot be {text!r}: an MTU is a number from {MTU_MIN} to {MTU_MAX}")
    return int(text)


def to_prefix(text: str) -> str:
    """The beginning of link names."""
    if len(to_ifname(text)) > _PREFIX_LONGEST or text[-1].isdigit():
        raise ValueError(
            f"cannot be {text!r}: it has at most {_PREFIX_LONGEST} characters, the last no digit"
        )
    return text


def to_choice(kind: type[StrEnum]) -> Callable[[str], Any]:
    """Reads one of the values of `kind`."""

    def parsed(text: str) -> Any:
        try:
            return kind(text)
        except ValueError:
            raise ValueError(f"cannot be {text!r}: it is one of {', '.join(kind)}") from None

    return parsed


def to_address(kind: type[IPv4Address] | type[IPv6Address]) -> Callable[[str], Any]:
    """Reads an address of one IP version."""

    def parsed(text: str) -> Any:
        try:
            return kind(text)
        except ValueError:
            raise ValueError(f"cannot be {text!r}: it is an {kind.__name__[:4]} address") from None

    return parsed


def to_ifnames(text: str) -> frozenset[str]:
    """Link names with colons between."""
    return frozenset(to_ifname(each) for each in text.split(":"))
