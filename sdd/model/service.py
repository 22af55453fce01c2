"""A service, its members (backends) and how their health is checked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address

from sdd.model import ids
from sdd.model.network import EMPTY
from sdd.model.port import Port


class EndpointMode(StrEnum):
    """What the service name resolves to: one virtual address, or the members themselves."""

    VIP = "vip"
    DNSRR = "dnsrr"


class CheckKind(StrEnum):
    """How a member proves that it is alive."""

    NONE = "none"
    TCP = "tcp"
    HTTP = "http"
    HTTPS = "https"
    TLS = "tls"
    UDP = "udp"
    DNS = "dns"
    TTL = "ttl"  # it reports itself
    EXEC = "exec"


class Scheduler(StrEnum):
    """IPVS scheduler names; the nftables adapter maps each to its nearest."""

    RR = "rr"
    WRR = "wrr"
    LC = "lc"
    WLC = "wlc"
    SH = "sh"
    MH = "mh"
    DH = "dh"
    SED = "sed"
    NQ = "nq"
    FO = "fo"
    OVF = "ovf"
    LBLC = "lblc"
    LBLCR = "lblcr"


# Those that look at weights: with the others a growing weight would change nothing, or all at once.
WEIGHING = frozenset(
    {
        Scheduler.WRR,
        Scheduler.WLC,
        Scheduler.SH,
        Scheduler.MH,
        Scheduler.SED,
        Scheduler.NQ,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """Times in seconds; `rise` and `fall` count results in a row before the state turns.

    While a verdict is pending, checks come every `fast_s` instead of `interval_s`. `host` is the
    Host of http, the server name of TLS, the question of dns; `path` is of http. `send` is what
    udp sends, `expect` what must be in the answer of udp or the body of http (empty: anything).
    A status from `status_low` to `status_high` passes http. `ttl_s` is how long a report of a
    ttl check holds. `command` is what exec gives to the shell.
    """

    kind: CheckKind = CheckKind.NONE
    port: int = 0
    host: str = ""
    path: str = ""
    send: str = ""
    expect: str = ""
    status_low: int = 200
    status_high: int = 399
    ttl_s: float = 0.0
    command: str = ""
    interval_s: float = 2.0
    fast_s: float = 0.25
    timeout_s: float = 1.0
    rise: int = 2
    fall: int = 3


PERSISTENCE_MAX_S = 30 * 24 * 3600  # IPVS counts in ticks of 32 bits: from 198 days on it wraps


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One name on one network, spread over its members.

    `weight` is what a member gets that joins without saying one.
    With fewer than `quorum` members up its backups serve, with fewer than `panic` percent all do.
    For `slow_start_s` after it came up a member gets a growing part of its weight (sdd.model.ramp).
    `number` is small, unique among live services and allocated with the service: packet marks
    are made of it. `vips` is empty in dnsrr mode, else one address per family of the network.
    `ingress_vips` are what ports lead to that every node opens: of the network `ingress`, empty
    without such ports. When the last of these is gone, they stay until `ingress_leaves_at` (seconds
    since the epoch, 0 = while there are ports) for whoever is connected.
    """

    id: ids.ServiceId
    name: str
    network: ids.NetworkId
    number: int
    vips: tuple[IPv4Address | IPv6Address, ...] = ()
    mode: EndpointMode = EndpointMode.VIP
    scheduler: Scheduler = Scheduler.MH
    health: HealthCheck = HealthCheck()
    aliases: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    drain_s: float = 10.0
    persistence_s: int = 0
    weight: int = 1
    quorum: int = 1
    panic: int = 0
    slow_start_s: float = 0.0
    ports: tuple[Port, ...] = ()
    ingress_vips: tuple[IPv4Address | IPv6Address, ...] = ()
    ingress_leaves_at: float = 0.0
    created: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """An endpoint that serves a service. Weight 0 keeps live connections and takes no new ones.

    With `drains_until` (seconds since the epoch, 0 = not at all) it is leaving: it takes nothing
    new and goes when its connections have ended, or then. A backup serves while too few others do.
    """

    service: ids.ServiceId
    endpoint: ids.EndpointId
    sandbox: ids.SandboxId
    node: ids.NodeId
    weight: int = 1
    backup: bool = False
    drains_until: float = 0.0
    created: float = 0.0

    @property
    def share(self) -> int:
        """The weight that counts now."""
        return 0 if self.drains_until else self.weight
