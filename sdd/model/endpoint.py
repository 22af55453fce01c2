"""An endpoint: the interface of one sandbox on one network."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Interface, IPv6Interface

from sdd.model import ids
from sdd.model.network import EMPTY, IPAddress


class _Remembered:
    """What an endpoint's addresses come to; no field of it, so neither stored nor told.

    `hosts` are the addresses without their prefix lengths, `packed` the same in network order.
    """

    __slots__ = ("hosts", "packed")
    hosts: tuple[IPAddress, ...]
    packed: tuple[bytes, ...]


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

    def __post_init__(self) -> None:
        """Everybody asks for them: made when they are read, the first who asks waits for none."""
        hosts = tuple([each.ip for each in self.addresses])
        object.__setattr__(self, "hosts", hosts)
        object.__setattr__(self, "packed", tuple([each.packed for each in hosts]))

    @property
    def host_link(self) -> str:
        """The host side's link name: `veth<7 hex>`."""
        return f"veth{self.id[:7]}"

    @property
    def carried(self) -> tuple[IPv4Interface | IPv6Interface, ...]:
        """All that its link has."""
        return (*self.addresses, *self.link_local)
