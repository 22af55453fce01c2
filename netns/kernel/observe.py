"""What the commands ask about the world before they decide.

In: paths and process ids. Out: facts; absence is a value, nothing is raised for a path that leads
nowhere.
"""

import contextlib
import socket
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from netns.kernel import host_routes, names, read, strangers, sysctl
from sdd import errors
from sdd.linux import lookups, namespaces
from sdd.model import network
from sdd.model.host_link import HostLink
from sdd.model.host_route import HostRoute
from sdd.model.port import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """About one namespace file; `inode` 0 means that there is none."""

    inode: int = 0
    ifnames: Collection[str] = ()
    has_ipv6: bool = True


class Observer:
    """Reads through the threads of `doors`."""

    def __init__(self, doors: namespaces.Namespaces, made: names.Names) -> None:
        self._doors = doors
        self._names = made

    async def host_prefixes(self, near: Collection[network.IPNetwork]) -> tuple[HostRoute, ...]:
        """The routes of the host into `near` that do not lead over our links, sorted."""
        return await self._doors.run("", lambda: host_routes.read(near))

    async def busy_ports(self) -> frozenset[tuple[Protocol, int]]:
        """The ports of the host that some TCP or UDP socket is bound to."""
        return await self._doors.run("", lambda: frozenset(_busy_ports()))

    async def strangers(
        self, link: str, asked: Collection[network.IPAddress]
    ) -> Mapping[network.IPAddress, str]:
        """Of each address who on the wire of the host's link has it; empty: nobody answered."""
        return await strangers.ask(self._doors, link, asked)

    async def links(self, asked: Collection[str]) -> Mapping[str, HostLink | None]:
        """What the host's links of these names are; None for one that is not there."""
        return await self._doors.run("", lambda: read.host_links(asked))

    async def namespace(self, path: str) -> Facts:
        """The inode, the link names and the switch of IPv6 at `path`.

        Raises `errors.Unavailable` when nobody can tell where it leads.
        """
        if not path:
            return Facts()
        try:
            return await self._doors.run(path, lambda: _facts(path))
        except lookups.Hangs:
            raise
        except errors.SddError:
            return Facts()

    async def inodes(self, paths: Collection[str]) -> Mapping[str, int]:
        """The inode of each namespace file, 0 for what is none; not of those that hang."""
        lookups.ALL.begin(paths)
        found = {}
        for path in paths:
            with contextlib.suppress(lookups.Hangs):
                found[path] = await namespaces.wait_inode(path)
        return found

    async def homonym(self, name: str) -> str:
        """The path of somebody else's namespace `name` where `ip netns` looks; empty: none."""
        return await self._doors.run("", lambda: self._names.homonym(name))


def _facts(path: str) -> Facts:
    """Of the namespace that the calling thread is in."""
    return Facts(
        inode=namespaces.inode(path),
        ifnames=frozenset(name for _, name in socket.if_nameindex()),
        has_ipv6=sysctl.read(_IPV6_OFF) == "0",
    )


def has_ipv6() -> bool:
    """Whether this kernel knows IPv6 at all."""
    return Path("/proc/sys/net/ipv6").is_dir()


def _busy_ports() -> Iterator[tuple[Protocol, int]]:
    """From /proc/net/tcp and its like: the second column is ADDRESS:PORT in hexadecimal."""
    for name, protocol in _TABLES.items():
        with contextlib.suppress(FileNotFoundError):  # no IPv6 in this kernel
            for line in (_NET / name).read_text().splitlines()[1:]:
                yield protocol, int(line.split()[1].rpartition(":")[2], 16)


_NET = Path("/proc/thread-self/net")
_IPV6_OFF = sysctl.ROOT / "ipv6/conf/default/disable_ipv6"  # what a new link begins with
_TABLES = {
    "tcp": Protocol.TCP,
    "tcp6": Protocol.TCP,
    "udp": Protocol.UDP,
    "udp6": Protocol.UDP,
}
