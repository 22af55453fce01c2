"""Connections to upstreams that are kept: TLS, HTTPS and QUIC, opened once and shared.

In: messages for a server. Out: its replies. A connection lives in a task of its own, which holds
the socket it was lent; it ends when it was idle for a while, or shortly where others wait for a
socket, when the server ends it, or when nothing comes back on it. One that the server is about to
end answers what was asked on it, and new questions go to another. A question on a connection that
turns out to be gone is asked once more.
"""

import asyncio
import functools
import socket
import ssl
from collections.abc import Callable, Coroutine
from collections.abc import Set as AbstractSet
from typing import Final, NamedTuple, Protocol

from resolver import protocol
from resolver.upstream import late, proof
from resolver.upstream.sockets import (
    Dial,
    Holder,
    NoReply,
    Unproven,
    Why,
    address,
    detail_of,
    why_of,
)

IDLE_S: Final = 10.0
OPEN_S: Final = 4.5  # a handshake may outlast the question that asked for it
ATTEMPTS: Final = 3
QUIET_S: Final = 0.5  # on a kept connection, before the way there is taken for gone
QUIET_REPLIES: Final = 4  # or as long as so many replies took, where they take longer

Spawn = Callable[[Coroutine[None, None, None]], None]


class Said(NamedTuple):
    """A reply, and for how long a cache on its way has held it already."""

    message: bytes
    age_s: int = 0


class Declined(Exception):
    """The server does not answer this one question; the connection goes on."""


class GivenBack(OSError):
    """The server ends the connection and has not looked at this question."""


class Session(Protocol):
    """One open connection; `heard` grows with whatever comes, `answered` with each reply."""

    heard: int
    answered: int

    @property
    def is_open(self) -> bool:
        """Whether another question may be asked on it."""
        ...

    async def ask(self, message: bytes) -> Said:
        """The reply to `message`, id and all.

        Raises OSError when the connection ends first or takes no more questions, and Declined.
        """
        ...

    def close(self) -> None:
        """End it; whoever waits gets OSError."""
        ...


class _Gone(Exception):
    """The connection is gone, which says nothing of the server: another one may be tried."""


Opened = Callable[[Session], None]
Key = tuple[protocol.Upstream, str]


class _Use:
    """Of the connections to one server; they are idle while nobody asks it anything."""

    __slots__ = ("askers", "idle_since")

    def __init__(self) -> None:
        self.askers = 0
        self.idle_since: float | None = None


class _Life:
    """One connection, which holds a socket."""

    __slots__ = ("_use", "session")

    def __init__(self, use: _Use) -> None:
        self._use = use
        self.session: Session | None = None

    @property
    def idle_since(self) -> float | None:
        """From when on nobody has asked anything; None while somebody does, or it opens."""
        return self._use.idle_since if self.session else None

    def let_go(self) -> None:
        """Somebody needs its socket: the next question opens another one."""
        if self.session:
            self.session.close()


class Sessions:
    """At most one connection a server that is asked, and a sandbox where it is dialled from inside.

    Others may be there that only give their last answers.
    """

    def __init__(self, spawn: Spawn) -> None:
        self._spawn = spawn
        self._open: dict[Key, Session] = {}
        self._opening: dict[Key, asyncio.Future[Session | NoReply]] = {}
        self._lives: dict[Key, set[asyncio.Task[None]]] = {}
        self._took_s: dict[Key, float] = {}
        self._uses: dict[Key, _Use] = {}

    def forget(self, sandboxes: AbstractSet[str]) -> None:
        """Nobody is asked from inside of these any more: their connections end at once."""
        for key in [each for each in self._took_s if each[1] in sandboxes]:
            del self._took_s[key]
        for key in [each for each in self._opening if each[1] in sandboxes]:
            self._opening.pop(key).set_result(NoReply(Why.LOST))
        for kept in [each for each in self._lives if each[1] in sandboxes]:
            for life in self._lives[kept]:
                life.cancel()

    async def ask(
        self,
        dial: Dial,
        server: protocol.Upstream,
        sandbox: str,
        message: bytes,
        deadline: float,
    ) -> Said:
        """The server's reply until `deadline`, a time of the event loop; raises NoReply.

        LOST says only that a kept connection is gone: a new one was not tried, or not for long.
        """
        key = server, sandbox if server.inside else ""
        use = self._uses.setdefault(key, _Use())
        use.askers, use.idle_since = use.askers + 1, None
        try:
            return await self._answered(key, dial, message, deadline)
        finally:
            use.askers -= 1
            if not use.askers:
                use.idle_since = asyncio.get_running_loop().time()
                dial.look()
                self._tidy(key)

    def _tidy(self, key: Key) -> None:
        """Forget who uses what is not there."""
        use = self._uses.get(key)
        if use and not (use.askers or key in self._lives or key in self._opening):
            del self._uses[key]

    async def _answered(self, key: Key, dial: Dial, message: bytes, deadline: float) -> Said:
        for _ in range(ATTEMPTS):
            kept = self._open.get(key)
            try:
                if kept is not None and kept.is_open:
                    return await self._again(key, kept, message, deadline)
                return await self._anew(key, dial, message, deadline)
            except _Gone:
                continue
            except Declined as exc:
                raise NoReply(Why.DECLINED) from exc
        raise NoReply(Why.LOST)

    async def _anew(self, key: Key, dial: Dial, message: bytes, deadline: float) -> Said:
        """The reply over a connection that nobody has used yet; what fails here fails anew."""
        session: Session | None = None
        try:
            async with asyncio.timeout_at(deadline):
                session = await self._opened(key, dial)
                return await self._asked(key, session, message)
        except TimeoutError:
            if session and not session.answered:
                session.close()
            raise NoReply(Why.TIMEOUT) from None
        except GivenBack:
            raise _Gone from None
        except OSError as exc:
            if session and session.answered:
                raise _Gone from exc  # it was well, others have used it up
            raise NoReply(Why.CLOSED) from exc

    async def _again(self, key: Key, kept: Session, message: bytes, deadline: float) -> Said:
        """The reply over a kept connection; raises _Gone when there is no such any more.

        One on which nothing at all came for a while is closed: the way there may be gone without a
        word, as NAT forgets idle connections.
        """
        loop = asyncio.get_running_loop()
        heard = kept.heard
        quiet_s = max(QUIET_S, QUIET_REPLIES * self._took_s.get(key, OPEN_S))
        try:
            async with asyncio.timeout_at(deadline) as patience:
                end = functools.partial(_end_if_quiet, patience, kept, heard)
                watch = loop.call_later(quiet_s, end)
                try:
                    return await self._asked(key, kept, message)
                finally:
                    watch.cancel()
        except TimeoutError:
            pass
        except OSError as exc:
            raise _Gone from exc
        if kept.heard != heard:
            raise NoReply(Why.TIMEOUT)
        kept.close()
        if loop.time() >= deadline:
            raise NoReply(Why.LOST)
        raise _Gone

    async def _asked(self, key: Key, session: Session, message: bytes) -> Said:
        loop = asyncio.get_running_loop()
        began = loop.time()
        said = await session.ask(message)
        self._took_s[key] = loop.time() - began
        return said

    async def _opened(self, key: Key, dial: Dial) -> Session:
        opening = self._opening.get(key)
        if opening is None:
            opening = self._opening[key] = asyncio.get_running_loop().create_future()
            self._spawn(self._live(key, dial, opening))
        found = await asyncio.shield(opening)
        if isinstance(found, NoReply):
            raise type(found)(found.why, found.detail)  # a raised one is its raiser's own
        return found

    async def _live(
        self, key: Key, dial: Dial, opening: "asyncio.Future[Session | NoReply]"
    ) -> None:
        """The life of one connection."""
        life = asyncio.current_task()
        assert life is not None
        if opening.done():
            return  # forgotten before it began
        lives = self._lives.setdefault(key, set())
        lives.add(life)
        one = _Life(self._uses.setdefault(key, _Use()))

        def told(session: Session) -> None:
            one.session = session
            self._open[key] = session
            self._opening.pop(key, None)  # whoever finds this one gone opens another
            opening.set_result(session)
            if one.idle_since is not None:
                dial.look()

        failed = NoReply(Why.REFUSED)
        try:
            await _run(key[0], dial, one, told)
        except TimeoutError:
            failed = NoReply(Why.TIMEOUT)
        except ssl.SSLCertVerificationError as exc:
            failed = Unproven(Why.TLS, proof.lacking(exc))
        except ssl.SSLError as exc:
            failed = NoReply(Why.TLS, proof.lacking(exc))
        except ImportError:
            failed = NoReply(Why.UNSUPPORTED)
        except NoReply as exc:
            failed = exc
        except OSError as exc:
            failed = NoReply(why_of(exc), detail_of(exc))
        finally:
            if not opening.done():
                self._opening.pop(key, None)
                opening.set_result(failed)
            if one.session:
                one.session.close()
                if self._open.get(key) is one.session:
                    del self._open[key]
            lives.discard(life)
            if not lives and self._lives.get(key) is lives:
                del self._lives[key]
            self._tidy(key)


def _end_if_quiet(patience: asyncio.Timeout, session: Session, heard: int) -> None:
    if session.heard == heard:
        patience.reschedule(asyncio.get_running_loop().time())


async def _run(server: protocol.Upstream, dial: Dial, holder: Holder, opened: Opened) -> None:
    """Connect, shake hands, say so, and stay until the end."""
    loop = asyncio.get_running_loop()
    live = await _transport(server.transport)
    is_quic = server.transport == "quic"
    async with dial.udp(holder) if is_quic else dial.tcp(holder) as link:
        async with asyncio.timeout(OPEN_S):
            await loop.sock_connect(link, address(server))
        own = link.dup()  # asyncio closes what it is given; a lent socket must stay
        try:
            await live(own, server, opened)
        finally:
            own.close()


Live = Callable[[socket.socket, protocol.Upstream, Opened], Coroutine[None, None, None]]


async def _transport(name: str) -> Live:
    """Loaded when first used: most workers need none of them. Raises ImportError."""
    if name == "tls":
        from resolver.upstream import dot

        return dot.live
    if name == "https":
        from resolver.upstream import doh

        return doh.live
    live: Live = (await late.doq()).live
    return live
