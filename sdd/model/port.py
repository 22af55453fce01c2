"""A published port: a number of this node that leads into a sandbox or to a service's backends."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address

FIRST, LAST = 1, 65535
# Where a number is looked for when none is asked: below what the kernel gives to outgoing
# connections (ip_local_port_range), as Docker does for services.
AUTO_FIRST, AUTO_LAST = 30000, 32767


class Protocol(StrEnum):
    """What has ports."""

    TCP = "tcp"
    UDP = "udp"
    SCTP = "sctp"


class Mode(StrEnum):
    """Which backends of a service are behind the port: this node's, or all of them."""

    HOST = "host"
    INGRESS = "ingress"


class Policy(StrEnum):
    """Whose address the backend sees, and where it may be.

    PRESERVE keeps the client's address; SNAT shows the node's; LOCAL keeps it, and takes only
    backends of the node that was asked.
    """

    PRESERVE = "preserve"
    SNAT = "snat"
    LOCAL = "local"


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """`published` on the node leads to `target` behind it; both are 1..65535.

    `published` 0: `target` is open at the address behind it alone, for those who have a route
    (gateway mode routed); no number of the node leads there.

    `address` None means every address of the node, an unspecified one (0.0.0.0, ::) every address
    of that IP version.
    """

    published: int
    target: int
    protocol: Protocol = Protocol.TCP
    mode: Mode = Mode.HOST
    policy: Policy = Policy.PRESERVE
    address: IPv4Address | IPv6Address | None = None

    def __str__(self) -> str:
        return f"{self.published or self.target}/{self.protocol}"

    @property
    def is_ingress(self) -> bool:
        """Whether it leads through the ingress sandbox, to members wherever they are."""
        return self.mode is Mode.INGRESS and self.policy is not Policy.LOCAL

    @property
    def is_wide(self) -> bool:
        """Whether it is for every address of the node, of one IP version or both."""
        return self.address is None or self.address.is_unspecified

    @property
    def is_on_loopback(self) -> bool:
        """Whether programs of the node itself get it at 127.0.0.1.

        Docker's users expect it of mode host; what every node opens is there only if asked for.
        """
        if self.is_wide:
            return self.mode is Mode.HOST
        return self.address is not None and self.address.is_loopback

    def is_beside(self, other: "Port") -> bool:
        """Whether one of them asks for 127.0.0.1 and the other for the rest of the same port."""
        if Mode.HOST in (self.mode, other.mode) or self.is_wide is other.is_wide:
            return False
        narrow = other if self.is_wide else self
        way = (self.published, self.protocol, self.target)
        return narrow.is_on_loopback and way == (other.published, other.protocol, other.target)


def overlap(one: IPv4Address | IPv6Address | None, other: IPv4Address | IPv6Address | None) -> bool:
    """Whether some packet goes to both."""
    return covers(one, other) or covers(other, one)


def covers(
    wide: IPv4Address | IPv6Address | None, narrow: IPv4Address | IPv6Address | None
) -> bool:
    """Whether every packet to `narrow` goes to `wide` as well."""
    if wide is None or wide == narrow:
        return True
    return narrow is not None and wide.is_unspecified and wide.version == narrow.version


def listed(ways: Iterable[tuple[str, int, int, Protocol]]) -> str:
    """(host, published, target, protocol) each → Docker's words, neighbours as one range."""
    runs: list[list[tuple[str, int, int, Protocol]]] = []
    for way in sorted(ways, key=lambda each: (each[0], each[3], each[1])):
        host, published, target, protocol = way
        if runs and published and runs[-1][-1] == (host, published - 1, target - 1, protocol):
            runs[-1].append(way)
        else:
            runs.append([way])
    return ", ".join(_run(each[0], each[-1]) for each in runs)


def _run(first: tuple[str, int, int, Protocol], last: tuple[str, int, int, Protocol]) -> str:
    host, published, target, protocol = first
    if not published:
        return f"{target}/{protocol}"
    return f"{host}:{_range(published, last[1])}->{_range(target, last[2])}/{protocol}"


def _range(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"
