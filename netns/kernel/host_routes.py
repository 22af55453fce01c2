"""The routes of a node's host that are not ours: which addresses are in use there already.

In: the prefixes that matter; runs in the host's namespace. Out: values for the commands. Of routes
that touch none of these nothing is read but where they begin and end: others may be a million.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterator

from netns import world
from netns.kernel import marks
from netns.netlink import link, route
from sdd.linux import netlink
from sdd.model import network
from sdd.model.host_route import HostRoute

# Who lets packets end there has a plan for these addresses.
_ENDS = frozenset({route.BLACKHOLE, route.UNREACHABLE, route.PROHIBIT})


def read(near: Collection[network.IPNetwork]) -> tuple[HostRoute, ...]:
    """One for each prefix that shares addresses with one of `near`, and for each link it is on.

    Sorted.
    """
    wanted = Near(near)
    with netlink.Connection(netlink.ROUTE) as connection:
        # Links come last: the link of a route that is not among them is gone, and so is the route.
        replies = [
            each for each in connection.dump(*route.listing()) if route.span(each.body) in wanted
        ]
        links = {each.index: each for each in map(link.of, connection.dump(*link.listing()))}
    foreign = {
        index: each.name
        for index, each in links.items()
        if not marks.of_link(each.alias, each.group)
    }
    found = {one for reply in replies for one in _of(reply, foreign)}
    direct = {each.prefix for each in found if each.is_direct}
    usable = [
        each
        for each in found
        if not _is_everywhere(each.prefix) and (each.is_direct or each.prefix not in direct)
    ]
    return tuple(sorted(usable, key=lambda each: (each.prefix.version, each.prefix, each.link)))


class Near:
    """Holds what shares addresses with one of some prefixes: (IP version, first, last address)."""

    def __init__(self, prefixes: Collection[network.IPNetwork]) -> None:
        self._firsts: defaultdict[int, list[int]] = defaultdict(list)
        self._lasts: defaultdict[int, list[int]] = defaultdict(list)
        spans = sorted(
            (each.version, int(each.network_address), int(each.broadcast_address))
            for each in prefixes
        )
        for version, first, last in spans:
            lasts = self._lasts[version]
            if lasts and last <= lasts[-1]:
                continue  # prefixes share all addresses of one of them, or none
            self._firsts[version].append(first)
            lasts.append(last)

    def __contains__(self, span: tuple[int, int, int] | None) -> bool:
        if span is None:
            return False
        version, first, last = span
        at = bisect_right(self._firsts[version], last)
        return at > 0 and self._lasts[version][at - 1] >= first


def _of(reply: netlink.Reply, foreign: dict[int, str]) -> Iterator[HostRoute]:
    report = route.of(reply)
    if report is None or report.table == world.LOCAL_TABLE:
        return
    if report.kind in _ENDS:
        yield HostRoute(prefix=report.destination, is_direct=False)
    elif report.kind == route.UNICAST:
        for hop in route.hops(reply):
            if hop.index in foreign:
                name = foreign[hop.index] if hop.is_direct else ""
                yield HostRoute(prefix=report.destination, is_direct=hop.is_direct, link=name)


def _is_everywhere(prefix: network.IPNetwork) -> bool:
    """Link-local and multicast prefixes are on every link and belong to nobody.

    A half of all addresses is how VPN programs write a default route.
    """
    return prefix.prefixlen <= 1 or prefix.is_link_local or prefix.is_multicast
