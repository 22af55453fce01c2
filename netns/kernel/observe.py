"""What the commands ask about the world before they decide.

In: paths and process ids. Out: facts; absence is a value, nothing is raised for a bad path.
"""

from collections.abc import Collection
from dataclasses import dataclass

from netns.kernel import read
from sdd import errors
from sdd.linux import namespaces
from sdd.model import network


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """About one namespace file; `inode` 0 means that there is none."""

    inode: int = 0
    ifnames: Collection[str] = ()


class Observer:
    """Reads through the threads of `doors`."""

    def __init__(self, doors: namespaces.Namespaces) -> None:
        self._doors = doors

    async def host_prefixes(self) -> tuple[network.IPNetwork, ...]:
        """The on-link routes of the host that do not belong to our links, sorted."""
        return await self._doors.run("", _host_prefixes)

    async def namespace(self, path: str) -> Facts:
        """The inode and the link names at `path`."""
        if not path:
            return Facts()
        try:
            names = await self._doors.interfaces(path)
        except errors.SddError:
            return Facts()
        return Facts(inode=namespaces.inode(path), ifnames=frozenset(names))

    def pid_namespace(self, pid: int) -> str:
        """The path of the process's namespace file, whether or not the process exists."""
        return f"/proc/{pid}/ns/net"


def _host_prefixes() -> tuple[network.IPNetwork, ...]:
    host = read.space(0)
    found = {
        route.destination
        for route in host.routes
        if route.gateway is None and not host.links[route.link].mark
    }
    usable = {each for each in found if each.prefixlen and not _is_everywhere(each)}
    return tuple(sorted(usable, key=lambda each: (each.version, each)))


def _is_everywhere(prefix: network.IPNetwork) -> bool:
    """Link-local and multicast prefixes are on every link and belong to nobody."""
    return prefix.is_link_local or prefix.is_multicast
