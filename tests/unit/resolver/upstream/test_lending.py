"""Sockets from inside a sandbox are lent by turns, and none gets lost."""

import asyncio
import socket
from collections.abc import Iterator

import pytest

from resolver.upstream import lending, sockets


@pytest.fixture
def links() -> Iterator[list[socket.socket]]:
    made = [socket.socket(type=socket.SOCK_STREAM | socket.SOCK_NONBLOCK) for _ in range(2)]
    yield made
    for each in made:
        each.close()


async def test_the_one_used_longest_ago_is_lent_next(links: list[socket.socket]) -> None:
    inside = lending.Inside([], links)
    for each in (*links, *links):
        async with inside.tcp() as lent:
            assert lent is each


async def test_who_waits_longest_gets_the_next_one(links: list[socket.socket]) -> None:
    inside, got = lending.Inside([], links[:1]), list[int]()

    async def borrow(number: int) -> None:
        async with inside.tcp():
            got.append(number)

    async with asyncio.TaskGroup() as askers, inside.tcp():
        for number in range(3):
            askers.create_task(borrow(number))
            await asyncio.sleep(0)
    assert got == [0, 1, 2]


async def test_who_gives_up_leaves_the_socket_to_the_others(links: list[socket.socket]) -> None:
    inside = lending.Inside([], links[:1])

    async def borrow() -> socket.socket:
        async with inside.tcp() as lent:
            return lent

    async with asyncio.TaskGroup() as askers:
        async with inside.tcp():
            waiting = [askers.create_task(borrow()) for _ in range(3)]
            await asyncio.sleep(0)
            waiting[0].cancel()
        waiting[1].cancel()  # the socket is on its way to it
    assert [each.cancelled() for each in waiting] == [True, True, False]
    assert waiting[2].result() is links[0]
    assert await borrow() is links[0]


async def test_nobody_waits_for_ever(links: list[socket.socket]) -> None:
    inside = lending.Inside([], links[:1])
    async with inside.tcp():
        with pytest.raises(sockets.NoReply) as told:
            async with inside.tcp():
                pass
    assert told.value.why is sockets.Why.SHORT
    async with inside.tcp() as lent:
        assert lent is links[0]


async def test_what_is_lent_is_closed_when_it_comes_back(links: list[socket.socket]) -> None:
    inside = lending.Inside([], links)
    async with inside.tcp() as lent:
        inside.close()
        assert lent.fileno() >= 0
    assert all(each.fileno() < 0 for each in links)


async def test_who_waits_for_sockets_that_are_replaced_hears_so_at_once(
    links: list[socket.socket],
) -> None:
    inside = lending.Inside([], links[:1])

    async def borrow() -> sockets.Why | None:
        try:
            async with inside.tcp():
                return None
        except sockets.NoReply as exc:
            return exc.why

    async with asyncio.TaskGroup() as askers:
        async with inside.tcp():
            waiting = askers.create_task(borrow())
            await asyncio.sleep(0)
            inside.close()
            assert await waiting is sockets.Why.REPLACED
        assert await borrow() is sockets.Why.REPLACED
