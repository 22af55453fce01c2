"""The nouns of published ports: what is bound, and where it leads."""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address

from lb.table import Backend
from sdd.model.port import Protocol
from sdd.model.service import Scheduler


class Hindrance(StrEnum):
    """Why a port cannot be held, where something can be done; else it is the kernel's own words."""

    TAKEN = "another program on this host has it"
    ABSENT = "this host has no such address"
    LIMIT = "sdd may not open more files (LimitNOFILE, ulimit -n)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bind:
    """A port of one IP version; `address` None is every address of the host."""

    version: int
    protocol: Protocol
    number: int
    address: IPv4Address | IPv6Address | None = None

    def clashes(self, other: "Bind") -> bool:
        """Whether two sockets cannot hold both."""
        same = (self.version, self.protocol, self.number)
        is_near = None in (self.address, other.address) or self.address == other.address
        return is_near and same == (other.version, other.protocol, other.number)

    def __str__(self) -> str:
        if self.address is None:
            return f"{self.number}/{self.protocol}"
        where = f"[{self.address}]" if self.version == 6 else self.address  # noqa: PLR2004 - IP
        return f"{where}:{self.number}/{self.protocol}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One bound port and its backends, all on `port`; without an open one it refuses.

    `subject` is the id of the sandbox or service that publishes it. `masked` are the backends that
    must see an address of the host instead of the client's; `strange` are the clients that all must
    not see as such. `devices` are the bridges behind which the backends are. With `is_outward`
    it is not answered at 127.0.0.0/8, though every address of the host is bound.
    """

    bind: Bind
    subject: str
    port: int
    backends: tuple[Backend, ...] = ()
    masked: frozenset[IPv4Address | IPv6Address] = frozenset()
    strange: frozenset[IPv4Address | IPv6Address] = frozenset()
    devices: frozenset[str] = frozenset()
    scheduler: Scheduler = Scheduler.MH
    persistence_s: int = 0
    is_outward: bool = False
