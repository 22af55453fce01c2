"""The host's one table `inet sdd` as a value: one fence per bridge network.

What the rules are is `netns.ruleset`'s business; here is only what they depend on.
"""

from dataclasses import dataclass
from enum import StrEnum

from sdd.model.network import IPAddress, IPNetwork
from sdd.model.port import Protocol


class Way(StrEnum):
    """Who may come in from other links, for one IP version of a network."""

    PUBLISHED = "published"  # only to ports that were published
    ROUTED = "routed"  # also ping, and published ports at their own address
    OPEN = "open"  # to every port


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One subnet of a network. `masked`: what leaves gets the host's address, or `source`."""

    subnet: IPNetwork
    way: Way = Way.PUBLISHED
    masked: bool = True
    source: IPAddress | None = None


@dataclass(frozen=True, slots=True)
class Opening:
    """One port of one sandbox that packets may be sent to from elsewhere."""

    address: IPAddress
    protocol: Protocol
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fence:
    """What may cross the border of one network, and whether its sandboxes may talk (`is_social`).

    Nothing crosses the border of an internal one. Packets from `trusted` links may always enter,
    and those to `openings`.
    """

    device: str
    sides: frozenset[Side] = frozenset()
    internal: bool = False
    is_social: bool = True
    trusted: frozenset[str] = frozenset()
    openings: frozenset[Opening] = frozenset()


@dataclass(frozen=True, slots=True)
class Table:
    """All fences of this host; none means that no table is wanted.

    `guarded` are the IP versions that the host forwards only because we told it to: packets that
    neither come from nor go to our networks are stopped then, as if it did not.
    """

    fences: frozenset[Fence] = frozenset()
    guarded: frozenset[int] = frozenset()


OPEN = Table()
