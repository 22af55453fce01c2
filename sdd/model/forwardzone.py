"""A zone whose names one server is asked for: `ZONE=SERVER` of a network."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from sdd.model.nameserver import Nameserver


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardZone:
    """A zone, in lower case and without its last dot, and one of its servers."""

    zone: str
    server: IPv4Address | IPv6Address | Nameserver

    def __str__(self) -> str:
        return f"{self.zone}={self.server}"
