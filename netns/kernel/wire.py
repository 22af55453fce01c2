"""One rtnetlink socket during one pass: collects messages, sends them in batches, knows indexes.

In: the messages of one step at a time. Out: refusals, per step. Names become interface indexes
here, because addresses, routes and masters are given by index.
"""

import errno
import os
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Self

from netns import contract, steps
from netns.kernel import removals
from sdd.linux import lookups, namespaces, netlink

Job = tuple[steps.Step, Sequence[netlink.Message], frozenset[int]]
NOTHING: frozenset[int] = frozenset()
EMPTY: Mapping[str, int] = MappingProxyType({})
_INDEXES = 1 << 20  # where we give indexes ourselves: far above those that the kernel counts up
# What a removal may be told: it is gone already, or went with something else.
ABSENT = frozenset({errno.ENODEV, errno.ENOENT, errno.ESRCH, errno.EADDRNOTAVAIL})


class Missing(Exception):
    """There is nothing of that name: link, namespace, or number of a link.

    `what` is the name of the link, or the path of the namespace.
    """

    def __init__(self, sentence: str, what: str = "") -> None:
        super().__init__(sentence)
        self.what = what


class Wire:
    """Bound to the namespace in which it was opened; used by one thread."""

    def __init__(self, known: Mapping[str, int] = EMPTY, met: Mapping[str, int] = EMPTY) -> None:
        """Open it. `known` are indexes of links here; `born` those of links made elsewhere.

        `met` says of paths which namespaces (inodes) are meant.
        """
        self._connection = netlink.Connection(netlink.ROUTE)
        self._newborn = known
        self._met = met
        self._indexes = dict(known)
        self._jobs: list[Job] = []
        self._descriptors: list[int] = []
        self.refusals: list[contract.Refusal] = []
        self.born: dict[str, dict[str, int]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._release()
        self._connection.close()

    def add(
        self,
        step: steps.Step,
        *messages: netlink.Message,
        tolerated: frozenset[int] = NOTHING,
    ) -> None:
        """Queues the messages of one step; they travel in one send."""
        self._jobs.append((step, messages, tolerated))

    def index(self, name: str) -> int:
        """The interface index of `name`; raises `Missing`. Sends what is queued first."""
        if name not in self._indexes:
            self.flush()
            try:
                self._indexes[name] = self._connection.index(name)
            except OSError as exc:
                raise Missing(f"there is no link {name!r}", name) from exc
        return self._indexes[name]

    def give_index(self, name: str) -> int:
        """An index for the link `name` that is about to be made; no link here has it."""
        index = _draw_index()
        while self._connection.has_index(index):
            index = _draw_index()
        self._indexes[name] = index
        return index

    def newborn(self, name: str) -> int:
        """The index of a link that earlier steps made here, which is as it was born; else 0."""
        return self._newborn.get(name, 0)

    def find(self, name: str) -> int:
        """The index that the link has now, 0 for none. Sends what is queued first."""
        self.forget(name)
        try:
            return self.index(name)
        except Missing:
            return 0

    def remove(
        self,
        indexes: Mapping[int, steps.DropLink],
        jobs: Sequence[tuple[steps.DropLink, netlink.Message]],
    ) -> None:
        """Sends messages that together remove links; they are gone then, or refused."""
        for step in indexes.values():
            self.forget(step.name)
        messages = [message for _, message in jobs]
        results = removals.remove(self._connection, messages, indexes.keys())
        for (step, _), result in zip(jobs, results, strict=True):
            if result.error and result.error not in ABSENT:
                self._refuse(step, result)

    def descriptor(self, path: str) -> int:
        """An open descriptor of the namespace, valid until the next flush; raises `Missing`.

        The path "" is the namespace that the thread is in.
        """
        try:
            opened = namespaces.descriptor(path or namespaces.OWN)
        except lookups.Hangs as exc:
            raise Missing(exc.sentence, path) from exc
        except OSError as exc:
            words = f"there is no namespace at {path!r}: {exc.strerror}"
            raise Missing(words, path) from exc
        self._descriptors.append(opened)
        if path in self._met and os.fstat(opened).st_ino != self._met[path]:
            raise Missing(f"another namespace took the place of that at {path!r}", path)
        return opened

    def forget(self, name: str) -> None:
        """The link's index is no longer known: it went, or another took its name."""
        self._indexes.pop(name, None)

    def flush(self) -> None:
        """Sends what is queued, whole steps in batches of the size the kernel likes."""
        jobs, self._jobs = self._jobs, []
        batch: list[Job] = []
        for job in jobs:
            if sum(len(each[1]) for each in batch) + len(job[1]) > netlink.BATCH:
                self._send(batch)
                batch = []
            batch.append(job)
        self._send(batch)
        self._release()

    def _release(self) -> None:
        while self._descriptors:
            os.close(self._descriptors.pop())

    def _send(self, jobs: Sequence[Job]) -> None:
        results = iter(
            self._connection.request(message for _, messages, _ in jobs for message in messages)
        )
        for step, messages, tolerated in jobs:
            bad = [
                result
                for result in [next(results) for _ in messages]
                if result.error and result.error not in tolerated
            ]
            if bad:
                self._refuse(step, bad[0])

    def _refuse(self, step: steps.Step, result: netlink.Result) -> None:
        self.refusals.append(contract.Refusal(step=step, reason=str(result), error=result.error))

    def has_refused(self, step: steps.Step) -> bool:
        """Whether an earlier part of the step failed."""
        return any(each.step is step for each in self.refusals)


def _draw_index() -> int:
    return _INDEXES + int.from_bytes(os.urandom(3), "little")
