"""A loop for life: what the machine lacks for a moment ends one turn of it, and it begins anew.

In: how to begin the loop. Out: nothing; it ends by cancellation, or by a mistake of ours, which is
raised. No descriptor left, no memory, a list of the kernel that changes faster than it is read: a
watch that ends of it costs seconds of what it would have heard, a daemon that ends costs all.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, Never

import structlog

from sdd import apart, errors, lacks, reconcile

CALM_S: Final = 60.0  # who went on for longer than that begins anew as if for the first time

_MAYBE = (errors.SddError, OSError, MemoryError, RuntimeError, ExceptionGroup)

Begin = Callable[[], Coroutine[Any, Any, object]]

say: structlog.stdlib.BoundLogger = structlog.get_logger("sdd")


async def run(
    begin: Begin,
    name: str,
    missed: Callable[[], None] = lambda: None,
    pause_s: Callable[[int], float] = lambda failed: reconcile.backoff_s(failed, 0.5),
) -> Never:
    """Goes through the loop that `begin` begins, and begins it again whenever it is refused.

    `missed` is called each time: what happened in between was not heard. `pause_s` says for how
    long it pauses after so many refusals in a row. Each reason is logged once in a row.
    """
    clock = asyncio.get_running_loop().time
    failed, told = 0, ""
    while True:
        begun = clock()
        try:
            await apart.within(begin(), name)
        except _MAYBE as exc:
            if (why := refusal(exc)) is None:
                raise
        else:
            raise errors.Defect(f"{name} ended, and is there for life")
        failed, told = (1, "") if clock() - begun > CALM_S else (failed + 1, told)
        if why != told:
            say.warning("loop.refused", loop=name, why=why, instead="it begins anew")
            told = why
        await asyncio.sleep(pause_s(failed))
        missed()


def refusal(exc: BaseException) -> str | None:
    """Why, in words, if the machine and not we are the reason for all of `exc`; else None.

    Whatever the system refuses to a loop is that: who looks at what others change meets everything.
    """
    every = tuple(lacks.leaves(exc))
    is_refused = all(isinstance(each, OSError) or lacks.told(each) for each in every)
    return str(lacks.told(exc) or every[0]) if is_refused else None
