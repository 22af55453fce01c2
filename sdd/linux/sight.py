"""Whether namespaces are still where they were seen.

In: their files and inodes. Out: those that are lost. A file may stay when its mount goes (`umount`,
or a runtime that was killed before it removed the file). It proves that the namespace went only
where mounts can be seen: this process saw it there, or hears of the mounts that others make.
"""

import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from sdd.linux import lookups, namespaces

Place = tuple[str, int]  # path, inode of the namespace that should be there
_TABLE = Path("/proc/self/mountinfo")
_HEARING = ("shared:", "master:")  # proc(5): mounts that others make there arrive here
_ESCAPED = re.compile(r"\\([0-7]{3})")
_POINT, _FIRST_FIELD, _END = 4, 6, "-"  # words of a line


class Sight:
    """Remembers of what it was asked last which namespaces it has seen."""

    def __init__(self, table: Path = _TABLE) -> None:
        self._table = table
        self._seen: frozenset[Place] = frozenset()

    def places(self, paths: Collection[str]) -> frozenset[Place]:
        """The namespaces at `paths` now, which count as seen; blocking as `lost`."""
        lookups.ALL.begin(paths)
        there = frozenset((path, inode) for path in paths if (inode := _inode(path)))
        self._seen |= there
        return there

    def lost(self, places: Collection[Place]) -> frozenset[Place]:
        """Those whose path leads nowhere, to another namespace, or to a file without a mount.

        Blocking: what a path leads through may hang.
        """
        return frozenset(self._lost(places))

    def _lost(self, places: Collection[Place]) -> Iterator[Place]:
        seen = self._seen & frozenset(places)
        lookups.ALL.begin(path for path, _ in places)
        for place in places:
            path, wanted = place
            try:
                found = namespaces.inode_of(path)
            except (FileNotFoundError, NotADirectoryError, ProcessLookupError):
                yield place
                continue
            except (OSError, lookups.Hangs):
                continue  # nobody can tell
            if found == wanted:
                seen |= {place}
            elif found or place in seen or self._hears(path):
                yield place
        self._seen = seen

    def _hears(self, path: str) -> bool:
        return hears(self._table.read_text(), os.path.realpath(path))


def _inode(path: str) -> int:
    """As `namespaces.inode`; 0 also when nobody can tell."""
    try:
        return namespaces.inode(path)
    except lookups.Hangs:
        return 0


def hears(mountinfo: str, path: str) -> bool:
    """Whether mounts that others make on `path`, which has no links, are seen here."""
    deepest, fields = -1, ""
    for line in mountinfo.splitlines():
        words = line.split(" ")
        point = _ESCAPED.sub(lambda found: chr(int(found[1], 8)), words[_POINT])
        if Path(path).is_relative_to(point) and len(point) >= deepest:
            deepest, fields = len(point), " ".join(words[_FIRST_FIELD : words.index(_END)])
    return any(word in fields for word in _HEARING)
