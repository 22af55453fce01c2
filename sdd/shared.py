"""One object for equal values: what a thousand sandboxes have in common is in memory once.

In: a value that is never changed. Out: the same, or the equal one of before. Pure but for that.
"""

import functools
from collections.abc import Hashable
from typing import Final, TypeVar, cast

REMEMBERED: Final = 1024  # values, those asked for last; a rarer one is an object of its own

Value = TypeVar("Value", bound=Hashable)


def same(value: Value) -> Value:
    """`value`, or an equal one of the same type that was there before."""
    return cast("Value", _same(value))


@functools.lru_cache(REMEMBERED, typed=True)
def _same(value: Hashable) -> Hashable:
    return value
