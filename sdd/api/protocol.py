"""One connection: aiohttp's, but broken HTTP gets our form of error and nobody may take for ever.

A client that shuts down its sending side (`nc`, a script with SHUT_WR) still waits for the answer;
aiohttp would drop it. One that sends a byte now and then would keep its connection without end.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import http_exceptions, web

from sdd import errors

GRACE_S: Final = 0.2  # no byte can come any more; a complete request starts within two loop turns
LINGER_S: Final = 2.0  # what is still on its way is read, so that the client sees the answer
LINE_MAX: Final = 8190  # bytes of the request line, and of each header
HEADERS_MAX: Final = 128
MOST_CONNECTIONS: Final = 256  # each costs a descriptor, and libnftables wants one below 1024

Refuse = Callable[[errors.SddError], web.Response]


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Seconds: a connection without a request, a request's head, its body, a reader that rests."""

    idle_s: float = 75.0
    head_s: float = 10.0
    body_s: float = 30.0
    read_s: float = 30.0


def broken(why: str) -> errors.Invalid:
    """The error for what is not HTTP."""
    return errors.Invalid(
        f"this is no HTTP request: {why}",
        hint="speak HTTP/1.1, as this does: curl --unix-socket SOCKET http://sdd/v1/status",
        code="SDD-API-HTTP",
    )


# What the parser found → our words for it; the first that fits: by its kind, by its first line.
_WORDS: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (http_exceptions.LineTooLong, f"a line of its head is longer than {LINE_MAX} bytes"),
    (http_exceptions.BadHttpMethod, "it does not begin with a method of HTTP"),
    (http_exceptions.BadStatusLine, "its first line is not METHOD PATH HTTP/1.1"),
    (http_exceptions.InvalidURLError, "its path cannot be read"),
    (http_exceptions.InvalidHeader, "one of its headers cannot be read"),
    (http_exceptions.PayloadEncodingError, "its body is not encoded as its headers say"),
)
_TEXTS: Final[tuple[tuple[str, str], ...]] = (
    ("Duplicate Content-Length", "it has more than one Content-Length"),
    ("with Content-Length", "it has both a Content-Length and chunks"),
    ("Content-Length", "its Content-Length is no number"),
    ("chunk size", "the size of a chunk is no number"),
    ("Transfer-Encoding", "it has a Transfer-Encoding other than chunked"),
    ("Too many headers", f"it has more than {HEADERS_MAX} headers"),
    ("'Host'", "the Host header is missing"),
    ("Data after", "bytes follow its end, perhaps a Content-Length is missing"),
    ("header", "one of its headers cannot be read"),
    ("PRI", "HTTP/2 is not spoken here"),
)


def _words(exc: BaseException | None, message: str) -> str:
    by_kind = (ours for kind, ours in _WORDS if isinstance(exc, kind))
    first = message.partition("\n")[0]
    by_text = (ours for theirs, ours in _TEXTS if theirs in first)
    return next(by_kind, next(by_text, "it cannot be read"))


class Protocols(web.Server):
    """Makes one `Protocol` per connection; `refuse` turns an error into an answer."""

    refuse: Refuse
    patience: Patience

    def __call__(self) -> web.RequestHandler:
        """A new connection's protocol."""
        quiet: Any = None  # aiohttp takes None for "no access log"
        made = Protocol(
            self,
            loop=asyncio.get_running_loop(),
            access_log=quiet,
            lingering_time=LINGER_S,
            auto_decompress=False,
            max_line_size=LINE_MAX,
            max_field_size=LINE_MAX,
            max_headers=HEADERS_MAX,
        )
        made.refuse, made.patience = self.refuse, self.patience
        return made


class Protocol(web.RequestHandler):
    """Knows whether an answer is still owed, whether the client still sends, and how long."""

    __slots__ = ("deadline", "half_closed", "patience", "refuse", "request", "unanswered")

    refuse: Refuse
    patience: Patience
    request: web.BaseRequest | None
    half_closed: bool
    unanswered: bool
    deadline: asyncio.TimerHandle | None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        self.request, self.half_closed, self.unanswered = None, False, False
        self.deadline = None
        self._wait(self.patience.idle_s, self._leave)
        super().connection_made(transport)
        if self._manager is not None and len(self._manager.connections) > MOST_CONNECTIONS:
            self._say(_full(), "Service Unavailable")

    def connection_lost(self, exc: BaseException | None) -> None:
        """It is gone."""
        self._wait()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes of a request."""
        if not self.unanswered and self.request is None:
            self._wait(self.patience.head_s, self._head_late)
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
        """A handler starts on `request`; its body may still be on the way."""
        self.request = request
        self._wait(self.patience.body_s, self._body_late)
        self._cut()

    def complete(self) -> None:
        """The body is there: from now on the client waits for us."""
        self._wait()

    def end(self, response: web.StreamResponse) -> None:
        """The handler is done; a client that sends no more gets this answer and the end."""
        if self.half_closed or (self.request is not None and not self.request.content.is_eof()):
            response.force_close()
        self.request, self.unanswered = None, False
        self._wait(self.patience.idle_s, self._leave)

    def _wait(self, seconds: float = 0.0, late: Callable[[], None] | None = None) -> None:
        """One deadline at a time; without `late`, none."""
        if self.deadline is not None:
            self.deadline.cancel()
        loop = asyncio.get_running_loop()
        self.deadline = loop.call_later(seconds, late) if late else None

    async def write(self, response: web.StreamResponse, line: bytes) -> None:
        """A line of a stream; a reader that rests holds a place that others want, and is cut off.

        Raises ConnectionResetError when nobody is there to read.
        """
        try:
            async with asyncio.timeout(self.patience.read_s):
                await response.write(line)
        except TimeoutError:
            self._leave()
            raise ConnectionResetError from None

    def _leave(self) -> None:
        """Nothing to say to who asks nothing, or does not read its answer."""
        if self.transport is not None:
            self.transport.abort()

    def _head_late(self) -> None:
        self._say(_slow("head", self.patience.head_s), "Request Timeout")

    def say_early(self, error: errors.SddError) -> web.Response:
        """The answer is out in HTTP/1.1, whatever was spoken; what is returned goes nowhere."""
        self._say(error, "Bad Request")
        return self.refuse(error)

    def _say(self, error: errors.SddError, reason: str) -> None:
        """An answer to who has asked nothing yet, and the end."""
        if self.transport is None:
            return
        answer = self.refuse(error)
        assert isinstance(answer.body, bytes)
        head = f"HTTP/1.1 {answer.status} {reason}\r\nContent-Type: application/json\r\n"
        head += f"Content-Length: {len(answer.body)}\r\nConnection: close\r\n\r\n"
        self.transport.write(head.encode() + answer.body)
        self.force_close()

    def _body_late(self) -> None:
        if self.request is not None:
            self.request.content.set_exception(_slow("body", self.patience.body_s))

    def _cut(self) -> None:
        """A body that can no longer become complete ends its reading with an error."""
        if self.half_closed and self.request is not None and not self.request.content.is_eof():
            self.request.content.set_exception(web.RequestPayloadError("the body is cut short"))

    def _give_up(self) -> None:
        if self.request is None and self.unanswered:
            self.force_close()

    def log_exception(self, *words: Any, **named: Any) -> None:
        """What a client did to its own request is no news for the log."""
        if not isinstance(named.get("exc_info"), web.RequestPayloadError | errors.SddError):
            super().log_exception(*words, **named)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Broken HTTP is the client's fault and no news for the log; all else is our defect."""
        if status < 500 and request.writer.output_size == 0:  # noqa: PLR2004 - HTTP's own border
            answer = self.refuse(broken(_words(exc, message or "")))
            answer.force_close()
            return answer
        return super().handle_error(request, status, exc, message)


def _full() -> errors.Unavailable:
    return errors.Unavailable(
        f"{MOST_CONNECTIONS} clients are connected already",
        hint="try again, and let programs that are done close their connections",
        code="SDD-API-FULL",
    )


def _slow(part: str, seconds: float) -> errors.TooSlow:
    return errors.TooSlow(
        f"the {part} of the request did not come within {seconds:g} s",
        hint="send the whole request at once",
    )
