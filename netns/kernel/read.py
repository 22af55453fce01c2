"""The kernel's own reports → the values of this backend; runs inside the namespace concerned.

What is ours is told by marks: alias and group of a link, the protocol number of addresses and
routes.
"""

import ipaddress
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from netns import world
from netns.kernel import marks, sysctl
from netns.netlink import address, link, route
from netns.netlink.route import Network
from netns.world import Kind, Setting
from sdd.linux import netlink
from sdd.model.host_link import HostLink

_KINDS = {kind.value: kind for kind in Kind if kind not in (Kind.LOOPBACK, Kind.OTHER)}
# IPV4_DEVCONF_… in linux/ip.h
CONF4 = {
    Setting.FORWARDING: 1,
    Setting.ARP_IGNORE: 19,
    Setting.ARP_NOTIFY: 22,
    Setting.SRC_VALID_MARK: 24,
}
# DEVCONF_… in linux/ipv6.h
CONF6 = {Setting.ACCEPT_RA: 3, Setting.ACCEPT_DAD: 27, Setting.NDISC_NOTIFY: 29}
PORT = {
    Setting.HAIRPIN: link.PORT_HAIRPIN,
    Setting.ISOLATED: link.PORT_ISOLATED,
    Setting.LEARNING: link.PORT_LEARNING,
    Setting.FLOOD: link.PORT_FLOOD,
    Setting.MULTICAST_FLOOD: link.PORT_MULTICAST_FLOOD,
    Setting.BROADCAST_FLOOD: link.PORT_BROADCAST_FLOOD,
    Setting.PROXY_ARP: link.PORT_PROXY_ARP,
    Setting.NEIGHBOUR_SUPPRESSION: link.PORT_NEIGHBOUR_SUPPRESSION,
    Setting.LOCKED: link.PORT_LOCKED,
    Setting.MAC_AUTH: link.PORT_MAC_AUTH,
    Setting.GUARD: link.PORT_GUARD,
    Setting.ROOT_BLOCK: link.PORT_ROOT_BLOCK,
    Setting.FAST_LEAVE: link.PORT_FAST_LEAVE,
    Setting.PROXY_ARP_WIFI: link.PORT_PROXY_ARP_WIFI,
    Setting.MULTICAST_ROUTER: link.PORT_MULTICAST_ROUTER,
    Setting.MULTICAST_TO_UNICAST: link.PORT_MULTICAST_TO_UNICAST,
    Setting.VLAN_TUNNEL: link.PORT_VLAN_TUNNEL,
}
_OURS = ((4, route.UNICAST), (6, route.UNICAST))
_WHAT_OF = {marks.PROTOCOL: _OURS, route.KERNEL: (*_OURS, (4, route.LOCAL))}


def space(inode: int, files: Collection[tuple[str, str]] = ()) -> world.Space:
    """Links, addresses, and unicast and local routes of the calling thread's namespace.

    `files` says which numbers below /proc/sys are read of which link. Of the routes that others
    made only those are read that can be in the way of ours: default ones, and those to subnets of
    addresses. A container that is a router may have very many.
    """
    with netlink.Connection(netlink.ROUTE) as connection:
        links = _all_links(connection)
        names = {each.index: each.name for each in links}
        addresses = _addresses(connection, names)
        ways = _EVERYWHERE | {_span(each.interface.network) for each in addresses}
        routes = [
            each
            for each in connection.dump(*route.listing())
            if route.is_by(each.body, _MAKERS) or route.span(each.body) in ways
        ]
    return world.Space(
        inode=inode,
        links=_with_sysctls(world.recognised(_links(links, names), addresses), files),
        addresses=addresses,
        routes=frozenset(
            _route(each, names) for each in map(route.of, routes) if each and _is_usual(each)
        ),
    )


def _span(prefix: Network) -> tuple[int, int, int]:
    return prefix.version, int(prefix.network_address), int(prefix.broadcast_address)


_MAKERS = frozenset({marks.PROTOCOL, route.KERNEL})
_EVERYWHERE = frozenset(_span(ipaddress.ip_network(each)) for each in ("0.0.0.0/0", "::/0"))


def _with_sysctls(
    links: dict[str, world.Link], files: Collection[tuple[str, str]]
) -> dict[str, world.Link]:
    for name in {name for name, _ in files} & links.keys():
        numbers = {file: sysctl.number(file) for link, file in files if link == name}
        known = frozenset((file, value) for file, value in numbers.items() if value is not None)
        links[name] = replace(links[name], sysctls=known)
    return links


def host(only: Collection[str] | None) -> world.Space:
    """Links and addresses of the calling thread's namespace; `only` those links if given.

    The master of a link is known only when it is among them. Of routes only those over links with
    addresses of ours, to children and to the ingress sandbox are read, the kernel's own and ours:
    others may be a million.
    """
    if only is not None and not only:
        return world.Space()
    with netlink.Connection(netlink.ROUTE) as connection:
        reports = _all_links(connection) if only is None else _some_links(connection, only)
        names = {each.index: each.name for each in reports}
        addresses = _addresses(connection, names)
    links = world.recognised(_links(reports, names), addresses)
    ways = {name for name, each in links.items() if each.mark and _has_routes(each)}
    addressed = {each.link for each in addresses if each.ours}
    wanted = ((route.KERNEL, addressed), (marks.PROTOCOL, ways))
    makers = [maker for maker, over in wanted if over]
    routes = _routes_of(makers, names, ways | addressed)
    return world.Space(links=links, addresses=addresses, routes=routes)


def _has_routes(link: world.Link) -> bool:
    return link.kind in world.CHILDREN or link.name == world.GATEWAY


def _routes_of(
    makers: Collection[int], names: Mapping[int, str], over: Collection[str]
) -> frozenset[world.Route]:
    """The routes of the protocols `makers` over some links, told by number and name."""
    if not makers:
        return frozenset()
    with netlink.Connection(netlink.ROUTE, strict=True) as connection:
        replies = [
            reply
            for maker in makers
            for version, kind in _WHAT_OF[maker]
            for reply in connection.dump(*route.listing_of(version, maker, kind))
        ]
    reports = (each for each in map(route.of, replies) if each and _is_usual(each))
    return frozenset(_route(each, names) for each in reports if names.get(each.index) in over)


def names(connection: netlink.Connection) -> Mapping[int, str]:
    """Index → name of every link."""
    return {each.index: each.name for each in _all_links(connection)}


def _all_links(connection: netlink.Connection) -> list[link.Report]:
    return [link.of(each) for each in connection.dump(*link.listing())]


def _some_links(connection: netlink.Connection, names: Collection[str]) -> list[link.Report]:
    results = connection.request(map(link.ask, names))
    return [link.of(reply) for result in results for reply in result.replies]


def host_links(asked: Collection[str]) -> dict[str, HostLink | None]:
    """What the links of the calling thread's namespace are; None for a name that none has."""
    with netlink.Connection(netlink.ROUTE) as connection:
        results = connection.request(map(link.ask, asked))
        addresses = [address.of(each) for each in connection.dump(*address.listing())]
    return {
        name: _host_link(name, link.of(result.replies[0]), addresses) if result.replies else None
        for name, result in zip(asked, results, strict=True)
    }


def _host_link(asked: str, report: link.Report, addresses: Iterable[address.Report]) -> HostLink:
    own = (
        each.interface.ip
        for each in addresses
        if each.index == report.index and each.protocol != marks.PROTOCOL
    )
    return HostLink(
        mtu=report.mtu,
        mac=report.mac,
        is_ethernet=report.is_ethernet,
        holder=report.master_kind if report.master_kind in _HOLDERS else "",
        addresses=tuple(own),
        own_name=report.name if report.name != asked else "",
    )


_HOLDERS = frozenset({"bridge", "bond", "team"})  # they take all frames: children get none


def _addresses(
    connection: netlink.Connection, names: Mapping[int, str]
) -> frozenset[world.Address]:
    reports = map(address.of, connection.dump(*address.listing()))
    return frozenset(_address(each, names) for each in reports if each.index in names)


def _links(reports: Iterable[link.Report], names: Mapping[int, str]) -> dict[str, world.Link]:
    free = {each.index for each in reports if each.stp == 0}
    return {each.name: _link(each, names, free) for each in reports}


def _link(report: link.Report, names: Mapping[int, str], free: Collection[int]) -> world.Link:
    """`free`: the bridges without STP."""
    return world.Link(
        name=report.name,
        kind=Kind.LOOPBACK if report.loopback else _KINDS.get(report.kind, Kind.OTHER),
        mark=marks.of_link(report.alias, report.group),
        mac=report.mac,
        mtu=report.mtu,
        up=report.up,
        master=names.get(report.master, ""),
        mode=report.mode,
        flags=report.flags,
        settings=frozenset(_settings(report, free)),
    )


def _settings(report: link.Report, free: Collection[int]) -> list[tuple[Setting, int]]:
    found = [(Setting.ARP, int(report.arp))]
    found += [
        (setting, report.conf4[number - 1])
        for setting, number in CONF4.items()
        if number <= len(report.conf4)
    ]
    found += [
        (setting, report.conf6[number])
        for setting, number in CONF6.items()
        if number < len(report.conf6)
    ]
    if report.gen_mode >= 0:
        found.append((Setting.ADDR_GEN_MODE, report.gen_mode))
    if report.port:
        found += [
            (setting, report.port[number])
            for setting, number in PORT.items()
            if number in report.port
        ]
        # Without a carrier a port never forwards, and where there is STP it has its reasons.
        if report.running and report.master in free:
            found.append((Setting.STATE, report.port[link.PORT_STATE]))
    if report.stp >= 0:
        found.append((Setting.STP, report.stp))
    return found


def _address(report: address.Report, names: Mapping[int, str]) -> world.Address:
    return world.Address(
        link=names[report.index],
        interface=report.interface,
        ours=report.protocol == marks.PROTOCOL,
    )


def _is_usual(report: route.Report) -> bool:
    """In the table `local` are also lb's routes to virtual addresses; those are not ours."""
    if report.table == world.LOCAL_TABLE:
        is_kernels = report.protocol == route.KERNEL and report.destination.version == 4  # noqa: PLR2004 - IPv4
        return report.kind == route.LOCAL and is_kernels
    return report.kind == route.UNICAST and report.index != 0


def _route(report: route.Report, names: Mapping[int, str]) -> world.Route:
    return world.Route(
        destination=report.destination,
        link=names.get(report.index, ""),
        gateway=report.gateway,
        table=report.table,
        metric=report.metric,
        ours=report.protocol == marks.PROTOCOL,
    )
