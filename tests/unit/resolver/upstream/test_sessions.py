"""Encrypted connections of sandboxes that are removed, over real TLS on loopback."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Coroutine, Iterator

import pytest

from resolver import protocol
from resolver.upstream import sockets
from resolver.upstream.sessions import IDLE_S, OPEN_S, Sessions
from resolver.upstream.sockets import NoReply
from tests.scenario import certificates

PATIENCE_S = IDLE_S / 2  # an idle connection would end by itself later
SHORT_S = OPEN_S / 2  # and one that is being opened
QUESTION = b"\x12\x34" + bytes(20)
GONE, STAYS = "gone", "stays"


@pytest.fixture(scope="module")
def trusted() -> Iterator[certificates.Certificates]:
    with certificates.made() as made:
        yield made


class Echo:
    """Says what it is asked, over TLS; `ended` counts connections that ended."""

    def __init__(self) -> None:
        self.came = self.ended = 0
        self.changed = asyncio.Condition()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        await self._count(came=1)
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                if writer.get_extra_info("ssl_object"):
                    writer.write(data)
        writer.transport.abort()
        await self._count(ended=1)

    async def _count(self, came: int = 0, ended: int = 0) -> None:
        async with self.changed:
            self.came += came
            self.ended += ended
            self.changed.notify_all()

    async def wait(self, came: int, ended: int, within_s: float = PATIENCE_S) -> None:
        """Until so many came and ended."""
        async with asyncio.timeout(within_s), self.changed:
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


def inside() -> sockets.Inside:
    """What sdd opens in a sandbox."""
    return sockets.Inside([], [socket.socket(type=socket.SOCK_STREAM | socket.SOCK_NONBLOCK)])


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
            await echo.wait(1, 1, SHORT_S)
        else:
            await life
        await asking
        assert echo.came == has_begun
