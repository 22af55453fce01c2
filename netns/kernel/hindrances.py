"""What another link on the same parent may be in the way of, and for which nobody searches again.

In: refusals. Out: whether it is worth a look into all namespaces that have no name. A conflict that
lasts is tried again for ever, and what is in the way is mostly where it can be seen.
"""

import errno
from collections.abc import Callable, Iterable

from netns import contract, steps

PATIENCE_S = 20.0  # as everything is looked at again, in case hands moved a link elsewhere

Key = tuple[str, int]


class Hindrances:
    """Of one kernel; `clock` in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._searched: dict[Key, float] = {}

    def are_new(self, refusals: Iterable[contract.Refusal]) -> bool:
        """Whether any of these may be for such a link, and nobody has searched for it lately."""
        now = self._clock()
        self._searched = {key: at for key, at in self._searched.items() if now - at < PATIENCE_S}
        return any(_key(each) not in self._searched for each in refusals if _is_one(each))

    def search(self, refusals: Iterable[contract.Refusal]) -> None:
        """Somebody searches for the reason of these now."""
        now = self._clock()
        self._searched |= {_key(each): now for each in refusals if _is_one(each)}


def _key(refusal: contract.Refusal) -> Key:
    return refusal.step.subject, refusal.error


def _is_one(refusal: contract.Refusal) -> bool:
    """It has the MAC (told when this one comes up) or the IP address, or the parent for itself."""
    taken = isinstance(refusal.step, steps.AddChild) and refusal.error == errno.EINVAL
    return taken or refusal.error in (errno.EADDRINUSE, errno.EBUSY)
