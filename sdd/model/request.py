"""What callers ask for, already parsed: the bodies of the API and the input of the commands.

The API decodes JSON into these strictly (unknown fields are errors); the commands check them
against the state. Objects are referred to by name, id or unique id prefix (`ref`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from sdd.model import port, sandbox, service
from sdd.model.forwardzone import ForwardZone
from sdd.model.nameserver import Nameserver
from sdd.model.network import EMPTY, Driver


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSpec:
    """One `--subnet` with what belongs to it; `subnet` None asks for one of the default pools."""

    subnet: IPv4Network | IPv6Network | None = None
    gateway: IPv4Address | IPv6Address | None = None
    ip_range: IPv4Network | IPv6Network | None = None
    aux: Mapping[str, IPv4Address | IPv6Address] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkCreate:
    """`sdctl network create`.

    `config_only`: a template is made, no network; `config_from` is a template's ref. `ipv4` None:
    the network has it unless all its subnets are of IPv6.
    """

    name: str
    driver: Driver = Driver.BRIDGE
    pools: tuple[PoolSpec, ...] = ()
    internal: bool = False
    attachable: bool = False
    ipv4: bool | None = None
    ipv6: bool = False
    options: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    labels: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    dns: tuple[IPv4Address | IPv6Address | Nameserver, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_zones: tuple[ForwardZone, ...] = ()
    config_only: bool = False
    config_from: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkUpdate:
    """`sdctl network update`: what joins and what leaves the network's DNS settings."""

    dns_add: tuple[IPv4Address | IPv6Address | Nameserver, ...] = ()
    dns_remove: tuple[IPv4Address | IPv6Address | Nameserver, ...] = ()
    search_add: tuple[str, ...] = ()
    search_remove: tuple[str, ...] = ()
    zone_add: tuple[ForwardZone, ...] = ()
    zone_remove: tuple[ForwardZone, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """One `--network NET[,ip=…,alias=…]`, also the body of `network connect`."""

    network: str
    ip: IPv4Address | None = None
    ip6: IPv6Address | None = None
    aliases: tuple[str, ...] = ()
    mac: str = ""
    gw_priority: int = 0
    driver_opts: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    link_local: tuple[IPv4Address | IPv6Address, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish:
    """One `--publish`; `published` 0 asks for any free number.

    With `target_last` or `published_last` it is a range: of as many of each, or of numbers of
    which the first free one is taken for the one target. `mode` None is what is usual for the
    object.
    """

    target: int
    target_last: int = 0
    published: int = 0
    published_last: int = 0
    protocol: port.Protocol = port.Protocol.TCP
    mode: port.Mode | None = None
    policy: port.Policy = port.Policy.PRESERVE
    address: IPv4Address | IPv6Address | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpublish:
    """One `--publish-rm`: every port to `target`, as in Docker, or only the number `published`.

    0 and None fit anything; one of both numbers is given.
    """

    target: int = 0
    published: int = 0
    protocol: port.Protocol = port.Protocol.TCP
    address: IPv4Address | IPv6Address | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxCreate:
    """`sdctl sandbox create` (a new namespace) and `attach` (`netns` or `pid` given).

    Without any attachment the sandbox joins the default network, as in Docker. `gateway_hosts` are
    added hosts with the addresses of the host itself: the default network's gateways.
    `write_resolv_conf`: `auto`, or with `attach` also `never` or an absolute path.
    """

    name: str
    netns: str = ""
    pid: int = 0
    attachments: tuple[Attachment, ...] = ()
    services: tuple[str, ...] = ()
    hostname: str = ""
    dns: sandbox.DnsSettings = sandbox.DnsSettings()
    extra_hosts: tuple[sandbox.ExtraHost, ...] = ()
    gateway_hosts: tuple[str, ...] = ()
    write_resolv_conf: str = sandbox.Writing.AUTO.value
    publish: tuple[Publish, ...] = ()
    labels: Mapping[str, str] = field(default_factory=lambda: EMPTY)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceCreate:
    """`sdctl service create`; `network` is a ref.

    The virtual addresses asked for are `vip`, if any, and `vips`: at most one of each IP version.
    """

    name: str
    network: str
    vip: IPv4Address | IPv6Address | None = None
    vips: tuple[IPv4Address | IPv6Address, ...] = ()
    mode: service.EndpointMode = service.EndpointMode.VIP
    scheduler: service.Scheduler = service.Scheduler.MH
    health: service.HealthCheck = service.HealthCheck()
    aliases: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    drain_s: float = 10.0
    persistence_s: int = 0
    weight: int = 1
    quorum: int = 1
    panic: int = 0
    slow_start_s: float = 0.0
    publish: tuple[Publish, ...] = ()

    @property
    def all_vips(self) -> tuple[IPv4Address | IPv6Address, ...]:
        """The virtual addresses asked for."""
        return (*((self.vip,) if self.vip is not None else ()), *self.vips)


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthChange:
    """What of a check becomes another; None stays.

    Another `kind` is another check: what it asks (port, host, path, ttl, command) is as given here
    alone.
    """

    kind: service.CheckKind | None = None
    port: int | None = None
    host: str | None = None
    path: str | None = None
    send: str | None = None
    expect: str | None = None
    status_low: int | None = None
    status_high: int | None = None
    ttl_s: float | None = None
    command: str | None = None
    interval_s: float | None = None
    fast_s: float | None = None
    timeout_s: float | None = None
    rise: int | None = None
    fall: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceUpdate:
    """`sdctl service update`: what of a service becomes another; None stays."""

    scheduler: service.Scheduler | None = None
    health: HealthChange = HealthChange()
    alias_add: tuple[str, ...] = ()
    alias_remove: tuple[str, ...] = ()
    label_add: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    label_remove: tuple[str, ...] = ()
    drain_s: float | None = None
    persistence_s: int | None = None
    weight: int | None = None
    quorum: int | None = None
    panic: int | None = None
    slow_start_s: float | None = None
    publish_add: tuple[Publish, ...] = ()
    publish_remove: tuple[Unpublish, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordAdd:
    """`sdctl dns record add NETWORK NAME TYPE DATA`."""

    network: str
    name: str
    type: str
    data: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordRemove:
    """`sdctl dns record rm NETWORK NAME [TYPE [DATA]]`; what is empty fits anything."""

    network: str
    name: str
    type: str = ""
    data: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    """`sdctl service join SVC SANDBOX`; without a weight it is the service's."""

    sandbox: str
    weight: int | None = None
    backup: bool = False
