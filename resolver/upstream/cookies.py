"""DNS cookies of one server: what shows that a datagram is its own (RFC 7873, 9018).

In: replies. Out: the option for the next question, and whether a reply shows that its sender has
seen the question. Ours is a random number of 64 bits for each server, which only who sees our
packets knows. A server that speaks cookies gives it back, with one of its own that it wants to see
again. From then on a reply without ours proves nothing, and is asked for over TCP. A forwarder that
passes options through has them in some replies and not in others: after a few such it is asked
without for a while.
"""

import struct
from dataclasses import dataclass
from typing import Final

CODE: Final = 10  # RFC 7873 §4
BYTES: Final = 8  # of ours
_THEIRS: Final = range(8, 33)
LOSSES: Final = 3  # replies without, before a server is taken for one that has none
PAUSE_S: Final = 900.0
_OPTION = struct.Struct(">HH")


@dataclass(slots=True)
class Cookies:
    """`own` is empty where none are used; time is passed in, in seconds of a monotonic clock."""

    own: bytes = b""
    theirs: bytes = b""
    losses: int = 0
    off_until: float = 0.0

    def option(self, now: float) -> bytes:
        """What to put into a question; empty while the server is asked without."""
        if not self.own or now < self.off_until:
            return b""
        both = self.own + self.theirs
        return _OPTION.pack(CODE, len(both)) + both

    def proves(self, sent: bytes, data: bytes) -> bool:
        """Whether the reply `data` to `sent` shows that whoever made it has seen `sent`.

        True also where nothing is to be shown. Remembers the server's cookie.
        """
        if not self.own or self.own not in sent:
            return True
        at = data.rfind(self.own)
        if at < 0:
            return not self.theirs
        size = int.from_bytes(data[at - 2 : at], "big") - BYTES
        if size in _THEIRS and data[at - 4 : at - 2] == b"\0\x0a":
            self.theirs = data[at + BYTES : at + BYTES + size]
        return True

    def lost(self, now: float) -> None:
        """A reply came without that should have had it."""
        self.losses += 1
        if self.losses >= LOSSES:
            self.theirs, self.losses, self.off_until = b"", 0, now + PAUSE_S
