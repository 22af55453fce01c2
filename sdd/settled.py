"""What an earlier process of this daemon had realised in the very same kernel.

In: the outcomes of backends, and what this life of the kernel is called. Out: whether all that a
first pass finds otherwise was changed by hands while no daemon ran. A file below the exec root says
how far each backend was; where anything else may be the reason (a reboot, another release, another
balancer, a namespace that is gone, a revision of which something had failed, time that has come),
it says nothing.
"""

import contextlib
import json
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from sdd import plain
from sdd.linux import namespaces
from sdd.model import ids
from sdd.model.progress import Backend, Outcome

FILE = "settled"
MOST_BYTES = 1024 * 64  # ours has hundreds
BOOT = Path("/proc/sys/kernel/random/boot_id")
HOST = Path("/proc/self/ns/net")

_UNREADABLE = (
    OSError,
    ValueError,
    OverflowError,
    LookupError,
    TypeError,
    AttributeError,
    RecursionError,
)


class Mark(NamedTuple):
    """A backend had realised all of `revision`, which wants nothing else before `due`."""

    revision: int
    due: float  # seconds since the epoch, maybe never


class Settled:
    """`life` is whatever must be the same for the marks of an earlier process to be believed.

    And each of `spaces`, files of namespaces, must be there.
    """

    def __init__(
        self,
        folder: Path,
        life: tuple[str, ...],
        spaces: Iterable[str] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._path = folder / FILE
        self._life = list(life)
        self._clock = clock
        self._before = self._read() if all(map(namespaces.inode, spaces)) else {}
        self._marks = dict(self._before)

    def was_realised(self, backend: Backend, revision: ids.Revision) -> bool:
        """Whether an earlier process left nothing to do, and nothing was to be done since."""
        mark = self._before.get(backend)
        return mark is not None and mark.revision == revision and self._clock() < mark.due

    def note(self, backend: Backend, outcome: Outcome) -> None:
        """A pass ended; what cannot be written is not believed later."""
        before = self._marks.pop(backend, None)
        if not outcome.failures:
            self._marks[backend] = Mark(outcome.revision, self._clock() + outcome.again_s)
        if before != self._marks.get(backend):
            try:
                self._write()
            except OSError:  # a full disk: the older marks are not to be believed either
                with contextlib.suppress(OSError):
                    self._path.unlink(missing_ok=True)

    def _write(self) -> None:
        text = json.dumps({"life": self._life, "backends": self._marks})
        plain.replace(self._path, text.encode())

    def _read(self) -> Mapping[Backend, Mark]:
        try:
            found = json.loads(plain.read(self._path, MOST_BYTES))
            if found["life"] != self._life:
                return {}
            return {
                Backend(each): Mark(int(revision), float(due))
                for each, (revision, due) in found["backends"].items()
            }
        except _UNREADABLE:
            return {}  # there is none, or nobody of us wrote it


def life(*words: str) -> tuple[str, ...]:
    """The names of this boot and of this host's namespace, and `words` of the caller."""
    with contextlib.suppress(OSError):
        return (BOOT.read_text().strip(), str(HOST.stat().st_ino), *words)
    # Nobody can tell: no other process has this name, and none will.
    return (str(time.time_ns()), *words)
