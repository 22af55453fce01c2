"""A name server as people write it: an address, or `TRANSPORT://ADDRESS[:PORT][/PATH][#NAME]`."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from types import MappingProxyType
from typing import Final

from sdd.model import address


class Transport(StrEnum):
    """How a server is asked."""

    UDP = "udp"  # and TCP for what does not fit
    TCP = "tcp"
    TLS = "tls"  # RFC 7858
    HTTPS = "https"  # RFC 8484
    QUIC = "quic"  # RFC 9250


PORTS: Final[Mapping[Transport, int]] = MappingProxyType(
    {
        Transport.UDP: 53,
        Transport.TCP: 53,
        Transport.TLS: 853,
        Transport.HTTPS: 443,
        Transport.QUIC: 853,
    }
)
OURS: Final = IPv4Address("127.0.0.11")  # where every sandbox finds the server of sdd
ENCRYPTED: Final = frozenset({Transport.TLS, Transport.HTTPS, Transport.QUIC})
PATH: Final = "/dns-query"
_FORM = re.compile(
    r"(?P<scheme>[a-z]+)://"
    r"(?:\[(?P<six>[0-9a-fA-F:.]+(?:%[^\]]*)?)\]|(?P<four>[0-9.]+))"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>/[!-\"$-~]*)?"
    r"(?:#(?P<name>[A-Za-z0-9._-]{1,253}))?"
)
_WITH_PORT = re.compile(r"(?:\[[0-9a-fA-F:.]+\]|[0-9.]+):[0-9]{1,5}")
_EVERYBODY = IPv4Address("255.255.255.255")
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Nameserver:
    """One server. `name` is whom its certificate must name; empty means: its address."""

    address: IPv4Address | IPv6Address
    transport: Transport = Transport.UDP
    port: int = 53
    path: str = ""
    name: str = ""

    @property
    def is_plain(self) -> bool:
        """Whether resolv.conf(5) can name it: UDP and TCP on port 53."""
        return self.transport is Transport.UDP and self.port == PORTS[Transport.UDP]

    @property
    def is_ours(self) -> bool:
        """Whether it is the sandbox's own server, which would ask itself."""
        return OURS in (self.address, getattr(self.address, "ipv4_mapped", None))

    @property
    def names_link(self) -> bool:
        """Whether its address names a link (`%eth0`): one of the host, whichever sandbox asks."""
        return isinstance(self.address, IPv6Address) and self.address.scope_id is not None

    def __str__(self) -> str:
        """What `parse` reads; the bare address where that says all."""
        if self.is_plain:
            return str(self.address)
        host = f"[{self.address}]" if isinstance(self.address, IPv6Address) else str(self.address)
        port = "" if self.port == PORTS[self.transport] else f":{self.port}"
        name = f"#{self.name}" if self.name else ""
        return f"{self.transport}://{host}{port}{self.path}{name}"


Server = IPv4Address | IPv6Address | Nameserver  # an address alone: plain DNS on port 53


def server(text: str) -> Server:
    """The same server as `parse`, as its address where that says all. Raises ValueError."""
    found = parse(text)
    return found.address if found.is_plain else found


def whole(given: Server) -> Nameserver:
    """What `server` may have shortened."""
    return given if isinstance(given, Nameserver) else Nameserver(address=given)


def parse(text: str, read: Callable[[str], address.IPAddress] = address.parse) -> Nameserver:
    """The server that `text` names; `read` makes an address that stands alone.

    Raises ValueError with a reason: a host must be an address, since nobody could look its name
    up; only encrypted transports take a `#NAME`, only `https` a path.
    """
    if _WITH_PORT.fullmatch(text):
        raise ValueError(f"with a port it is udp://{text}")
    if "://" not in text:
        return Nameserver(address=_one(text, read))
    found = _FORM.fullmatch(text)
    if not found:
        raise ValueError("the form is TRANSPORT://ADDRESS[:PORT][/PATH][#NAME]")
    try:
        transport = Transport(found["scheme"])
    except ValueError:
        raise ValueError(f"transports are {', '.join(Transport)}") from None
    path, name = found["path"] or "", found["name"] or ""
    if path and transport is not Transport.HTTPS:
        raise ValueError("only https takes a path")
    if name and transport not in ENCRYPTED:
        raise ValueError("only encrypted transports take a name")
    if name and not all(map(_LABEL.fullmatch, name.removesuffix(".").split("."))):
        raise ValueError(f"{name!r} is no host name")
    port = int(found["port"] or PORTS[transport])
    if not 0 < port <= 0xFFFF:  # noqa: PLR2004 - 16 bits
        raise ValueError("a port is from 1 to 65535")
    return Nameserver(
        address=_one(found["six"] or found["four"], address.parse),
        transport=transport,
        port=port,
        path=path or (PATH if transport is Transport.HTTPS else ""),
        name=name.removesuffix(".").lower(),
    )


def _one(text: str, read: Callable[[str], address.IPAddress]) -> address.IPAddress:
    try:
        found = read(text)
    except address.Zoned:
        raise ValueError(
            'what follows "%" names a link, which is looked for on the host and never in the'
            " sandbox: give an address that routes lead to"
        ) from None
    if found.is_unspecified:
        raise ValueError("nobody is asked at the unspecified address")
    if found.is_multicast or found == _EVERYBODY:
        raise ValueError("that is the address of many")
    return found
