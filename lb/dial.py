"""One check of one member: sockets in, a result out, dialled from the caller's namespace."""

import asyncio
import os
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from lb.checks import Check
from sdd.model.service import CheckKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """`reason` is a short text for people, such as "connection refused"."""

    passed: bool
    reason: str


Dial = Callable[[Check], Coroutine[Any, Any, Result]]


async def dial(check: Check) -> Result:
    """The result of one try, at the latest after the check's timeout; never raises OSError."""
    try:
        async with asyncio.timeout(check.how.timeout_s):
            return await _DIALS[check.how.kind](check)
    except TimeoutError:
        return Result(passed=False, reason=f"no answer within {check.how.timeout_s:g} s")
    except OSError as exc:
        return Result(passed=False, reason=_words(exc))


async def _tcp(check: Check) -> Result:
    _, writer = await asyncio.open_connection(str(check.address), check.how.port)
    # Abort, not close: a reset leaves no TIME_WAIT behind, and thousands of checks would.
    writer.transport.abort()
    return Result(passed=True, reason=f"port {check.how.port} accepts connections")


async def _none(check: Check) -> Result:
    return Result(passed=True, reason=f"{check.endpoint} is not checked")


_DIALS: Mapping[CheckKind, Dial] = MappingProxyType(
    {CheckKind.NONE: _none, CheckKind.TCP: _tcp},
)


def _words(exc: OSError) -> str:
    return os.strerror(exc.errno).lower() if exc.errno else str(exc)
