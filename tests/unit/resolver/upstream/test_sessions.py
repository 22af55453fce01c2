"""Encrypted connections of sandboxes that are removed, over real TLS on loopback."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence

import pytest

from resolver import protocol
from resolver.upstream import doh, doq, dot, lending, sessions, sockets, tls
from resolver.upstream.sessions import Sessions
from resolver.upstream.sockets import NoReply
from tests.scenario import certificates

LONG_S = 120.0  # what would come about by itself comes too late
PATIENCE_S = LONG_S / 2
QUESTION = b"\x12\x34" + bytes(20)
GONE, STAYS = "gone", "stays"


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """An idle connection, and one that is being opened, would end by itself after `LONG_S`."""
    for module in (sessions, doh, doq, dot, tls):
        for name in ("IDLE_S", "OPEN_S"):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, LONG_S)
    monkeypatch.setattr(sessions, "QUIET_S", LONG_S)
    monkeypatch.setattr(lending, "LEND_S", LONG_S)


@pytest.fixture(scope="module")
def trusted() -> Iterator[certificates.Certificates]:
    with certificates.made() as made:
        yield made


class Echo:
    """Says what it is asked, over TLS; `ended` counts connections that ended.

    With `is_silent` it waits for `speak`.
    """

    def __init__(self, *, is_silent: bool = False) -> None:
        self.speak = asyncio.Event()
        if not is_silent:
            self.speak.set()
        self.came = self.ended = 0
        self.changed = asyncio.Condition()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        await self._count(came=1)
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                await self.speak.wait()
                if writer.get_extra_info("ssl_object"):
                    writer.write(data)
        writer.transport.abort()
        await self._count(ended=1)

    async def _count(self, came: int = 0, ended: int = 0) -> None:
        async with self.changed:
            self.came += came
            self.ended += ended
            self.changed.notify_all()

    async def wait(self, came: int, ended: int) -> None:
        """Until so many came and ended."""
        async with asyncio.timeout(PATIENCE_S), self.changed:
            await self.changed.wait_for(lambda: (self.came, self.ended) == (came, ended))


@contextlib.asynccontextmanager
async def listening(echo: Echo, context: ssl.SSLContext | None) -> AsyncIterator[int]:
    """The port; without a context nobody ever shakes hands there."""
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


def upstream(port: int, trusted: certificates.Certificates) -> protocol.Upstream:
    return protocol.Upstream(
        "127.0.0.1", port, inside=True, transport="tls", ca=str(trusted.authority)
    )


def inside() -> lending.Inside:
    """What sdd opens in a sandbox."""
    return lending.Inside([], [socket.socket(type=socket.SOCK_STREAM | socket.SOCK_NONBLOCK)])


async def ask(sessions: Sessions, server: protocol.Upstream, sandbox: str) -> bytes:
    deadline = asyncio.get_running_loop().time() + PATIENCE_S
    with contextlib.closing(inside()) as dial:  # what is lent is closed when it comes back
        return (await sessions.ask(dial, server, sandbox, QUESTION, deadline)).message


async def test_what_goes_with_a_sandbox_ends_at_once_and_no_other(
    trusted: certificates.Certificates,
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(trusted.chain, trusted.key)
    echo = Echo()
    async with listening(echo, context) as port, asyncio.TaskGroup() as work:

        def spawn(job: Coroutine[None, None, None]) -> None:
            work.create_task(job, name="connection")

        sessions = Sessions(spawn)
        server = upstream(port, trusted)
        for sandbox in (GONE, STAYS):
            assert await ask(sessions, server, sandbox) == QUESTION
        await echo.wait(2, 0)
        sessions.forget({GONE})
        await echo.wait(2, 1)
        assert await ask(sessions, server, STAYS) == QUESTION
        await echo.wait(2, 1)
        sessions.forget({STAYS})
        await echo.wait(2, 2)


@pytest.mark.parametrize("has_begun", [True, False])
async def test_one_that_is_being_opened_is_given_up(
    trusted: certificates.Certificates, has_begun: bool
) -> None:
    held: list[Coroutine[None, None, None]] = []
    echo = Echo()
    async with listening(echo, None) as port, asyncio.TaskGroup() as work:
        sessions = Sessions(held.append)

        async def asked() -> None:
            with pytest.raises(NoReply):
                await ask(sessions, upstream(port, trusted), GONE)

        asking = work.create_task(asked(), name="asking")
        await asyncio.sleep(0)
        (life,) = held
        if has_begun:
            work.create_task(life, name="connection")
            await echo.wait(1, 0)
        sessions.forget({GONE})
        if has_begun:
            await echo.wait(1, 1)
        else:
            await life
        await asking
        assert echo.came == has_begun


class Town:
    """Servers over TLS, and a sandbox with fewer sockets than there are of these."""

    def __init__(self, work: asyncio.TaskGroup, servers: Sequence[protocol.Upstream]) -> None:
        links = [socket.socket(type=socket.SOCK_STREAM | socket.SOCK_NONBLOCK) for _ in servers[1:]]
        self.dial = lending.Inside([], links)
        self.servers = servers
        self._sessions = Sessions(lambda job: _begun(work, job))
        self._sandboxes = {STAYS}

    async def ask(
        self, number: int, message: bytes = QUESTION, patience_s: float = PATIENCE_S
    ) -> bytes:
        deadline = asyncio.get_running_loop().time() + patience_s
        said = await self._sessions.ask(self.dial, self.servers[number], STAYS, message, deadline)
        return said.message

    def close(self) -> None:
        self._sessions.forget(self._sandboxes)
        self.dial.close()


def _begun(work: asyncio.TaskGroup, job: Coroutine[None, None, None]) -> None:
    work.create_task(job, name="connection")


@contextlib.asynccontextmanager
async def crowded(
    trusted: certificates.Certificates, echoes: Sequence[Echo]
) -> AsyncIterator[Town]:
    """One socket less than there are servers."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(trusted.chain, trusted.key)
    async with contextlib.AsyncExitStack() as open_ones, asyncio.TaskGroup() as work:
        ports = [await open_ones.enter_async_context(listening(each, context)) for each in echoes]
        town = Town(work, [upstream(port, trusted) for port in ports])
        try:
            yield town
        finally:
            town.close()


async def test_whoever_finds_no_socket_has_that_of_the_connection_idle_the_longest(
    trusted: certificates.Certificates,
) -> None:
    echoes = [Echo() for _ in range(4)]
    async with crowded(trusted, echoes) as town:
        for number in (0, 1, 2, 0, 3):
            assert await town.ask(number) == QUESTION
        await echoes[1].wait(1, 1)
        assert [(each.came, each.ended) for each in echoes] == [(1, 0), (1, 1), (1, 0), (1, 0)]
        for number in (1, 2, 3, 0) * 3:
            assert await town.ask(number) == QUESTION


async def test_a_connection_on_which_somebody_waits_is_kept(
    trusted: certificates.Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But whoever waits for a socket has it as soon as nobody does."""
    silent, other = Echo(is_silent=True), Echo()
    async with crowded(trusted, [silent, other]) as town, asyncio.TaskGroup() as both:
        first = both.create_task(town.ask(0), name="first")
        await silent.wait(1, 0)
        with monkeypatch.context() as hurried:
            hurried.setattr(lending, "LEND_S", 0.05)
            with pytest.raises(NoReply) as told:
                await town.ask(1)
        assert told.value.why is sockets.Why.SHORT
        second = both.create_task(town.ask(1), name="second")
        await asyncio.sleep(0)
        silent.speak.set()
        assert await first == await second == QUESTION
        await silent.wait(1, 1)


async def test_an_exchange_over_plain_tcp_has_the_socket_of_an_idle_connection(
    trusted: certificates.Certificates,
) -> None:
    echoes = [Echo(), Echo()]
    async with crowded(trusted, echoes) as town:
        assert await town.ask(0) == QUESTION
        async with town.dial.tcp():
            await echoes[0].wait(1, 1)
        assert await town.ask(1) == QUESTION
