"""Large mappings of which a new version costs what differs, not what is there. Pure.

A copy of 50 000 names is a millisecond, and a network's table had five such mappings at each
change. Here a version is what all share and, over it, the few keys that differ; when these are no
longer few, a copy is made of both. As nothing that was made is changed, every version stays right.
"""

from collections.abc import ItemsView, Iterator, Mapping
from math import isqrt
from typing import Final, Generic, TypeVar, overload

K = TypeVar("K")
V = TypeVar("V")
D = TypeVar("D")

_FEW: Final = 64  # differences that are carried along, however little there is below


class Overlaid(Mapping[K, V]):
    """One version; None is no value, for it says over another one that there is none."""

    __slots__ = ("_over", "_size", "base")

    def __init__(
        self, base: dict[K, V] | None = None, over: dict[K, V | None] | None = None, size: int = 0
    ) -> None:
        """Of `base`, which nobody changes from now on; `over` it only what `changed` puts."""
        self.base: dict[K, V] = {} if base is None else base
        self._over: dict[K, V | None] = {} if over is None else over
        self._size = size if over else len(self.base)

    def changed(self, news: Mapping[K, V | None]) -> "Overlaid[K, V]":
        """The version with other values for some keys; None takes the key away."""
        if not news:
            return self
        came = sum(new is not None for new in news.values())
        size = self._size + came - sum(key in self for key in news)
        made = Overlaid(self.base, {**self._over, **news}, size)
        # What is carried along costs each version, and a copy one of as many: both cost the same.
        is_few = len(made._over) < max(_FEW, isqrt(len(self.base)))
        return made if is_few else Overlaid(made._whole())

    @overload
    def get(self, key: K, /) -> V | None: ...
    @overload
    def get(self, key: K, /, default: V | D) -> V | D: ...

    def get(self, key: K, /, default: object = None) -> object:
        """As of any mapping."""
        found = self._over[key] if key in self._over else self.base.get(key)
        return default if found is None else found

    def __getitem__(self, key: K) -> V:
        """As of any mapping."""
        found = self._over[key] if key in self._over else self.base[key]
        if found is None:
            raise KeyError(key)
        return found

    def __contains__(self, key: object) -> bool:
        """As of any mapping."""
        if key in self._over:
            return self._over[key] is not None
        return key in self.base

    def __len__(self) -> int:
        """As of any mapping."""
        return self._size

    def __iter__(self) -> Iterator[K]:
        """What is below in its order, then what came."""
        return iter(self._whole())

    def items(self) -> ItemsView[K, V]:
        """As of any mapping."""
        return self._whole().items()

    def _whole(self) -> dict[K, V]:
        """All of it in one; only for reading, unless something is over it."""
        if not self._over:
            return self.base
        whole = self.base.copy()  # in one piece, by C
        for key, value in self._over.items():
            if value is None:
                whole.pop(key, None)
            else:
                whole[key] = value
        return whole


class Draft(Generic[K, V]):
    """A version on its way to the next one."""

    __slots__ = ("_before", "news")

    def __init__(self, before: Overlaid[K, V]) -> None:
        self._before = before
        self.news: dict[K, V | None] = {}

    def __contains__(self, key: K) -> bool:
        """Whether it is there now."""
        return self.get(key) is not None

    def get(self, key: K) -> V | None:
        """What is there now."""
        return self.news[key] if key in self.news else self._before.get(key)

    def put(self, key: K, value: V | None) -> None:
        """None takes the key away."""
        if value is None and key not in self._before:
            self.news.pop(key, None)  # it came with this draft
        else:
            self.news[key] = value

    def done(self) -> Overlaid[K, V]:
        """The next version."""
        return self._before.changed(self.news)
