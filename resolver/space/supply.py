"""What the worker is given for a sandbox: its listeners, and what it asks its own upstreams with.

In: whom it is for, and what the worker has towards upstreams. Out: the missing sockets opened and
handed over, those of no use any more taken back. What it has and needs is left as it is.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from resolver import protocol
from resolver.result import Result, of_part, total
from resolver.space import kept, opener, outward, taker
from sdd import errors
from sdd.linux import namespaces
from sdd.model import ids


class Whom(Protocol):
    """A sandbox, whose upstreams are of these families."""

    @property
    def box(self) -> ids.SandboxId:
        """Its id."""
        ...

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    @property
    def path(self) -> str:
        """Where its namespace is."""
        ...

    @property
    def families(self) -> frozenset[protocol.Family]:
        """Those of the servers that are asked from inside."""
        ...


class Given(NamedTuple):
    """What the worker has towards upstreams now, how many lots are others, and what is lacking."""

    reach: protocol.Reach
    changed: int
    result: Result


class Supply:
    """Opens through `doors`; what was handed over is held in `stock` as well."""

    def __init__(self, doors: namespaces.Namespaces, stock: kept.Kept) -> None:
        self._doors = doors
        self._stock = stock

    async def hand_over(
        self,
        whom: Whom,
        inode: int,
        have: taker.Have,
        worker: taker.Taker,
        opened: opener.Opened | None,
    ) -> Given:
        """`opened`, which stays the caller's, and what is to change of what it asks upstreams with.

        Closes what cannot be handed over. That somebody cannot ask upstreams, which is told, keeps
        him from nothing else.
        """
        wanted = outward.wanted(whom.families, inode)
        lots: list[outward.Lot] = []
        lacking: list[Result] = []
        try:
            for family in protocol.Family:
                if have.reach.get(family) != wanted.get(family):
                    try:
                        lots.append(await self._lot(whom, inode, family))
                    except errors.NotFound:
                        raise
                    except (errors.SddError, OSError) as exc:
                        lacking.append(of_part(whom.box, whom.name, opener.refused(exc)))
            if opened or lots:
                await worker.send(*handed(whom.box, opened, lots))
        except BaseException:
            for each in lots:
                each.close()
            if opened:
                opened.close()
            raise
        for lot in lots:
            self._stock.keep_lot(whom.box, lot)
        return Given(wanted, len(lots), total(lacking))

    async def _lot(self, whom: Whom, inode: int, family: protocol.Family) -> outward.Lot:
        """The sockets of that family that it is to have, which may be none."""
        if family not in whom.families:
            return outward.Lot(family, protocol.Outward(inode, 0, 0))
        if left := self._stock.inherited_lot(inode, family):
            return left
        work = functools.partial(outward.open_lot, family, inode)
        return await self._doors.run(whom.path, work)


def handed(
    box: ids.SandboxId, opened: opener.Opened | None, lots: Sequence[outward.Lot]
) -> Sequence[taker.Handed]:
    """The listeners first: where there is little room the sandbox has its own names."""
    listen = [(protocol.Listen(box, opened.listening), opened.links)] if opened else []
    lends = [(protocol.Lend(box, each.family, each.outward), each.links) for each in lots]
    return (*listen, *lends)
