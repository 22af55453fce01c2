"""The TCP listener: what is accepted counts at once, however fast it comes."""

import asyncio
import os
import socket
import stat
from collections.abc import AsyncIterator, Coroutine
from contextlib import closing, suppress
from pathlib import Path

import pytest

from resolver import counters, protocol
from resolver.listen import ready, respond, selector, server, stream
from resolver.message import wire
from resolver.names import answer
from tests.support import eventually_async
from tests.unit.resolver import questions

LONG_S = 180.0  # what would end by itself does so too late
PATIENCE_S = LONG_S / 3
SCOPE = answer.Scope.of(protocol.View("s", "", [], [], {}, []), [])


def tools(counts: counters.Counters, tasks: set[asyncio.Task[None]]) -> server.Tools:
    def spawn(work: Coroutine[None, None, None]) -> None:
        tasks.add(asyncio.get_running_loop().create_task(work, name="connection"))

    async def forward(*_: object) -> bytes:
        raise AssertionError("nothing is asked here")

    return server.Tools(
        responder=respond.Responder(counts, lambda _: 0),
        counts=counts,
        recall=lambda *_: None,
        lasting=lambda *_: None,
        stays=lambda *_: True,
        bar=lambda *_: None,
        forward=forward,
        begin=lambda *_: None,
        joins=lambda *_: False,
        spawn=spawn,
        pool=ready.Pool(counts),
        hot=selector.Selector(),
    )


async def test_two_hundred_connections_that_wait_are_let_in_as_others_leave() -> None:
    counts, tasks = counters.Counters(), set[asyncio.Task[None]]()
    listening = socket.create_server(("127.0.0.1", 0), backlog=200)
    listening.setblocking(False)
    # Within one turn of the loop: nobody was served when the last one is accepted.
    links = [socket.create_connection(listening.getsockname()) for _ in range(200)]
    tcp = stream.Tcp(listening, SCOPE, tools(counts, tasks))
    await eventually_async(lambda: len(tasks) >= stream.CONNECTIONS, 60, "the first are let in")
    assert tcp.connections == stream.CONNECTIONS == len(tasks)
    for each in links:
        with closing(each):
            each.shutdown(socket.SHUT_WR)
    most = 0

    def all_came() -> bool:
        nonlocal most
        most = max(most, tcp.connections)
        return len(tasks) == len(links)

    await eventually_async(all_came, 60, "the others are let in")
    assert most <= stream.CONNECTIONS
    await asyncio.gather(*tasks)
    assert not [key for key, _ in counts.sums() if key[0] == counters.TCP_REJECTED]
    assert tcp.connections == 0
    tcp.close()


class Talk:
    """A listener with small buffers, whose answers are long, and its clients."""

    def __init__(self) -> None:
        self.counts = counters.Counters()
        self.tasks = set[asyncio.Task[None]]()
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.listening.setblocking(False)
        self.listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        many = questions.a(*(f"10.1.0.{number}" for number in range(1, 101)))
        scope = questions.scope({wire.to_wire("many"): many})
        self.tcp = stream.Tcp(self.listening, scope, tools(self.counts, self.tasks))
        self.links: list[socket.socket] = []

    async def client(self) -> socket.socket:
        """One that is served."""
        link = socket.socket()
        self.links.append(link)
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        link.connect(self.listening.getsockname())
        link.setblocking(False)
        wanted = self.tcp.connections + 1
        await eventually_async(lambda: self.tcp.connections == wanted, 60, "it is let in")
        return link

    async def unread(self) -> socket.socket:
        """One that asks 20 times, and does not read its answers."""
        link = await self.client()
        wanted = self.answers() + 20
        link.sendall(20 * QUESTION)
        await eventually_async(lambda: self.answers() == wanted, 60, "all is answered")
        return link

    def answers(self) -> float:
        return sum(value for key, value in self.counts.sums() if key[0] == counters.RESPONSES)

    def ended(self) -> float:
        """How many were ended for others."""
        return sum(value for key, value in self.counts.sums() if key[0] == counters.TCP_REJECTED)

    @property
    def kept(self) -> int:
        """Descriptors of connections at the server's side."""
        clients = {each.getsockname() for each in self.links}
        return sum(peer_of(int(each.name)) in clients for each in DESCRIPTORS.iterdir())


DESCRIPTORS = Path("/proc/self/fd")


def peer_of(descriptor: int) -> object:
    """Whom it is connected to, None when it is no such thing."""
    with suppress(OSError):
        copy = os.dup(descriptor)
        if not stat.S_ISSOCK(os.fstat(copy).st_mode):
            os.close(copy)
            return None
        with socket.socket(fileno=copy) as link:
            return link.getpeername()
    return None


def framed(message: bytes) -> bytes:
    return len(message).to_bytes(2, "big") + message


QUESTION = framed(questions.data("many"))


@pytest.fixture
async def talk() -> AsyncIterator[Talk]:
    made = Talk()
    yield made
    if made.listening.fileno() >= 0:
        made.tcp.close()
    for each in made.links:
        each.close()
    await asyncio.gather(*made.tasks)


async def test_whoever_says_all_and_reads_nothing_keeps_no_descriptor(talk: Talk) -> None:
    """He acknowledges for ever that he has no room, and asyncio would wait for that."""
    link = await talk.unread()
    link.shutdown(socket.SHUT_WR)
    assert talk.kept == 1
    await eventually_async(lambda: talk.tcp.connections == 0, 60, "its place is free")
    await eventually_async(lambda: talk.kept == 0, 60, "its descriptor is released")


async def test_a_sandbox_that_goes_is_held_by_nobody_who_does_not_read(talk: Talk) -> None:
    await talk.unread()
    assert talk.kept == 1
    talk.tcp.close()
    await eventually_async(lambda: talk.kept == 0, 60, "its descriptor is released")


@pytest.fixture
def _lasting(monkeypatch: pytest.MonkeyPatch) -> None:
    """No connection ends but for others."""
    for name in ("IDLE_S", "MESSAGE_S", "WRITE_S"):
        monkeypatch.setattr(stream, name, LONG_S)


@pytest.mark.usefixtures("_lasting")
async def test_A8_61_of_those_that_do_not_read_one_makes_room_at_once(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "CONNECTIONS", 3)
    for _ in range(3):
        await talk.unread()
    for ended in (1, 2):
        link = socket.create_connection(talk.listening.getsockname(), 60)
        talk.links.append(link)
        link.setblocking(False)
        link.sendall(QUESTION)
        async with asyncio.timeout(PATIENCE_S):
            assert await asyncio.get_running_loop().sock_recv(link, 2)
        assert talk.ended() == ended


@pytest.mark.usefixtures("_lasting")
async def test_A8_61_first_one_makes_room_that_loses_nothing(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "CONNECTIONS", 2)
    unread = await talk.unread()
    idle = await talk.client()
    talk.links.append(socket.create_connection(talk.listening.getsockname(), 60))
    async with asyncio.timeout(PATIENCE_S):
        assert await asyncio.get_running_loop().sock_recv(idle, 1) == b""
    assert talk.ended() == 1
    reader, writer = await asyncio.open_connection(sock=unread)
    async with asyncio.timeout(PATIENCE_S):
        for _ in range(20):
            await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
    writer.close()


class Counted(socket.socket):
    """Counts how often somebody wants to accept."""

    tries = 0

    def accept(self) -> tuple[socket.socket, object]:
        self.tries += 1
        return super().accept()


async def test_a_listener_that_somebody_closed_wakes_the_loop_once() -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    counted = Counted(fileno=listening.detach())
    tcp = stream.Tcp(counted, SCOPE, tools(counters.Counters(), set()))
    counted.shutdown(socket.SHUT_RDWR)  # to the kernel as SOCK_DESTROY: no listener any more
    await eventually_async(lambda: counted.tries > 0, 60, "it is noticed")
    for _ in range(20):
        await asyncio.sleep(0)  # a turn of the loop, in which a socket that is ready is told
    assert counted.tries == 1
    tcp.close()
