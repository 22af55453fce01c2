"""Synchronous HTTP over the daemon's unix socket; speaks plain dictionaries.

In: method, path, a value for the body. Out: the decoded JSON, or an error of sdd.errors with the
daemon's own sentence. Stays light: the few lines of HTTP/1.1 are written out, because http.client
and what it imports would be half of the time of every `sdctl`.
"""

import json
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sdd import errors

MAX_REPLY_BYTES = 256 << 20  # a defence against a broken peer, far above any listing
SILENCE_S = 60.0  # four missed heartbeats of a stream: the daemon is gone
PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


class Client:
    """Talks to the daemon at `host` (`unix:///PATH`); it may be silent for `timeout_s`."""

    def __init__(self, host: str, timeout_s: float) -> None:
        if not host.startswith("unix:///"):
            raise errors.Usage(
                f'"{host}" is no address of a daemon',
                hint="use unix:///PATH, such as unix:///run/sdd/sdd.sock",
            )
        self._path = host.removeprefix("unix://")
        self._timeout_s = timeout_s

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        """The JSON at `path`."""
        return self.request("GET", _with(path, query or {}))

    def post(self, path: str, body: object) -> Any:
        """What the daemon answers to `body`."""
        return self.request("POST", path, body)

    def patch(self, path: str, body: object) -> Any:
        """What the daemon answers to the change."""
        return self.request("PATCH", path, body)

    def delete(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        """What the daemon says is gone."""
        return self.request("DELETE", _with(path, query or {}))

    def stream(self, path: str, query: Mapping[str, str], *, forever: bool) -> Iterator[Any]:
        """The objects of a stream of JSON lines, as they come; `forever` expects heartbeats.

        Raises what `request` raises; ends when the daemon ends the stream.
        """
        # HTTP/1.0: the end of the stream is the end of the connection, nothing is in chunks.
        head = f"GET {_with(path, query)} HTTP/1.0\r\nHost: sdd\r\n\r\n"
        with self._connected() as link:
            if forever:
                link.settimeout(max(self._timeout_s, SILENCE_S))
            with self._telling(), link.makefile("rb") as file:
                _send(link, head.encode())
                status = file.readline()
                fields = b"".join(iter(file.readline, b"\r\n")) if status else b""
                if status.split()[1:2] != [b"200"]:
                    self._value(status + fields + b"\r\n" + file.read(MAX_REPLY_BYTES))
                for line in file:
                    if line.strip():
                        yield json.loads(line)

    def request(self, method: str, path: str, body: object = None) -> Any:
        """The decoded answer; raises Unreachable, Denied, TimedOut, or the daemon's own error."""
        data = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: sdd\r\nConnection: close\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
        with self._connected() as link, self._telling():
            _send(link, head.encode() + data)
            reply = _read(link)
        return self._value(reply)

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """What goes wrong on the socket, as a sentence."""
        try:
            yield
        except TimeoutError:
            raise errors.TimedOut(
                f"the daemon did not answer within {self._timeout_s:g} s",
                hint="it may still complete the work; allow more time with --timeout",
            ) from None
        except OSError as exc:
            raise errors.Unreachable(
                f"the daemon at {self._path} broke off: {_reason(exc)}",
                hint="look at its log: journalctl -u sdd",
            ) from None

    def _connected(self) -> socket.socket:
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        link.settimeout(self._timeout_s)
        try:
            link.connect(self._path)
        except PermissionError:
            link.close()
            raise errors.Denied(
                f"permission denied on {self._path}",
                hint='run it as root, or join the group "sdd" (equivalent to root on this host)',
            ) from None
        except OSError as exc:
            link.close()
            raise errors.Unreachable(
                f"daemon not reachable at {self._path}: {_reason(exc)}",
                hint="start it: systemctl start sdd   (or name its socket with -H or SDD_HOST)",
            ) from None
        return link

    def _value(self, reply: bytes) -> Any:
        status, text = split(reply)
        if not status and (not reply.strip() or reply.startswith(b"HTTP/1.")):
            raise errors.Unreachable(
                f"the daemon at {self._path} ended before it had answered",
                hint="what was asked may be done or not; see: journalctl -u sdd",
            )
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            found = None
        if 200 <= status < 300 and found is not None:  # noqa: PLR2004 - HTTP's own borders
            return found
        if isinstance(found, dict) and "error" in found:
            raise problem(found)
        raise errors.Unreachable(
            f"what answers at {self._path} is not sdd", hint="check -H and SDD_HOST"
        )


def _with(path: str, query: Mapping[str, str]) -> str:
    pairs = "&".join(f"{_escaped(key)}={_escaped(value)}" for key, value in query.items())
    return f"{path}?{pairs}" if pairs else path


def part(text: str) -> str:
    """`text` as one part of a path (RFC 3986 section 2.3); raises Usage for nothing."""
    if not text:
        raise errors.Usage(
            "an empty name means nothing", hint="give a name, an id or its beginning"
        )
    return _escaped(text)


def _escaped(text: str) -> str:
    return "".join(chr(byte) if byte in PLAIN else f"%{byte:02X}" for byte in text.encode())


def split(reply: bytes) -> tuple[int, bytes]:
    """Status and body of a whole HTTP/1.1 answer; status 0 when it is none or is cut short."""
    head, _, body = reply.partition(b"\r\n\r\n")
    first, *fields = head.split(b"\r\n")
    words = first.split()
    if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():  # noqa: PLR2004 - version and status
        return 0, b""
    for line in fields:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length" and value.strip() != b"%d" % len(body):
            return 0, b""
    return int(words[1]), body


def _send(link: socket.socket, request: bytes) -> None:
    try:
        link.sendall(request)
    except BrokenPipeError:
        # A daemon with too many clients says so and hangs up before it has read anything.
        if not link.recv(1, socket.MSG_PEEK):
            raise


def _read(link: socket.socket) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while size <= MAX_REPLY_BYTES and (chunk := _chunk(link, chunks)):
        chunks.append(chunk)
        size += len(chunk)
    return b"".join(chunks)


def _chunk(link: socket.socket, before: Sequence[bytes]) -> bytes:
    """The next bytes; a reset behind an answer only says that our request was not read."""
    try:
        return link.recv(1 << 18)
    except ConnectionResetError:
        if not before:
            raise
        return b""


def _reason(exc: OSError) -> str:
    return os.strerror(exc.errno).lower() if exc.errno else str(exc)


def problem(found: Mapping[str, Any]) -> errors.SddError:
    """The error that the daemon's problem document tells of, with its exit code."""
    kind = BY_EXIT.get(found.get("exit", 1)) or BY_STATUS.get(found.get("status", 400))
    return (kind or errors.Invalid)(
        str(found["error"]), hint=str(found.get("hint", "")), code=str(found.get("code", ""))
    )


BY_EXIT: Mapping[int, type[errors.SddError]] = {
    77: errors.Denied,
    124: errors.TimedOut,
    69: errors.Unreachable,
    2: errors.Usage,
}
BY_STATUS: Mapping[int, type[errors.SddError]] = {
    403: errors.Forbidden,
    404: errors.NotFound,
    409: errors.Conflict,
    500: errors.KernelRefused,
    503: errors.Unavailable,
    507: errors.Exhausted,
}
