"""Which namespace files the kernel's numbers mean.

In: numbers out of notifications. Out: paths. The kernel is asked once per namespace; a number is
forgotten when it is taken back, a path when it leads to another namespace. Of a namespace without
a number nothing is heard: a veth pair brings one, macvlan and ipvlan links do not, so it is given.
"""

import contextlib
import os
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass

from netns.netlink import number
from sdd.linux import lookups, namespaces, netlink


@dataclass(frozen=True, slots=True)
class _Known:
    inode: int
    number: int


class Numbers:
    """Blocking; runs in the host's namespace. `paths` are the namespaces that matter now."""

    def __init__(self, paths: Callable[[], Iterable[str]]) -> None:
        self._paths = paths
        self._known: dict[str, _Known] = {}

    def paths(self, heard: frozenset[int], ended: frozenset[int]) -> frozenset[str]:
        """The namespaces with the numbers `heard` or `ended`; a stranger's number means none."""
        had = {path for path, known in self._known.items() if known.number in heard | ended}
        self._known = {
            path: known for path, known in self._known.items() if known.number not in ended
        }
        if not heard <= {known.number for known in self._known.values()}:
            self._learn()
        return frozenset(
            had | {path for path, known in self._known.items() if known.number in heard}
        )

    def forget(self) -> None:
        """Numbers may have been taken back unheard."""
        self._known = {}

    def _learn(self) -> None:
        inodes = {path: self._inode(path) for path in self._paths()}
        kept = {
            path: known for path, known in self._known.items() if inodes.get(path) == known.inode
        }
        asked = [path for path, inode in inodes.items() if inode and path not in kept]
        new = {path: _Known(inodes[path], which) for path, which in _numbers(asked)}
        self._known = kept | new

    def _inode(self, path: str) -> int:
        """Where a path hangs, it leads where it led as far as anybody knows."""
        try:
            return namespaces.inode(path)
        except lookups.Hangs:
            known = self._known.get(path)
            return known.inode if known else 0


def give(paths: Collection[str]) -> None:
    """Each namespace has a number in the calling thread's, and so its changes are news there."""
    if not paths:
        return
    with netlink.Connection(netlink.ROUTE) as connection:
        for path in paths:
            with contextlib.suppress(lookups.Hangs):
                _asked(connection, path, number.give)


def _numbers(paths: Iterable[str]) -> Iterator[tuple[str, int]]:
    """Each path that has a number, with it."""
    with netlink.Connection(netlink.ROUTE) as connection:
        for path in paths:
            with contextlib.suppress(lookups.Hangs):
                if (which := of(connection, path)) != number.NONE:
                    yield path, which


def of(connection: netlink.Connection, path: str) -> int:
    """The number of the namespace at `path`; `number.NONE` when it has none.

    Raises `lookups.Hangs` when nobody can tell.
    """
    result = _asked(connection, path, number.of_namespace)
    return number.of(result.replies[0].body) if result.replies else number.NONE


def _asked(
    connection: netlink.Connection, path: str, question: Callable[[int], netlink.Message]
) -> netlink.Result:
    """What the kernel says of the namespace at `path`; nothing when it ended since."""
    try:
        descriptor = namespaces.descriptor(path)
    except OSError:
        return netlink.Result()
    try:
        (result,) = connection.request((question(descriptor),))
    finally:
        os.close(descriptor)
    return result
