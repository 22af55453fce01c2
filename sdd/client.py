"""Synchronous HTTP over the daemon's unix socket; speaks plain dictionaries.

In: method, path, a value for the body. Out: the decoded JSON, or an error of sdd.errors with the
daemon's own sentence. Stays light: standard library only.
"""

import http.client
import json
import os
import socket
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from sdd import errors

DEFAULT_HOST = "unix:///run/sdd/sdd.sock"
MAX_REPLY_BYTES = 256 << 20  # a defence against a broken peer, far above any listing


class Client:
    """Talks to the daemon at `host` (`unix:///PATH`); each request may take `timeout_s`."""

    def __init__(self, host: str, timeout_s: float) -> None:
        if not host.startswith("unix:///"):
            raise errors.Usage(
                f'"{host}" is no address of a daemon',
                hint=f"use unix:///PATH, such as {DEFAULT_HOST}",
            )
        self._path = host.removeprefix("unix://")
        self._timeout_s = timeout_s

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        """The JSON at `path`."""
        return self.request("GET", f"{path}?{urlencode(query)}" if query else path)

    def post(self, path: str, body: object) -> Any:
        """What the daemon answers to `body`."""
        return self.request("POST", path, body)

    def patch(self, path: str, body: object) -> Any:
        """What the daemon answers to the change."""
        return self.request("PATCH", path, body)

    def delete(self, path: str) -> Any:
        """What the daemon says is gone."""
        return self.request("DELETE", path)

    def request(self, method: str, path: str, body: object = None) -> Any:
        """The decoded answer; raises Unreachable, Denied, TimedOut, or the daemon's own error."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Host": "sdd"} | ({"Content-Type": "application/json"} if data else {})
        link = _Connection(self._path, self._timeout_s)
        try:
            link.request(method, path, body=data, headers=headers)
            reply = link.getresponse()
            text = reply.read(MAX_REPLY_BYTES)
        except TimeoutError:
            raise errors.TimedOut(
                f"the daemon did not answer within {self._timeout_s:g} s",
                hint="it may still complete the work; allow more time with --timeout",
            ) from None
        except (OSError, http.client.HTTPException) as exc:
            raise errors.Unreachable(
                f"the daemon at {self._path} broke off: {_reason(exc)}",
                hint="look at its log: journalctl -u sdd",
            ) from None
        finally:
            link.close()
        return _value(reply.status, text, self._path)


class _Connection(http.client.HTTPConnection):
    """An HTTP connection whose other end is a socket file."""

    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("sdd", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        link.settimeout(self.timeout)
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
        self.sock = link


def part(text: str) -> str:
    """`text` as one part of a path."""
    return quote(text, safe="")


def _reason(exc: Exception) -> str:
    if isinstance(exc, OSError) and exc.errno:
        return os.strerror(exc.errno).lower()
    return str(exc) or type(exc).__name__


def _value(status: int, text: bytes, where: str) -> Any:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if status < 400 and found is not None:  # noqa: PLR2004 - HTTP's own border
        return found
    if isinstance(found, dict) and "error" in found:
        raise problem(found)
    raise errors.Unreachable(
        f"what answers at {where} is not sdd (HTTP {status})", hint="check -H and SDD_HOST"
    )


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
