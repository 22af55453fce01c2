"""What the reconciler asks of a kernel that publishes ports.

The fake and the real one pass one suite: tests/contract/ports_kernel.py.
"""

from collections.abc import Collection, Mapping
from typing import Protocol

from lb.ports.image import NONE, Element, Image
from lb.ports.table import Bind, Entry
from lb.ports.way import Way
from sdd.model.network import IPAddress


class Kernel(Protocol):
    """Holds sockets, writes rules, forgets connections, of the host's namespace."""

    async def hold(self, binds: Collection[Bind]) -> Mapping[Bind, str]:
        """Keeps every other program from these ports; says why for those it cannot get.

        Where another program has one, and that can be told, it is named. What is held already
        stays held.
        """
        ...

    async def release(self, binds: Collection[Bind]) -> None:
        """Anybody may have these ports again; what is not held is fine."""
        ...

    async def read(self, likely: Image = NONE) -> Image | None:
        """What is there; nothing when there is no table, None when ours is damaged.

        `likely` says what is in chains that are likely to be there.
        """
        ...

    async def write(
        self,
        gone: Collection[Element],
        come: Collection[Element],
        after: Collection[Element] | None,
    ) -> None:
        """Takes `gone` away and adds `come`, in one transaction.

        With `after` everything is written anew and is exactly that. Raises `errors.KernelRefused`.
        """
        ...

    async def forget(
        self,
        now: Collection[Entry],
        lost: Collection[IPAddress] = (),
        ended: Collection[Way] = (),
    ) -> None:
        """Ends the UDP flows to these ports whose backend is not one of those listed.

        And every connection that was led to one of the backends `lost`, which are no more, or by
        one of the ways `ended`.
        """
        ...

    async def busy(self, those: Collection[Way]) -> Collection[Way]:
        """Those of them by which somebody is connected; UDP flows never end and do not count."""
        ...

    async def open_loopback(self, on: Collection[str], off: Collection[str]) -> Collection[str]:
        """Lets packets from 127.0.0.1 out over the bridges `on` and not over `off`.

        Only links of ours are changed. Returns those of `on` that are not there.
        """
        ...
