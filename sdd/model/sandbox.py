"""A sandbox: one network namespace, made by us (`named`) or adopted by path (`adopted`)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address

from sdd import errors
from sdd.model import ids
from sdd.model.nameserver import Nameserver
from sdd.model.network import EMPTY
from sdd.model.port import Port


class Origin(StrEnum):
    """Who made the namespace, and so who may delete it."""

    NAMED = "named"
    ADOPTED = "adopted"
    INGRESS = "ingress"  # one of ours that nobody asked for: it leads published ports to members


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsSettings:
    """What the user asked for; an empty tuple means "not asked", never "none".

    `search` of exactly `(".",)` empties the search list (resolv.conf convention of Docker).
    """

    servers: tuple[IPv4Address | IPv6Address | Nameserver, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtraHost:
    """One `--add-host`: a line of the hosts file and a name the sandbox's server knows."""

    name: str
    address: IPv4Address | IPv6Address


class Writing(StrEnum):
    """Where the generated resolv.conf is put beside our own data root."""

    AUTO = "auto"  # links below /etc/netns for namespaces that `ip netns` knows
    NEVER = "never"  # nowhere
    FILE = "file"  # as AUTO, and into one file of the root filesystem of its processes


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvConf:
    """`--write-resolv-conf`. `path` is absolute, for FILE alone.

    It is taken inside the root of the process `pid`; with pid 0 it is a path of the host.
    """

    writing: Writing = Writing.AUTO
    path: str = ""
    pid: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """A namespace and its names.

    `netns` is the absolute path of its namespace file: below exec-root for named ones, the
    caller's path for adopted ones. `netns_inode` tells whether the path still means the same
    namespace (0 = not known). `keeps_server`: it left a network with names, so it has a DNS server
    as long as it is there (docker.md D7): its programs read their resolv.conf before. With
    `leaves_at` (seconds since the epoch, 0 = not at all) it is being removed: by the command, or by
    the daemon then.
    """

    id: ids.SandboxId
    name: str
    node: ids.NodeId
    origin: Origin
    netns: str
    netns_inode: int = 0
    hostname: str = ""
    dns: DnsSettings = DnsSettings()
    extra_hosts: tuple[ExtraHost, ...] = ()
    resolv_conf: ResolvConf = ResolvConf()
    ports: tuple[Port, ...] = ()
    labels: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    keeps_server: bool = False
    leaves_at: float = 0.0
    created: float = 0.0

    @property
    def is_ingress(self) -> bool:
        """Whether it is the one that leads the published ports of its node to their members."""
        return self.origin is Origin.INGRESS


def homonym(name: str, path: str) -> errors.Conflict:
    """The refusal of a sandbox `name` because of somebody else's namespace of that name."""
    return errors.Conflict(
        f"{path} is another network namespace of the name {name}",
        hint=f"attach it instead: sdctl sandbox attach {name} --netns {path},"
        " or choose another name",
        code="SDD-NETNS-TAKEN",
    )
