"""The shape all our balancing tables share: named chains whose rules carry numbered comments.

The comments tell what a chain is, so that reading them is enough to know what should be there. They
do not prove it: hands replace a rule and keep its comment, and even its number stays the same. What
rules do is compared where somebody may have written (`nft_trust`, `nft_prints`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

TABLE = "sdd-lb"
REMOVE = f"add table inet {TABLE}\ndelete table inet {TABLE}"  # adding first: it may be absent
REJECT = (
    "meta l4proto tcp reject with tcp reset",
    "meta l4proto { icmp, icmpv6 } reject with icmpx type host-unreachable",
    "reject with icmpx type port-unreachable",
)


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain all virtual services share; `hook` is (type, hook, priority) or None.

    `version` counts up when `rules` change, so that a new release writes its own.
    """

    name: str
    hook: tuple[str, str, int] | None
    rules: tuple[str, ...]
    version: int = 1

    @property
    def comments(self) -> tuple[str, ...]:
        """What the rules' comments must be, in order."""
        count = len(self.rules)
        return tuple(f"sdd {self.name} {self.version} {at}/{count}" for at in range(1, count + 1))

    def __str__(self) -> str:
        lines = [f"chain {self.name} {{"]
        if self.hook is not None:
            kind, hook, priority = self.hook
            lines.append(f"type {kind} hook {hook} priority {priority}; policy accept;")
        pairs = zip(self.rules, self.comments, strict=True)
        lines.extend(f'{rule} comment "{comment}"' for rule, comment in pairs)
        return "\n".join((*lines, "}"))


def frame(sets: Sequence[str], chains: Sequence[Chain], name: str = TABLE) -> str:
    """The table with its empty sets and maps and its shared chains."""
    return "\n".join((f"table inet {name} {{", *sets, *map(str, chains), "}"))
