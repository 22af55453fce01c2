"""Text and addresses → wire names, for whoever fills tables; what DNS cannot carry is empty.

A namespace may be called anything, and one odd name must not take the others' answers away. Most
names are one plain label, of which a network has thousands: these are spelled the short way.
"""

import functools
from ipaddress import IPv4Address
from typing import Final

from resolver.message import wire
from sdd.model import address
from sdd.model.network import IPAddress

CACHED: Final = 32768  # names whose wire form is kept: they go, and come back
ROOT: Final = b"\0"
_LENGTH: Final = tuple(bytes((each,)) for each in range(wire.MOST_LABEL + 1))
_OCTET: Final = tuple(bytes((len(str(each)),)) + b"%d" % each for each in range(256))
_REVERSE_4, _REVERSE_6 = wire.to_wire("in-addr.arpa"), wire.to_wire("ip6.arpa")


@functools.lru_cache(maxsize=CACHED)
def wire_name(text: str) -> bytes:
    """The same as `spelled`, remembered: for what is asked for again and again."""
    return spelled(text)


def spelled(text: str) -> bytes:
    """The wire name of `text`; empty for what DNS cannot carry."""
    if 0 < len(text) <= wire.MOST_LABEL and "." not in text and text.isascii():
        return _LENGTH[len(text)] + text.lower().encode() + ROOT
    try:
        return wire.to_wire(text)
    except ValueError:
        return b""


def owners(text: str, tail: bytes) -> tuple[bytes, ...]:
    """`text` as a name, and the same below `tail`, a wire name; only those that DNS can carry."""
    bare = spelled(text)
    if tail and bare and len(bare) + len(tail) <= wire.MOST_NAME + 1:
        return (bare, bare[:-1] + tail)
    return (bare,) if bare else ()


def below(text: str, tail: bytes) -> bytes:
    """The second of `owners`, or nothing."""
    _, *found = owners(text, tail) or (b"",)
    return found[0] if found else b""


def pointer(of: IPAddress) -> bytes:
    """The wire name of the address's PTR record; raises `Zoned` for one that names a link."""
    if isinstance(of, IPv4Address):
        one, two, three, four = of.packed
        return _OCTET[four] + _OCTET[three] + _OCTET[two] + _OCTET[one] + _REVERSE_4
    address.check_stored(of)
    nibbles = of.packed.hex()[::-1]
    return ("\1" + "\1".join(nibbles)).encode() + _REVERSE_6


def parent(name: bytes) -> bytes:
    """The name right above the wire name `name`; the root of one label."""
    return name[name[0] + 1 :]
