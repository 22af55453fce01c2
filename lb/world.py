"""What the reconciler asks of a kernel that balances; the fake and the real ones pass one suite."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from lb import plan, table
from sdd.model.network import IPAddress


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One step the kernel did not take; `vip` None concerns the whole namespace."""

    vip: IPAddress | None
    sentence: str
    hint: str = ""
    code: str = "SDD-LB-KERNEL"


class Kernel(Protocol):
    """Reads and changes the tables of namespaces; knows no state, no service id, no time."""

    async def inode(self, netns: str) -> int:
        """The number that identifies the namespace at this path now; 0 while there is none."""
        ...

    async def read(
        self, place: table.Place, only: Collection[IPAddress] | None = None
    ) -> table.Table:
        """What is there, flaws included: everything, or the virtual addresses in `only`.

        Raises `errors.NotFound` when there is no such namespace.
        """
        ...

    async def apply(
        self, place: table.Place, have: table.Table, steps: Sequence[plan.Step]
    ) -> tuple[Refusal, ...]:
        """Take `steps` from `have`; whatever one step meets, the others are taken all the same.

        Raises `errors.NotFound` when there is no such namespace.
        """
        ...
