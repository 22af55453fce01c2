"""The sockets that the worker serves sandboxes on, held here as well: they outlive it.

In: what was opened and handed over. Out: the same for the worker that comes after. What programs
ask meanwhile waits in the sockets' queues. An open socket keeps its namespace, so whatever is of no
use any more is closed at once.
"""

import resource
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Final

from resolver.space import opener
from sdd.linux import high
from sdd.model import ids

SHARE: Final = 2  # one in so many descriptors of ours may be held so; the worker has its own


class Kept:
    """By sandbox. Without room for more a sandbox has new sockets after a worker's death."""

    def __init__(self) -> None:
        self._all: dict[ids.SandboxId, opener.Opened] = {}
        self._count = 0
        self._left: dict[int, opener.Opened] = {}

    def keep(self, box: ids.SandboxId, opened: opener.Opened) -> None:
        """Hold `opened`, which was handed over and is ours now, instead of what was held."""
        self.drop(box)
        if self._count + len(opened.links) > resource.getrlimit(resource.RLIMIT_NOFILE)[0] // SHARE:
            opened.close()
            return
        try:
            links = high.all_moved(opened.links)
        except OSError:  # no room, or no high numbers at all
            return
        self._all[box] = replace(opened, links=links)
        self._count += len(links)

    def of(self, box: ids.SandboxId) -> opener.Opened | None:
        """What is held for `box`; not for the caller to close."""
        return self._all.get(box)

    def sound(self, box: ids.SandboxId) -> opener.Opened | None:
        """As `of`, if a worker that died left it as it was; otherwise it is dropped."""
        held = self._all.get(box)
        if held is not None and not opener.is_sound(held):
            self.drop(box)
            return None
        return held

    def is_spoilt(self, box: ids.SandboxId) -> bool:
        """Whether nobody can be served any more on what is held for `box`."""
        held = self._all.get(box)
        return held is not None and not opener.is_sound(held)

    def drop(self, box: ids.SandboxId) -> None:
        """Close what is held for `box`, if anything."""
        if opened := self._all.pop(box, None):
            self._count -= len(opened.links)
            opened.close()

    def only(self, staying: Collection[ids.SandboxId]) -> None:
        """Close what is held for any other."""
        for box in self._all.keys() - staying:
            self.drop(box)

    def inherit(self, found: Mapping[int, opener.Opened]) -> None:
        """Hold for a while, by namespaces, what a worker had that nobody here knows."""
        self.disinherit()
        self._left = dict(found)

    def inherited(self, inode: int) -> opener.Opened | None:
        """What was left in the namespace, for the caller to close."""
        left = self._left.pop(inode, None)
        if left is not None and not opener.is_sound(left):
            left.close()
            return None
        return left

    def disinherit(self) -> None:
        """Close what nobody took."""
        for each in self._left.values():
            each.close()
        self._left = {}
