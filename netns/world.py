"""The nouns of this backend: namespaces with their links, addresses and routes.

The same values say what should be (`netns.desired`) and what is (a `Kernel`'s reading), so that
`netns.plan` can compare them. Nothing here reads, writes or decides.
"""

import functools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, ip_network
from itertools import chain

from sdd.model import network
from sdd.model.network import IPAddress, IPNetwork

GATEWAY = network.GATEWAY_DEVICE  # the host's routes to virtual addresses of ports lead over it
HOST = ""  # the path that means the host's namespace
LOOPBACK = "lo"
MAIN_TABLE = 254  # RT_TABLE_MAIN
LOCAL_TABLE = 255  # RT_TABLE_LOCAL: what is for this machine
UNFINISHED = "unfinished"  # the mark of a link of ours without its id: not given yet, or lost
METRIC6 = 1024  # IP6_RT_PRIO_USER: what the kernel makes of "no metric"
MTU = 1500  # ETH_DATA_LEN: what the kernel gives pairs and bridges that ask for nothing else
_WAYS_KEPT = 256  # those of loopback, of which each namespace has one
_PREFIX_METRIC6 = 256  # IP6_RT_PRIO_ADDRCONF: what it gives its own routes to subnets


class Kind(StrEnum):
    """The kernel's name of a link's type; everything we never make is OTHER."""

    BRIDGE = "bridge"
    VETH = "veth"
    MACVLAN = "macvlan"
    IPVLAN = "ipvlan"
    VLAN = "vlan"
    MACSEC = "macsec"  # never made by us: a parent
    LOOPBACK = "loopback"
    OTHER = "other"


CHILDREN = frozenset({Kind.MACVLAN, Kind.IPVLAN})  # links that live on another link


class Setting(StrEnum):
    """A number that the kernel keeps per link."""

    ADDR_GEN_MODE = "addr_gen_mode"  # 1: no link-local address (if_link.h, IN6_ADDR_GEN_MODE)
    ARP = "arp"  # 1: asks for neighbours and answers them, of both families; 0: IFF_NOARP
    ARP_IGNORE = "arp_ignore"  # 1: answer only for addresses of the link that was asked
    ARP_NOTIFY = "arp_notify"  # 1: announce the address when the link comes up
    ISOLATED = "isolated"  # 1: a bridge port that reaches no other isolated port
    HAIRPIN = "hairpin"  # 1: a bridge port gives frames back to where they came from
    STATE = "state"  # 3: a bridge port that forwards (if_bridge.h, BR_STATE_FORWARDING)
    LEARNING = "learning"  # 1: a bridge port remembers who is behind it
    FLOOD = "flood"  # 1: a bridge port gets frames to those whom nobody knows yet
    MULTICAST_FLOOD = "mcast_flood"  # 1: as FLOOD, of multicast: IPv6's questions for neighbours
    BROADCAST_FLOOD = "bcast_flood"  # 1: as FLOOD, of broadcast: IPv4's
    PROXY_ARP = "proxy_arp"  # 0: the bridge answers for nobody, and questions reach the port
    NEIGHBOUR_SUPPRESSION = "neigh_suppress"  # 0: as PROXY_ARP
    LOCKED = "locked"  # 0: a bridge port that takes frames from everybody behind it
    MAC_AUTH = "mab"  # 0: not only from those who are let in; needs LOCKED
    FORWARDING = "forwarding"  # 1: passes on what arrives here for others, IPv4 alone
    GUARD = "guard"  # 0: a bridge port goes on when a bridge speaks STP behind it
    ROOT_BLOCK = "root_block"  # 0: it may lead to the root of a tree
    FAST_LEAVE = "fastleave"  # 0: others behind it keep a multicast group that one leaves
    PROXY_ARP_WIFI = "proxy_arp_wifi"  # 0: as PROXY_ARP
    MULTICAST_ROUTER = "mcast_router"  # 1: gets all multicast while a router is heard behind it
    MULTICAST_TO_UNICAST = "mcast_to_unicast"  # 0: multicast arrives as what it is
    VLAN_TUNNEL = "vlan_tunnel"  # 0: frames arrive without the data of a tunnel
    ACCEPT_DAD = "accept_dad"  # 0: IPv6 addresses are unique and usable at once
    NDISC_NOTIFY = "ndisc_notify"  # 1: as ARP_NOTIFY, for IPv6
    ACCEPT_RA = "accept_ra"  # 0: a neighbour may not give us IPv6 routes
    STP = "stp_state"  # 0: a bridge's ports forward at once, and it sends nothing of its own
    SRC_VALID_MARK = "src_valid_mark"  # 1: a mark counts when it is asked where a source belongs


# What a bridge port does from its birth, as new_nbp (net/bridge/br_if.c) makes it.
NEWBORN_PORT = frozenset(
    {
        (Setting.HAIRPIN, 0),
        (Setting.ISOLATED, 0),
        (Setting.LEARNING, 1),
        (Setting.FLOOD, 1),
        (Setting.MULTICAST_FLOOD, 1),
        (Setting.BROADCAST_FLOOD, 1),
        (Setting.PROXY_ARP, 0),
        (Setting.NEIGHBOUR_SUPPRESSION, 0),
        (Setting.LOCKED, 0),
        (Setting.MAC_AUTH, 0),
        (Setting.GUARD, 0),
        (Setting.ROOT_BLOCK, 0),
        (Setting.FAST_LEAVE, 0),
        (Setting.PROXY_ARP_WIFI, 0),
        (Setting.MULTICAST_ROUTER, 1),
        (Setting.MULTICAST_TO_UNICAST, 0),
        (Setting.VLAN_TUNNEL, 0),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One link of one namespace.

    `mark` is the id in its alias `sdd:<id>`; empty means that it is not ours. In a wish, an empty
    `mac` or zero `mtu` leaves the choice to the kernel, and only the named settings count. `mode`
    and `flags` are as the kernel numbers them; of a VLAN, `mode` is the tag and not read back.
    Wanted only: `twin`, the name of the host's end of a veth pair; `parent`, the host's link under
    this one, which no link ever changes; `adopts`, that a foreign link of that name will do: it is
    set up, and neither changed otherwise nor removed. `sysctls` are files below /proc/sys with
    their numbers; what is read back holds those that were asked for.
    """

    name: str
    kind: Kind
    mark: str = ""
    mac: str = ""
    mtu: int = 0
    up: bool = True
    master: str = ""
    twin: str = ""
    parent: str = ""
    mode: int = 0
    flags: int = 0
    adopts: bool = False
    settings: frozenset[tuple[Setting, int]] = frozenset()
    sysctls: frozenset[tuple[str, int]] = frozenset()


@dataclass(frozen=True, slots=True)
class Address:
    """An address on a link; `ours` tells those that sdd gave from all others.

    A wish that is not `ours` is for one that the kernel gives itself.
    """

    link: str
    interface: IPv4Interface | IPv6Interface
    ours: bool = True


# What the kernel gives loopback when it comes up, and 127.0.0.11 is nowhere without.
LOOPBACK_ADDRESSES = frozenset(
    Address(LOOPBACK, each, ours=False)
    for each in (IPv4Interface("127.0.0.1/8"), IPv6Interface("::1/128"))
)


def recognised(links: Mapping[str, Link], addresses: Iterable[Address]) -> dict[str, Link]:
    """`links`, of which those that live on another one are ours also by an address that we gave.

    Somebody may have taken alias and group off; nothing else leads to them, and their parent gives
    nobody else their MAC. Not bridges and VLANs: foreign ones that we adopted have such addresses.
    """
    given = {each.link for each in addresses if each.ours}
    return {
        name: replace(link, mark=UNFINISHED)
        if not link.mark and link.kind in CHILDREN and name in given
        else link
        for name, link in links.items()
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A route; `gateway` None means that the destination is on the link.

    A wish that is not `ours` is for a route that the kernel makes of an address; in the table
    `local` there are no others. `source`, by which address we speak over the route, is only wished
    for and not read back.
    """

    destination: IPNetwork
    link: str
    gateway: IPAddress | None = None
    table: int = MAIN_TABLE
    metric: int = 0
    ours: bool = True
    source: IPAddress | None = field(default=None, compare=False)


def kernel_routes(addresses: Iterable[Address]) -> Iterator[Route]:
    """What the kernel makes of `addresses` on links that are up: ways to them and their subnets.

    As fib_add_ifaddr (net/ipv4/fib_frontend.c) and addrconf_prefix_route (net/ipv6/addrconf.c) do:
    an IPv4 address that is alone in its subnet has no way to it, and of loopback the whole subnet
    is local. The local way to an IPv6 address is left out: the kernel makes it in its own time, so
    that nobody can tell whether it is missing.
    """
    return chain.from_iterable(_ways(each.link, each.interface) for each in addresses)


@functools.lru_cache(_WAYS_KEPT)
def _ways(link: str, interface: IPv4Interface | IPv6Interface) -> tuple[Route, ...]:
    subnet, source, is_own = interface.network, interface.ip, link == LOOPBACK
    if not isinstance(subnet, IPv4Network):
        way = Route(destination=subnet, link=link, metric=_PREFIX_METRIC6, ours=False)
        return () if is_own else (way,)
    self_ = ip_network(source)
    local = Route(destination=self_, link=link, table=LOCAL_TABLE, ours=False, source=source)
    table = LOCAL_TABLE if is_own else MAIN_TABLE
    if subnet == self_:
        return (local,)
    return (local, Route(destination=subnet, link=link, table=table, ours=False, source=source))


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """A namespace as it is."""

    inode: int = 0
    links: Mapping[str, Link] = field(default_factory=dict)
    addresses: frozenset[Address] = frozenset()
    routes: frozenset[Route] = frozenset()


class Owner(StrEnum):
    """Whose namespace it is, and so what may be done to it."""

    HOST = "host"  # the machine's: only our own links in it
    SDD = "sdd"  # we made it and we delete it
    GUEST = "guest"  # adopted: never made, never deleted, foreign routes win


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A namespace as it should be. `links` is in the order of making.

    `subject` is the sandbox's id, `name` its name; `inode` is known for guests only.
    """

    path: str
    owner: Owner
    subject: str = ""
    name: str = ""
    inode: int = 0
    links: tuple[Link, ...] = ()
    addresses: frozenset[Address] = frozenset()
    routes: frozenset[Route] = frozenset()
