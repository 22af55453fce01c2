"""All that is known of servers, by server and the place from which it is asked.

Those of sandboxes that are gone are forgotten, and whoever was not asked for longest when they are
too many.

In: servers and scopes. Out: one `forward.Health` each, and whose question a mark shows to be ours.
"""

from collections import OrderedDict
from collections.abc import Callable, Container, Iterator
from collections.abc import Set as AbstractSet
from typing import Final

from resolver import protocol
from resolver.names import answer
from resolver.upstream import cookies, forward

MOST: Final = 4096
IDLE_S: Final = 600.0  # people look at what was asked before they changed the settings

Key = tuple[protocol.Upstream, str]


def key(server: protocol.Upstream, scope: answer.Scope) -> Key:
    """A server, and the sandbox from inside which it is asked (empty: the host's namespace)."""
    return server, scope.sandbox if server.inside else ""


class Healths:
    """Shared by all sandboxes of a worker; one address means another server inside each."""

    def __init__(self, bits: Callable[[int], int]) -> None:
        self._bits = bits
        self._all: OrderedDict[Key, forward.Health] = OrderedDict()
        self._marks: dict[bytes, tuple[protocol.Upstream, forward.Health]] = {}

    def of(self, server: protocol.Upstream, scope: answer.Scope) -> forward.Health:
        """What is known of `server`; nothing yet when it is new."""
        whom = key(server, scope)
        found = self._all.get(whom)
        if found is not None:
            self._all.move_to_end(whom)
        else:
            if len(self._all) >= MOST:
                self._forget(next(iter(self._all)))
            mark = self._bits(8 * forward.MARK_BYTES).to_bytes(forward.MARK_BYTES, "big")
            own = cookies.Cookies(self._bits(8 * cookies.BYTES).to_bytes(cookies.BYTES, "big"))
            found = self._all[whom] = forward.Health(mark=mark, cookies=own)
            self._marks[mark] = server, found
        return found

    def forget(self, sandboxes: AbstractSet[str]) -> None:
        """Nobody is asked from inside of these any more."""
        for whom in [each for each in self._all if each[1] in sandboxes]:
            self._forget(whom)

    def keep(self, asked: Container[Key], now: float) -> None:
        """Forget those that nobody would ask any more, `IDLE_S` after they showed anything."""
        for whom, health in tuple(self._all.items()):
            if whom not in asked and now - health.shown_at >= IDLE_S:
                self._forget(whom)

    def _forget(self, whom: Key) -> None:
        del self._marks[self._all.pop(whom).mark]

    def marked(self, mark: bytes) -> tuple[protocol.Upstream, forward.Health] | None:
        """The server whose questions carry `mark`."""
        return self._marks.get(mark)

    def items(self) -> Iterator[tuple[Key, forward.Health]]:
        """All, with the sandbox from inside which each is asked (empty: the host's namespace)."""
        return iter(self._all.items())
