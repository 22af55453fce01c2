"""One check of one member: a result out, dialled from the host's namespace or the member's own."""

import asyncio
import os
import socket
import struct
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from lb.checks import Check
from sdd import errors
from sdd.linux import namespaces
from sdd.model.service import CheckKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """`reason` is a short text for people, such as "connection refused"."""

    passed: bool
    reason: str


Dial = Callable[[Check], Coroutine[Any, Any, Result]]


class Dialer:
    """Dials from the process's own namespace, or through `doors` from the member's."""

    def __init__(self, doors: namespaces.Namespaces | None = None) -> None:
        self._doors = doors

    async def dial(self, check: Check) -> Result:
        """The result of one try, at the latest after the check's timeout; raises no OSError."""
        try:
            async with asyncio.timeout(check.how.timeout_s):
                return await _DIALS[check.how.kind](self, check)
        except TimeoutError:
            return Result(passed=False, reason=f"no answer within {check.how.timeout_s:g} s")
        except OSError as exc:
            return Result(passed=False, reason=_words(exc))
        except errors.NotFound as exc:  # the member's namespace has ended
            return Result(passed=False, reason=exc.sentence)

    async def open(self, check: Check) -> socket.socket:
        """A new TCP socket where the check wants to be dialled from: it stays in that namespace."""
        family = _FAMILIES[check.address.version]
        if not check.inside or self._doors is None:
            return socket.socket(family, socket.SOCK_STREAM)
        return await self._doors.run(
            check.inside, lambda: socket.socket(family, socket.SOCK_STREAM)
        )


_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
_RESET = struct.pack("@ii", 1, 0)


async def _tcp(dialer: Dialer, check: Check) -> Result:
    with await dialer.open(check) as opened:
        opened.setblocking(False)
        target = (str(check.address), check.how.port)
        await asyncio.get_running_loop().sock_connect(opened, target)
        # A reset leaves no TIME_WAIT behind, and thousands of checks would.
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    return Result(passed=True, reason=f"port {check.how.port} accepts connections")


async def _none(_: Dialer, check: Check) -> Result:
    return Result(passed=True, reason=f"{check.endpoint} is not checked")


_DIALS: Mapping[CheckKind, Callable[[Dialer, Check], Coroutine[Any, Any, Result]]] = (
    MappingProxyType({CheckKind.NONE: _none, CheckKind.TCP: _tcp})
)
dial: Dial = Dialer().dial


def _words(exc: OSError) -> str:
    return os.strerror(exc.errno).lower() if exc.errno else str(exc)
