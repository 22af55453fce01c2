"""The sockets that the worker has of sandboxes, held here as well: they outlive it.

In: what was opened and handed over. Out: the same for the worker that comes after. What programs
ask meanwhile waits in the listeners' queues. An open socket keeps its namespace, so whatever is of
no use any more is closed at once.
"""

import resource
import socket
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Final

from resolver import protocol
from resolver.space import opener, outward
from sdd.linux import high
from sdd.model import ids

SHARE: Final = 2  # one in so many descriptors of ours may be held so; the worker has its own


@dataclass(frozen=True, slots=True)
class Found:
    """What a worker has of one sandbox."""

    opened: opener.Opened
    lots: tuple[outward.Lot, ...] = ()

    @property
    def links(self) -> tuple[socket.socket, ...]:
        """All sockets."""
        return (*self.opened.links, *(link for each in self.lots for link in each.links))

    def close(self) -> None:
        """Release our descriptors."""
        self.opened.close()
        for each in self.lots:
            each.close()


class Kept:
    """By sandbox. Without room for more a sandbox has new sockets after a worker's death."""

    def __init__(self) -> None:
        self._all: dict[ids.SandboxId, opener.Opened] = {}
        self._lots: dict[tuple[ids.SandboxId, protocol.Family], outward.Lot] = {}
        self._count = 0
        self._left: dict[int, opener.Opened] = {}
        self._left_lots: dict[tuple[int, protocol.Family], outward.Lot] = {}

    def keep(self, box: ids.SandboxId, opened: opener.Opened) -> None:
        """Hold `opened`, which was handed over and is ours now, instead of what was held."""
        self.drop_listeners(box)
        if self._has_room(opened):
            try:
                links = high.all_moved(opened.links)
            except OSError:  # no room, or no high numbers at all
                return
            self._all[box] = replace(opened, links=links)
            self._count += len(links)

    def keep_lot(self, box: ids.SandboxId, lot: outward.Lot) -> None:
        """As `keep`, of the sockets of one family towards upstreams."""
        self._drop_lot(box, lot.family)
        if lot.links and self._has_room(lot):
            try:
                links = high.all_moved(lot.links)
            except OSError:
                return
            self._lots[box, lot.family] = replace(lot, links=links)
            self._count += len(links)

    def of(self, box: ids.SandboxId) -> opener.Opened | None:
        """The listeners that are held for `box`; not for the caller to close."""
        return self._all.get(box)

    def lots(
        self, box: ids.SandboxId, families: Collection[protocol.Family]
    ) -> tuple[outward.Lot, ...]:
        """What is held beside them of these families; not for the caller to close."""
        every = (self._lots.get((box, each)) for each in sorted(families))
        return tuple(each for each in every if each)

    def sound(self, box: ids.SandboxId) -> opener.Opened | None:
        """As `of`, if a worker that died left it as it was; otherwise it is dropped."""
        held = self._all.get(box)
        if held is not None and not opener.is_sound(held):
            self.drop_listeners(box)
            return None
        return held

    def is_spoilt(self, box: ids.SandboxId) -> bool:
        """Whether nobody can be served any more on what is held for `box`."""
        held = self._all.get(box)
        return held is not None and not opener.is_sound(held)

    def drop(self, box: ids.SandboxId) -> None:
        """Close what is held for `box`, if anything."""
        self.drop_listeners(box)
        for family in protocol.Family:
            self._drop_lot(box, family)

    def drop_listeners(self, box: ids.SandboxId) -> None:
        """Close those."""
        if opened := self._all.pop(box, None):
            self._count -= len(opened.links)
            opened.close()

    def only(self, staying: Collection[ids.SandboxId]) -> None:
        """Close what is held for any other."""
        for box in {*self._all, *(box for box, _ in self._lots)}.difference(staying):
            self.drop(box)

    def inherit(self, found: Iterable[Found]) -> None:
        """Hold for a while, by namespaces, what a worker had that nobody here knows."""
        self.disinherit()
        for each in found:
            inode = each.opened.listening.inode
            self._left[inode] = each.opened
            self._left_lots |= {(inode, lot.family): lot for lot in each.lots}

    def inherited(self, inode: int) -> opener.Opened | None:
        """What was left in the namespace, for the caller to close."""
        left = self._left.pop(inode, None)
        if left is not None and not opener.is_sound(left):
            left.close()
            return None
        return left

    def inherited_lot(self, inode: int, family: protocol.Family) -> outward.Lot | None:
        """As `inherited`, of the sockets of one family towards upstreams."""
        return self._left_lots.pop((inode, family), None)

    def disinherit(self) -> None:
        """Close what nobody took."""
        for left in self._left.values():
            left.close()
        for lot in self._left_lots.values():
            lot.close()
        self._left, self._left_lots = {}, {}

    def _drop_lot(self, box: ids.SandboxId, family: protocol.Family) -> None:
        if lot := self._lots.pop((box, family), None):
            self._count -= len(lot.links)
            lot.close()

    def _has_room(self, more: opener.Opened | outward.Lot) -> bool:
        """Whether `more` may be held as well; it is closed if not."""
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[0] // SHARE
        if self._count + len(more.links) <= most:
            return True
        more.close()
        return False
