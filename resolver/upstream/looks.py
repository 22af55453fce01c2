"""Questions of our own, which tell whether a server is there.

In: servers that kept silent on a question, or broke off. Out: what their `Health` knows. An asker's
question cannot tell: he chooses its name, and there are names that take every server long, for
their own servers are gone. Were they counted, one sandbox with such names would put a server down
for all, and the next one in the list, which may not know the names of the house, would answer.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Final

from resolver import protocol
from resolver.message import wire
from resolver.names import answer
from resolver.upstream import cache, forward
from resolver.upstream.exchange import Exchanges
from resolver.upstream.question import Question
from resolver.upstream.sockets import GONE, NoReply, Why

# `. NS`: whoever resolves anything has it in store, and who does not says so at once.
_NS: Final = 2
_IN: Final = 1
_RD: Final = 0x01
_DATA: Final = bytes((0, 0, _RD, 0, 0, 1, *bytes(6))) + b"\0" + bytes((0, _NS, 0, _IN))
_QUERY: Final = wire.parse(_DATA)
# What came instead of an answer shows that somebody is there.
AGAINST: Final = GONE | {Why.TIMEOUT, Why.CLOSED, Why.DECLINED}

Spawn = Callable[[Coroutine[None, None, None]], None]


class Looks:
    """At most one question at a time to each server.

    `leaves` tells whether a sandbox may have anybody asked from the host now.
    """

    def __init__(
        self,
        exchanges: Exchanges,
        *,
        clock: Callable[[], float],
        spawn: Spawn,
        leaves: Callable[[str], bool],
    ) -> None:
        self._exchanges = exchanges
        self._clock = clock
        self._spawn = spawn
        self._leaves = leaves

    def look(
        self,
        server: protocol.Upstream,
        scope: answer.Scope,
        health: forward.Health,
        asked_at: float,
    ) -> None:
        """Ask one, if nothing was learned of the server since `asked_at`."""
        if not server.inside and not self._leaves(scope.sandbox):
            return
        if health.is_open(asked_at) and not health.is_looked_at:
            health.is_looked_at = True
            self._spawn(self._ask(server, scope, health))

    async def _ask(
        self, server: protocol.Upstream, scope: answer.Scope, health: forward.Health
    ) -> None:
        began = self._clock()
        until = asyncio.get_running_loop().time() + health.look_s
        try:
            await self._exchanges.said(_question(scope), server, health, None, until)
        except NoReply as exc:
            if exc.why in AGAINST:
                health.failed(began, self._clock())
        else:
            health.heard(self._clock())
        finally:
            health.is_looked_at = False


def _question(scope: answer.Scope) -> Question:
    assert isinstance(_QUERY, wire.Query)
    key = cache.Key(scope.partition, _QUERY.name, _NS, _IN, _RD)
    return Question(_QUERY, _DATA, scope, key, scope)
