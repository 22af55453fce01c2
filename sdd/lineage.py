"""Mappings that know by which keys they differ from the versions before them. Pure.

Each backend asks at each revision what is new. Ten thousand objects compared one by one, even in C,
are a third of a millisecond for each asker and table, and a dozen ask: what was changed is known to
whoever made the new version, so it is remembered there. A version holds no earlier one.
"""

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final, TypeVar

K = TypeVar("K")
V = TypeVar("V")

REMEMBERED: Final = 16  # versions; who looks more seldom compares object by object
_MOST_KEYS: Final = 1024  # of all steps together: beyond, comparing costs no more
Step = tuple[object, Collection[K]]


class Version(dict[K, V]):
    """One version of a mapping; never changed once it is made.

    `mark` is its own alone. `steps` are the marks of versions before it, the newest last, each with
    the keys that may differ between that version and the next.
    """

    __slots__ = ("mark", "steps")

    def __init__(self, content: Mapping[K, V], steps: tuple[Step[K], ...] = ()) -> None:
        """Of its own, as `content` is."""
        super().__init__(content)
        self.mark: object = object()
        self.steps = steps


def successor(before: Mapping[K, V], changes: Mapping[K, V | None]) -> Version[K, V]:
    """`before` with other values for some keys; None takes the key away."""
    # A dict made of another one is a copy in one piece, unless keys were taken away from it.
    made = Version(before if isinstance(before, dict) else thawed(before), _steps(before, changes))
    for key, value in changes.items():
        if value is None:
            made.pop(key, None)
        else:
            made[key] = value
    return made


def _steps(before: Mapping[K, V], changes: Mapping[K, V | None]) -> tuple[Step[K], ...]:
    if not isinstance(before, Version):
        return ()
    steps: list[Step[K]] = [(before.mark, tuple(changes))]
    room = _MOST_KEYS - len(changes)
    for step in reversed(before.steps):
        room -= len(step[1])
        if room < 0 or len(steps) == REMEMBERED:
            break
        steps.append(step)
    return tuple(reversed(steps))


def between(one: Mapping[K, V], other: Mapping[K, V]) -> Collection[K] | None:
    """All keys whose values may differ, in the order of changes; None when that is not known.

    Either may be the earlier one.
    """
    if one is other:
        return ()
    if not (isinstance(one, Version) and isinstance(other, Version)):
        return None
    found = _since(one, other)
    return _since(other, one) if found is None else found


def thawed(frozen: Mapping[K, V]) -> dict[K, V]:
    """A copy of one's own, made by C: `dict(proxy)` looks each key up and hashes it again."""
    return frozen.copy() if isinstance(frozen, dict | MappingProxyType) else dict(frozen)


def _since(earlier: Version[K, V], later: Version[K, V]) -> Collection[K] | None:
    passed: list[Collection[K]] = []
    for mark, keys in reversed(later.steps):
        passed.append(keys)
        if mark is earlier.mark:
            return dict.fromkeys(key for each in reversed(passed) for key in each)
    return None
