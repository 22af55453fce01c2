"""What was seen to be right in our tables, and so need not be compared again.

Hands keep comments, and `nft replace rule` keeps even a rule's number (Linux 6.18), so only what
rules do tells whether they are ours (`nft_prints`), and to list all elements of their maps takes
milliseconds in each sandbox. But every transaction of anyone counts up a namespace's generation:
what was right is right as long as that is the same, or only ours came since. Where others wrote,
rules that look in the same way into the same sets are as they were: an anonymous set or map cannot
be changed once a rule looks into it, and another one has another number.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from lb.kernel import nft_netlink
from sdd.linux import namespaces, netlink

_MOST_KNOWN = 4096


class Moment(NamedTuple):
    """The inode of a namespace, the generation of its tables."""

    inode: int
    generation: int


class _Right(NamedTuple):
    """When all was right, and how it looked (`nft_prints.outside`), if that is known."""

    at: Moment
    look: bytes


def now(connection: netlink.Connection, netns: str) -> Moment:
    """What the namespace of `connection`, called `netns`, is at."""
    return Moment(namespaces.inode(netns), nft_netlink.generation(connection))


@dataclass(slots=True)
class Written:
    """`is_whole`: the table is nothing but what was written."""

    is_whole: bool = False


class Trust:
    """By namespaces; from any thread."""

    def __init__(self) -> None:
        self._right: dict[str, _Right] = {}

    def is_right(self, netns: str, at: Moment) -> bool:
        """Whether all was right then, elements of sets with names as well."""
        right = self._right.get(netns)
        return right is not None and right.at == at

    def has_look(self, netns: str) -> bool:
        """Whether it is known how it looks."""
        right = self._right.get(netns)
        return right is not None and right.look != b""

    def looked_so(self, netns: str, at: Moment, look: bytes) -> bool:
        """Whether rules that look so were right in that namespace."""
        right = self._right.get(netns)
        return right is not None and right.at.inode == at.inode and right.look == look

    def saw(self, netns: str, at: Moment, look: bytes) -> None:
        """All is right."""
        if len(self._right) > _MOST_KNOWN:
            self._right.clear()
        self._right[netns] = _Right(at, look)

    @contextlib.contextmanager
    def writing(self, connection: netlink.Connection, netns: str) -> Iterator[Written]:
        """One transaction of ours or none is made inside; say what became of it.

        What was right before it is so after it, unless somebody else wrote meanwhile.
        """
        right, before, written = self._right.get(netns), now(connection, netns), Written()
        yield written
        was_right = right is not None and right.at == before
        if was_right or written.is_whole:
            after = now(connection, netns)
            if after == before._replace(generation=before.generation + 1):
                self.saw(netns, after, b"")
