"""Small numbers that are unique among live objects, such as a service's.

In: which numbers are in use. Out: the lowest free one, or Exhausted.
"""

from collections.abc import Callable

from sdd import errors

FIRST = 1
LAST = 0xFFFF  # packet marks have 16 bits for it


def lowest_free(
    what: str, is_taken: Callable[[int], bool], *, first: int = FIRST, last: int = LAST
) -> int:
    """The lowest number in first..last that is not taken; `what` is for the error."""
    for number in range(first, last + 1):
        if not is_taken(number):
            return number
    raise errors.Exhausted(
        f"no {what} number is free: all of {first} to {last} are in use",
        hint=f"remove a {what} first",
        code="SDD-NUMBER-EXHAUSTED",
    )
