"""The random order of a run's tests."""

import secrets
from collections.abc import Sequence


def chosen(words: Sequence[str]) -> tuple[str, ...]:
    """The option for a random order of tests, printed so that it can be repeated."""
    if any(each.startswith("--randomly-seed") for each in words):
        return ()
    option = f"--randomly-seed={secrets.randbelow(2**32)}"
    print(f"in random order; repeat it with {option}", flush=True)
    return (option,)
