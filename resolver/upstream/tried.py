"""What became of the exchanges with servers, for people who ask.

In: what a try came to. Out: frozen values.
"""

from typing import Final, NamedTuple

from resolver.upstream.sockets import Why

# What came instead of an answer, so that nobody takes the server for silent.
SPOKE: Final = frozenset({Why.MISMATCH, Why.CHAIN, Why.TRUNCATED, Why.DECLINED, Why.LOOP})


class Tried(NamedTuple):
    """One exchange with a server, for people who ask what happened.

    `number` counts from 1 over all exchanges of the worker: two may have gone alike. `because` is
    why it went over TCP after all.
    """

    number: int
    server: str
    transport: str
    seconds: float
    result: str
    because: str = ""

    @property
    def is_heard(self) -> bool:
        """Whether the server said anything."""
        return bool(self.transport) or self.result in SPOKE
