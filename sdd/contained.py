"""What cannot be made of one object is the failure of that object; all others are made.

In: how to make something of an object. Out: that, or a `Failure` which names it, and holds the
traceback: who reports it tells that to the log once (`sdd.defects`). A database may hold what this
release no longer takes, and nobody else has to suffer for it.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from sdd import errors
from sdd.model.address import Zoned
from sdd.model.progress import Failure
from sdd.model.raised import Raised

T = TypeVar("T")
CODE = "SDD-OBJECT-DATA"


def attempt(make: Callable[[], T], subject: str, what: str) -> T | Failure:
    """What `make` returns; if it raises, a failure of the object `subject` that begins by `what`.

    `what` is what is missing now, such as "sandbox 'db' has no name service".
    """
    try:
        return make()
    except Exception as exc:  # noqa: BLE001 - whatever it is, it is about this object alone
        return failed(exc, subject, what)


async def awaited(making: Awaitable[T], subject: str, what: str) -> T | Failure:
    """As `attempt`; what says itself what is wrong (`SddError`) is raised."""
    try:
        return await making
    except errors.SddError:
        raise
    except Exception as exc:  # noqa: BLE001 - whatever it is, it is about this object alone
        return failed(exc, subject, what)


def failed(exc: Exception, subject: str, what: str) -> Failure:
    """The failure of an object about which `exc` was raised."""
    if isinstance(exc, Zoned):
        return refused(subject, what, str(exc))
    raised = Raised.of(exc)
    return replace(refused(subject, what, f"{raised.what} in {raised.place}"), raised=raised)


def refused(subject: str, what: str, why: str) -> Failure:
    """The failure of an object that is stored and of which nothing can be made."""
    return Failure(
        subject=subject,
        sentence=f"{what}: what is stored of it cannot be realised: {why}",
        hint="remove it and make it again; all others are served",
        code=CODE,
    )
