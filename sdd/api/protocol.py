"""One connection: aiohttp's, but broken HTTP gets our form of error, half-closed clients answers.

A client that shuts down its sending side (`nc`, a script with SHUT_WR) still waits for the answer;
aiohttp would drop it.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from aiohttp import web

GRACE_S = 0.2  # no byte can come any more; a complete request starts within two loop turns

Refuse = Callable[[str], web.StreamResponse]


class Protocols(web.Server):
    """Makes one `Protocol` per connection; `refuse` turns a sentence into an answer."""

    refuse: Refuse

    def __call__(self) -> web.RequestHandler:
        """A new connection's protocol."""
        quiet: Any = None  # aiohttp takes None for "no access log"
        made = Protocol(self, loop=asyncio.get_running_loop(), access_log=quiet)
        made.refuse = self.refuse
        return made


class Protocol(web.RequestHandler):
    """Knows whether an answer is still owed, and whether the client still sends."""

    __slots__ = ("half_closed", "refuse", "request", "unanswered")

    refuse: Refuse
    request: web.BaseRequest | None
    half_closed: bool
    unanswered: bool

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        self.request, self.half_closed, self.unanswered = None, False, False
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Bytes of a request."""
        self.unanswered = True
        super().data_received(data)

    def eof_received(self) -> bool | None:  # type: ignore[override]  # asyncio allows both
        """True keeps the connection for the answer; None closes it."""
        if not self.unanswered:
            return None
        self.half_closed = True
        self._cut()
        asyncio.get_running_loop().call_later(GRACE_S, self._give_up)
        return True

    def begin(self, request: web.BaseRequest) -> None:
        """A handler starts on `request`."""
        self.request = request
        self._cut()

    def end(self, response: web.StreamResponse) -> None:
        """The handler is done; a client that sends no more gets this answer and the end."""
        self.request, self.unanswered = None, False
        if self.half_closed:
            response.force_close()

    def _cut(self) -> None:
        """A body that can no longer become complete ends its reading with an error."""
        if self.half_closed and self.request is not None and not self.request.content.is_eof():
            self.request.content.set_exception(web.RequestPayloadError("the body is cut short"))

    def _give_up(self) -> None:
        if self.request is None and self.unanswered:
            self.force_close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Broken HTTP is the client's fault and no news for the log; all else is our defect."""
        if status < 500 and request.writer.output_size == 0:  # noqa: PLR2004 - HTTP's own border
            first = (message or "").strip().splitlines()[:1]
            answer = self.refuse(f"this is not HTTP: {first[0] if first else 'cannot be read'}")
            answer.force_close()
            return answer
        return super().handle_error(request, status, exc, message)
