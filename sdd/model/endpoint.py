"""An endpoint: the interface of one sandbox on one network."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Interface, IPv6Interface

from sdd.model import ids
from sdd.model.network import EMPTY, IPAddress


class _Remembered:
    """Room for what an endpoint's addresses come to; no field of it, so neither stored nor told."""

    __slots__ = ("_hosts",)
    _hosts: tuple[IPAddress, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint(_Remembered):
    """Complete at the revision it appears: addresses, MAC and link name are already chosen.

    `link_local` are addresses beside these that people asked for; no name leads to them. With
    `leaves_at` it is being disconnected, as a sandbox is removed (`Sandbox.leaves_at`).
    """

    id: ids.EndpointId
    network: ids.NetworkId
    sandbox: ids.SandboxId
    node: ids.NodeId
    addresses: tuple[IPv4Interface | IPv6Interface, ...]
    mac: str
    ifname: str
    aliases: tuple[str, ...] = ()
    gw_priority: int = 0
    options: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    link_local: tuple[IPv4Interface | IPv6Interface, ...] = ()
    leaves_at: float = 0.0
    created: float = 0.0

    @property
    def host_link(self) -> str:
        """The host side's link name: `veth<7 hex>`."""
        return f"veth{self.id[:7]}"

    @property
    def carried(self) -> tuple[IPv4Interface | IPv6Interface, ...]:
        """All that its link has."""
        return (*self.addresses, *self.link_local)

    @property
    def hosts(self) -> tuple[IPAddress, ...]:
        """The addresses without their prefix lengths; the same objects each time."""
        found: tuple[IPAddress, ...] | None = getattr(self, "_hosts", None)
        if found is None:
            found = tuple([each.ip for each in self.addresses])
            object.__setattr__(self, "_hosts", found)
        return found
