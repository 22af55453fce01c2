"""The host's one table `inet sdd` as a value: one fence per bridge network.

What the rules are is `netns.ruleset`'s business; here is only what they depend on.
"""

from dataclasses import dataclass

from sdd.model.network import IPNetwork


@dataclass(frozen=True, slots=True, kw_only=True)
class Fence:
    """What may cross the border of one network. `subnets` are masqueraded unless internal."""

    device: str
    subnets: frozenset[IPNetwork] = frozenset()
    internal: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """All fences of this host; none means that no table is wanted."""

    fences: frozenset[Fence] = frozenset()


OPEN = Table()
