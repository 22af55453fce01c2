"""Until when keys are good: which of them are over.

In: keys and when each is over, in seconds. Out: those that are over, each once, those of a span of
time as they came. By spans a key costs as little as an entry of a dict, and goes as fast.
"""

from collections.abc import Hashable
from typing import Final, Generic, TypeVar

SPAN_S: Final = 8  # a key is told so much too late at most; dicts of few keys are large
K = TypeVar("K", bound=Hashable)


class Ends(Generic[K]):
    """The keys that were not told yet."""

    def __init__(self) -> None:
        self._spans: dict[int, dict[K, None]] = {}
        self._told = 0  # the first span that is not over

    def __bool__(self) -> bool:
        return bool(self._spans)

    def put(self, key: K, end: float) -> None:
        """`key`, which is none of them, is over at `end`."""
        self._spans.setdefault(int(end // SPAN_S), {})[key] = None

    def drop(self, key: K, end: float) -> bool:
        """It is none of them any more; whether it was one. `end` is what it was put with."""
        span = int(end // SPAN_S)
        keys = self._spans.get(span)
        if keys is None or key not in keys:
            return False
        del keys[key]
        if not keys:
            del self._spans[span]
        return True

    def over(self, now: float) -> list[K]:
        """Those that are over, which are told with this."""
        current = int(now // SPAN_S)
        if current == self._told:
            return []
        self._told = current
        passed = sorted(span for span in self._spans if span < current)
        return [key for span in passed for key in self._spans.pop(span)]
