"""The way to a file: each folder on it with the name that is looked up there, through all symlinks.

In: a path. Out: folders and names, as text.
"""

import os
from collections import deque
from collections.abc import Iterator

MOST_LINKS = 8


def names(file: str) -> Iterator[tuple[str, str]]:
    """Folder and name of all that `file` depends on: each part of its path, and of its links.

    Ends at the first that is not there: when that appears, there is more to watch.
    """
    at, left, links = "/", deque(_parts(file)), 0
    while left:
        name = left.popleft()
        if name == "..":
            at = os.path.dirname(at)
            continue
        yield at, name
        here = os.path.join(at, name)
        try:
            target = os.readlink(here)
        except OSError:  # no link, or nothing
            if not os.path.exists(here):
                return
            at = here
            continue
        links += 1
        if links > MOST_LINKS:
            return
        at = "/" if target.startswith("/") else at
        left.extendleft(reversed(_parts(target)))


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]
