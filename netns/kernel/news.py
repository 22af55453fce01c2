"""Netlink notifications → what they are about: links of the host, numbers of namespaces.

In: datagrams with the number of the namespace that they come from. Out: `News`, gathered until
somebody takes it. Pure: sockets are the business of `events`, namespaces that of `numbers`.
"""

import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from netns.kernel import marks
from netns.netlink import address, link, number, route
from sdd.linux import netlink, netlink_own

_LINKS = frozenset({link.NEW, link.DELETE})
_ADDRESSES = frozenset({address.NEW, address.DELETE})
_INDEX = struct.Struct("=4xi")  # where struct ifinfomsg and struct ifaddrmsg have the index
_NAME = 3  # IFLA_IFNAME
_LINK_HEADER = 16
_BRIDGE = socket.AF_BRIDGE  # of ifi_family: a link that left its bridge is "deleted" there
_MOST_ROUTES = 256  # a router that replaces its thousands is none of ours; the resync sees the rest
_MAKERS = frozenset({route.KERNEL, marks.PROTOCOL})  # of the routes that we put back


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What was heard. `links` are those of the host, by each name that they had.

    `routes` are the destinations of routes of the host that somebody replaced: the kernel names the
    new one only. `numbers` are those of the namespaces where something happened, `ended` those that
    were taken back. `lost` says that there was more than could be heard.
    """

    host: bool = False
    links: frozenset[str] = frozenset()
    routes: frozenset[route.Network] = frozenset()
    numbers: frozenset[int] = frozenset()
    ended: frozenset[int] = frozenset()
    lost: bool = False


NOTHING = News()


class Gathering:
    """The news since the last `take`; `names` are the host's links at the start, by index."""

    def __init__(self, names: Mapping[int, str]) -> None:
        self._names = dict(names)
        self._clear()

    def _clear(self) -> None:
        self._host = self._lost = False
        self._links: set[str] = set()
        self._routes: set[route.Network] = set()
        self._numbers: set[int] = set()
        self._ended: set[int] = set()

    def take(self) -> News:
        """What was heard since the last call."""
        news = News(
            host=self._host,
            links=frozenset(self._links),
            routes=frozenset(self._routes),
            numbers=frozenset(self._numbers),
            ended=frozenset(self._ended),
            lost=self._lost,
        )
        self._clear()
        return news

    def lose(self) -> None:
        """The kernel had more to say than we could hear."""
        self._lost = True

    def route(self, datagram: bytes, origin: int) -> None:
        """Hear rtnetlink; `origin` is the namespace's number, `number.NONE` for the host."""
        for kind, flags, body in netlink_own.news(datagram):
            if kind in (number.NEW, number.DELETE):
                self._numbered(kind, number.of(body))
            elif origin != number.NONE:
                self._numbers.add(origin)
            else:
                self._on_host(kind, flags, body)

    def netfilter(self, datagram: bytes, origin: int) -> None:
        """Hear nf_tables; of the host's table it is enough to know that it may have changed."""
        for _ in netlink_own.news(datagram):
            if origin != number.NONE:
                self._numbers.add(origin)
            else:
                self._host = True

    def _numbered(self, kind: int, which: int) -> None:
        (self._ended if kind == number.DELETE else self._numbers).add(which)

    def _on_host(self, kind: int, flags: int, body: bytes) -> None:
        self._host = True
        if len(body) < _INDEX.size:
            return
        if kind == route.DELETE:
            index = route.link_of(body, _MAKERS)
        elif kind in _LINKS | _ADDRESSES:
            (index,) = _INDEX.unpack_from(body)
        else:
            if kind == route.NEW and flags & netlink.REPLACE and len(self._routes) < _MOST_ROUTES:
                self._routes |= {*route.destinations(body)}
            return
        self._links |= {self._names[index]} if index in self._names else set()
        if kind not in _LINKS:
            return
        name = netlink.to_text(netlink.attributes(body[_LINK_HEADER:]).get(_NAME, b""))
        self._links.add(name)  # a link that was renamed is two: the old name lacks it now
        if kind == link.NEW:
            self._names[index] = name
        elif body[0] != _BRIDGE:
            self._names.pop(index, None)
