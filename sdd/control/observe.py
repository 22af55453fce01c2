"""What the commands must know of the world before they decide; netns.kernel knows it.

In: paths and process ids from callers. Out: facts. Deciding and error sentences stay with the
commands: an observer reports absence as a value.
"""

from collections.abc import Collection, Mapping
from typing import Protocol

from sdd.model import network, port
from sdd.model.host_link import HostLink
from sdd.model.host_route import HostRoute


class Facts(Protocol):
    """What a namespace file is. `inode` 0 means: nothing there, or no namespace file."""

    @property
    def inode(self) -> int:
        """The namespace's own inode number."""
        ...

    @property
    def ifnames(self) -> Collection[str]:
        """The names of the links in it, loopback included."""
        ...

    @property
    def has_ipv6(self) -> bool:
        """Whether a link that comes there may have IPv6 addresses."""
        ...


class Observe(Protocol):
    """Read only, asked once per command; blocking work belongs into a thread."""

    async def host_prefixes(self, near: Collection[network.IPNetwork]) -> tuple[HostRoute, ...]:
        """The routes of this node that share addresses with one of `near` and are not ours.

        Without those to everywhere.
        """
        ...

    async def busy_ports(self) -> frozenset[tuple[port.Protocol, int]]:
        """The ports of this node that some socket is bound to."""
        ...

    async def strangers(
        self, link: str, asked: Collection[network.IPAddress]
    ) -> Mapping[network.IPAddress, str]:
        """Of each address who on the wire of this node's link has it, in words; empty: nobody.

        Without a link, whether this node has it.
        """
        ...

    async def links(self, names: Collection[str]) -> Mapping[str, HostLink | None]:
        """What this node's links of these names are; None for one that is not there."""
        ...

    async def namespace(self, path: str) -> Facts:
        """The facts about the namespace file at `path`; never raises for a bad path."""
        ...

    async def inodes(self, paths: Collection[str]) -> Mapping[str, int]:
        """The inode of each namespace file, 0 for what is none."""
        ...

    async def homonym(self, name: str) -> str:
        """The path of somebody else's namespace `name` where `ip netns` looks; empty: none."""
        ...
