"""A question of our own decides whether a server is there, one at a time."""

import asyncio
import itertools
import socket
from collections.abc import Iterator

import dns.message
import pytest

from resolver import clock, counters, notes, protocol
from resolver.names import answer
from resolver.upstream import exchange, forward, looks, sessions, sockets


class Server:
    """Reads questions over UDP, and answers when it is told to."""

    def __init__(self) -> None:
        self.link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.link.bind(("127.0.0.1", 0))
        self.link.setblocking(False)
        self.upstream = protocol.Upstream("127.0.0.1", self.link.getsockname()[1], inside=False)
        self.scope = answer.Scope("s", (), frozenset(), (self.upstream,))

    async def heard(self) -> tuple[dns.message.Message, tuple[str, int]]:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(60):
            data, peer = await loop.sock_recvfrom(self.link, 4096)
        return dns.message.from_wire(data), peer

    def is_asked(self) -> bool:
        try:
            return bool(self.link.recv(4096))
        except BlockingIOError:
            return False


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.link.close()


def made(tasks: asyncio.TaskGroup, *, leaves: bool = True) -> looks.Looks:
    numbers = itertools.count(7)

    def spawn(work: object) -> None:
        assert asyncio.iscoroutine(work)
        tasks.create_task(work)

    exchanges = exchange.Exchanges(
        counters.Counters(),
        lambda _box, _server: sockets.HOST4,
        sessions.Sessions(spawn),
        clock=clock.now,
        bits=lambda bits: next(numbers) % (1 << bits),
        note=notes.unheard,
    )
    return looks.Looks(exchanges, clock=clock.now, spawn=spawn, leaves=lambda _: leaves)


async def test_a_server_that_answers_ours_is_well(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forward, "LOOK_S", 60.0)
    health = forward.Health(silent=2)
    async with asyncio.TaskGroup() as tasks:
        own = made(tasks)
        for _ in range(3):
            own.look(server.upstream, server.scope, health, clock.now())
        query, peer = await server.heard()
        assert query.question[0].to_text() == ". IN NS"
        assert not server.is_asked()  # once
        server.link.sendto(dns.message.make_response(query).to_wire(), peer)
    assert (health.silent, health.is_looked_at) == (0, False)
    assert health.heard_at > 0


async def test_a_server_that_is_silent_to_ours_was_silent(server: Server) -> None:
    health = forward.Health()
    async with asyncio.TaskGroup() as tasks:
        began = clock.now()
        made(tasks).look(server.upstream, server.scope, health, began)
    assert (health.silent, health.is_looked_at) == (1, False)
    assert clock.now() - began > 0.9 * forward.LOOK_S  # timers of many are a little early


async def test_nobody_looks_who_has_learned_something_or_may_not(server: Server) -> None:
    health = forward.Health()
    began = clock.now()
    health.heard(began + 0.1)
    async with asyncio.TaskGroup() as tasks:
        made(tasks).look(server.upstream, server.scope, health, began)
        made(tasks, leaves=False).look(server.upstream, server.scope, forward.Health(), began)
    assert not server.is_asked()
