"""How much a server may send on a connection that is kept: no more than our questions call for.

Reading costs this worker far more than sending costs a server, and all sandboxes share the worker.
A server that floods (as CVE-2019-9512 and -9515 do with HTTP/2) runs out and loses its connection.
"""

from typing import Final

AT_ONCE: Final = 64  # frames a turn of the event loop; then others have theirs


class Allowance:
    """Counts pieces: messages, frames or datagrams, whatever the transport reads one by one."""

    def __init__(self, first: int, *, each: int, most: int) -> None:
        """`first` at once and `each` more for a question, `most` in store."""
        self._left = first
        self._each = each
        self._most = most

    def ask(self) -> None:
        """A question is sent: its answer may come."""
        self._left = min(self._left + self._each, self._most)

    def take(self) -> bool:
        """Whether the piece that came was still allowed."""
        self._left -= 1
        return self._left >= 0
