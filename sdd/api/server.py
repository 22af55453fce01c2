"""HTTP requests → handlers → JSON. The only file that knows aiohttp.

In: a context and where to listen. Out: a running Server. Every error leaves here as a problem
(sdd.errors.to_problem); what is not of our tree is a defect: its traceback is the log's alone.
"""

import asyncio
import errno
import os
import socket
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, Never

import msgspec
import structlog
from aiohttp import web

from sdd import errors, lacks
from sdd.api import listen, match, peercred, protocol
from sdd.api.call import Access, Call, Reply
from sdd.api.context import Context
from sdd.api.openapi import DESCRIPTION
from sdd.api.protocol import Patience
from sdd.api.routes import PROBES, ROUTES, Route
from sdd.defects import Unit
from sdd.model.raised import Raised

MAX_BODY_BYTES = 1 << 20  # the largest sensible request is a page; msgspec reads it in 10 ms
SHUTDOWN_LEAST_S = 0.01  # aiohttp takes 0 for no end at all
SHUTDOWN_S = 2.0  # for requests under way at the end, unless the configuration says otherwise
KEEP_S = 1.0  # how soon a socket file that somebody removed is missed
PATIENCE = Patience()

log = structlog.get_logger()


class Server:
    """Listening sockets and their handlers; `close` ends them and removes the socket files."""

    def __init__(
        self,
        runner: web.ServerRunner,
        dispatcher: "Dispatcher",
        sites: Mapping[Path, web.SockSite],
        port: int = 0,
    ) -> None:
        self._runner = runner
        self._dispatcher = dispatcher
        self._sites = dict(sites)
        self._numbers = {path: _number(path) for path in sites}
        self._foreign: dict[Path, int] = {}  # what lies in the place of ours
        self.port = port

    async def keep(self, pace_s: float = KEEP_S) -> Never:
        """Opens again what somebody removes from under us; ends by cancellation."""
        while True:
            await asyncio.sleep(pace_s)
            for path, ours in self._numbers.items():
                found = _number(path)
                if found != ours and found != (self._foreign.get(path) or ours):
                    await self._reopen(path)

    async def _reopen(self, path: Path) -> None:
        try:
            link = listen.unix(f"unix://{path}")
        except errors.SddError as error:
            if path not in self._foreign:
                log.warning("api.socket_lost", path=str(path), why=error.sentence)
            self._foreign[path] = _number(path)
            return
        self._foreign.pop(path, None)
        site = web.SockSite(self._runner, link)
        try:
            await site.start()
        except BaseException:
            link.close()  # else the next try would take it for another daemon's
            raise
        before, self._sites[path] = self._sites[path], site
        await before.stop()
        self._numbers[path] = _number(path)
        log.warning("api.socket_reopened", path=str(path))

    async def close(self) -> None:
        """No new requests; running ones get their time, endless ones end now."""
        for path, ours in self._numbers.items():
            if _number(path) == ours:
                path.unlink(missing_ok=True)
        self._dispatcher.hang_up()
        await self._runner.cleanup()


def _number(path: Path) -> int:
    """The inode of the socket file; 0 when it is gone."""
    try:
        return path.lstat().st_ino
    except OSError:
        return 0


async def serve(
    context: Context,
    urls: Sequence[str],
    inherited: Sequence[socket.socket] = (),
    *,
    shutdown_s: float = SHUTDOWN_S,
    patience: Patience = PATIENCE,
) -> Server:
    """Serve the whole API on `urls`; at the end requests under way have `shutdown_s` to finish.

    `patience` is how long clients may take.

    An inherited socket (systemd's) that is bound to the path of a URL is taken instead of a new
    one, and left to its owner at the end; `fd://` takes all that remain.
    """
    left = {str(link.getsockname()): link for link in inherited}
    links: list[socket.socket] = []
    paths: dict[int, Path] = {}  # of the sockets that we made
    try:
        for url in urls:
            path = url.removeprefix("unix://")
            if url == "fd://":
                links += _activated(left)
            elif path in left:
                links.append(left.pop(path))
            else:
                links.append(listen.unix(url))
                paths[links[-1].fileno()] = Path(path)
    except errors.SddError:
        for link in links:
            link.close()
        raise
    for link in links:
        link.setblocking(False)
    dispatcher = Dispatcher(context, (*ROUTES, *PROBES, DESCRIPTION), peercred.admins())
    runner, sites = await _start(dispatcher, links, patience, shutdown_s)
    made = {paths[number]: site for number, site in sites.items() if number in paths}
    return Server(runner, dispatcher, made)


def _unknown(host: str, port: int) -> str:
    del host, port
    return ""


async def serve_metrics(
    context: Context, host: str, port: int, holder: Callable[[str, int], str] = _unknown
) -> Server:
    """Serve only the probes and the Prometheus page, on TCP; port 0 takes a free one.

    `holder` tells who has an address and port, empty when that cannot be told.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    link = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    link.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        link.bind((host, port))
    except OSError as exc:
        link.close()
        who = holder(host, port) if exc.errno == errno.EADDRINUSE else ""
        why = os.strerror(exc.errno or 0).lower() + (f" by {who}" if who else "")
        raise errors.Conflict(
            f"cannot serve metrics at {host}:{port}: {why}",
            hint='choose another "metrics-addr", or "off"',
            code="SDD-API-METRICS",
        ) from None
    link.listen(listen.BACKLOG)
    link.setblocking(False)
    port = link.getsockname()[1]
    dispatcher = Dispatcher(context, PROBES, None)
    runner, _ = await _start(dispatcher, [link])
    return Server(runner, dispatcher, {}, port)


def _activated(left: dict[str, socket.socket]) -> Sequence[socket.socket]:
    if not left:
        raise errors.Invalid(
            "hosts has fd:// but no socket was handed over",
            hint="start it through sdd.socket, or use unix:///run/sdd/sdd.sock",
            code="SDD-API-SOCKET",
        )
    found = tuple(left.values())
    left.clear()
    return found


async def _start(
    dispatcher: "Dispatcher",
    links: Sequence[socket.socket],
    patience: Patience = PATIENCE,
    shutdown_s: float = SHUTDOWN_S,
) -> tuple[web.ServerRunner, dict[int, web.SockSite]]:
    """The runner, and the site of each socket by its descriptor."""
    protocols = protocol.Protocols(dispatcher.handle)
    protocols.refuse, protocols.patience = _refuse, patience
    runner = web.ServerRunner(protocols, shutdown_timeout=max(shutdown_s, SHUTDOWN_LEAST_S))
    await runner.setup()
    sites = {link.fileno(): web.SockSite(runner, link) for link in links}
    for site in sites.values():
        await site.start()
    return runner, sites


class Dispatcher:
    """One request: route, permission, handler, answer. `admins` None means a public TCP socket."""

    def __init__(
        self, context: Context, routes: Sequence[Route], admins: peercred.Admins | None
    ) -> None:
        self._context = context
        self._routes = routes
        self._admins = admins
        self._streams: set[asyncio.Task[object]] = set()

    def hang_up(self) -> None:
        """End every stream: its readers would wait for ever."""
        for each in self._streams:
            each.cancel()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """The answer to `request`; never raises for anything that a client can cause."""
        assert isinstance(request.protocol, protocol.Protocol)
        request.protocol.begin(request)
        if request.version < (1, 0):
            return request.protocol.say_early(protocol.broken("its first line names no HTTP/1.1"))
        reply = await self._reply(request)
        if reply.stream is not None:
            return await self._streamed(request, reply.stream)
        response = _response(reply)
        request.protocol.end(response)
        return response

    async def _streamed(
        self, request: web.BaseRequest, stream: AsyncGenerator[object, None]
    ) -> web.StreamResponse:
        task = asyncio.current_task()
        assert task is not None  # a handler always runs in one
        self._streams.add(task)
        try:
            return await _streamed(request, stream)
        finally:
            self._streams.discard(task)

    async def _reply(self, request: web.BaseRequest) -> Reply:
        began = time.monotonic()
        action = whose = ""
        on: Mapping[str, str] = {}
        try:
            route, values = match.find(self._routes, request.method, request.rel_url.raw_path)
            on = _named(values)
            whose = route.action
            action = route.action if route.method != "GET" else ""
            peercred.demand(self._access(request), route.access)
            match.check_query(route, request.query)
            reply = await route.handler(self._context, await _call(request, values))
            on = on or _made(reply)
            result = "ok"
        except errors.SddError as error:
            reply, result = _problem(error), error.code
        except (ConnectionError, web.RequestPayloadError):
            broken = protocol.broken("its body ended early or its chunks are broken")
            reply, result = _problem(broken), broken.code
        except Exception as exc:  # noqa: BLE001 - a boundary: it becomes an answer
            unforeseen = _lacking(exc)
            if unforeseen is None:
                self._context.defects.met(Unit.REQUEST, Raised.of(exc), whose)
                unforeseen = _defect()
            else:
                log.warning("api.lacks", action=whose, why=unforeseen.sentence)
            reply, result = _problem(unforeseen), unforeseen.code
        if action:
            seconds = time.monotonic() - began
            self._context.registry.command(action, result, seconds)
            log.info("api.command", action=action, result=result, ms=round(seconds * 1000, 1), **on)
        return reply

    def _access(self, request: web.BaseRequest) -> Access:
        if self._admins is None or request.transport is None:
            return Access.READ
        link = request.transport.get_extra_info("socket")
        return self._admins.access(peercred.of(link))


def _named(values: Mapping[str, str]) -> Mapping[str, str]:
    """The refs of a path, for the log; whatever was typed is cut to a sensible length."""
    return {name: value[:100] for name, value in values.items()}


def _made(reply: Reply) -> Mapping[str, str]:
    """The name of what a create made."""
    name = reply.value.get("Name") if isinstance(reply.value, dict) else None
    return {"name": name} if isinstance(name, str) else {}


def _query(request: web.BaseRequest) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in request.query.items():
        if name in found:
            raise errors.Invalid(
                f"the query says {errors.quoted(name)} twice",
                hint="say it once",
                code="SDD-API-QUERY",
            )
        found[name] = value
    return found


async def _call(request: web.BaseRequest, values: Any) -> Call:
    query = _query(request)
    if "accept" not in query and "Accept" in request.headers:
        query["accept"] = request.headers["Accept"]
    if (coding := request.headers.get("Content-Encoding", "identity")) != "identity":
        raise protocol.broken(f"its body is packed with {errors.quoted(coding)}, which is not read")
    if (request.content_length or 0) > MAX_BODY_BYTES:
        raise _too_large()
    await _encourage(request)
    try:
        body = await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise _too_large() from None
    assert isinstance(request.protocol, protocol.Protocol)
    request.protocol.complete()
    return Call(path=values, query=query, body=body)


async def _encourage(request: web.BaseRequest) -> None:
    """Who asks before sending a body is told to go on (RFC 9110 section 10.1.1)."""
    wish = request.headers.get("Expect", "").lower()
    if wish == "100-continue" and request.version >= (1, 1) and not request.content.is_eof():
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # nothing of the answer itself is out


def _too_large() -> errors.TooLarge:
    return errors.TooLarge(
        f"the request body is larger than {MAX_BODY_BYTES} bytes",
        hint="no request needs more than a part of that: send less",
        code="SDD-API-LARGE",
    )


async def _streamed(
    request: web.BaseRequest, stream: AsyncGenerator[object, None]
) -> web.StreamResponse:
    """Lines as they come, until the stream or the client ends."""
    assert isinstance(request.protocol, protocol.Protocol)
    response = web.StreamResponse(headers={"Content-Type": "application/jsonl"})
    response.force_close()
    async with aclosing(stream) as lines:
        await response.prepare(request)
        async for each in lines:
            line = b"\n" if each is None else msgspec.json.encode(each) + b"\n"
            await request.protocol.write(response, line)
    await response.write_eof()
    return response


def _problem(error: errors.SddError) -> Reply:
    allow = error.allowed if isinstance(error, errors.NoSuchMethod) else ""
    return Reply(value=errors.to_problem(error), status=error.status, allow=allow)


def _refuse(error: errors.SddError) -> web.Response:
    return _response(_problem(error))


def _defect() -> errors.Defect:
    return errors.Defect(
        "sdd made a mistake while it worked on this request",
        hint="the daemon's log has the details",
    )


def _lacking(exc: Exception) -> errors.SddError | None:
    """What the machine had not enough of, if that is why a command failed."""
    if not isinstance(exc, OSError) or exc.errno is None or exc.errno not in lacks.HINTS:
        return None
    return errors.Exhausted(
        f"sdd could not work on this request: {os.strerror(exc.errno).lower()}",
        hint=lacks.HINTS[exc.errno],
        code="SDD-API-LACKS",
    )


def _response(reply: Reply) -> web.Response:
    if reply.raw is not None:
        headers = {"Content-Type": reply.content_type}
        return web.Response(body=reply.raw, status=reply.status, headers=headers)
    body = msgspec.json.encode(reply.value) + b"\n"
    headers = {"Content-Type": "application/json"} | ({"Allow": reply.allow} if reply.allow else {})
    return web.Response(body=body, status=reply.status, headers=headers)
