"""Work in a task of its own, so that nothing of its cancellations reaches whoever waits for it.

In: work and how long it may take. Out: what it comes to, or a `Defect`. A group of tasks (Python
3.11 and 3.12) leaves its parent with a request of cancellation open when one of its tasks fails;
from then on the parent's own time-outs end it, in silence. Where that is a loop for life, all else
waits for it for ever.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from sdd import errors

T = TypeVar("T")
AGAIN_S: Final = 1.0  # work that goes on after it was cancelled is cancelled again
HUNG: Final = "SDD-BACKEND-HUNG"


async def within(work: Coroutine[Any, Any, T], name: str, limit_s: float | None = None) -> T:
    """What `work` returns or raises; it has ended when this does, whatever ends this.

    Raises `errors.Defect` when it takes longer than `limit_s`, and when it ends by a cancellation
    that nobody here asked for.
    """
    # No group: its parent would be the task that all of this is to be kept from.
    going = asyncio.create_task(work, name=name)  # noqa: TID251 - ended and named here
    try:
        await asyncio.wait((going,), timeout=limit_s)
        is_late = not going.done()
    finally:
        await _ended(going)
    if is_late:
        raise errors.Defect(
            f"{name} was given up: it did not end within {limit_s:g} s",
            hint="it is tried again; what it waits for may be in the log before this",
            code=HUNG,
        )
    if going.cancelled():
        raise errors.Defect(f"{name} was cancelled, and nobody had asked for it")
    return going.result()


async def _ended(going: asyncio.Task[Any]) -> None:
    while not going.done():
        going.cancel()
        await asyncio.wait((going,), timeout=AGAIN_S)
