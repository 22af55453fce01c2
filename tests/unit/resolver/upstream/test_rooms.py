"""Who waits for room goes on in the order of coming, as far as there is some for him."""

import asyncio

from resolver import protocol
from resolver.upstream.rooms import Queue

ONE, TWO = (protocol.Upstream(f"10.0.0.{n}", 53, inside=True) for n in (1, 2))


async def test_the_first_who_can_go_on_does() -> None:
    queue = Queue()
    until = asyncio.get_running_loop().time() + 60.0
    went: list[int] = []

    async def wait(number: int, server: protocol.Upstream) -> None:
        assert await queue.wait(server, until)
        went.append(number)

    async with asyncio.TaskGroup() as tasks:
        waiting = [tasks.create_task(wait(n, s)) for n, s in enumerate((ONE, ONE, TWO, ONE))]
        await asyncio.sleep(0)
        queue.wake(lambda server: server is TWO)
        await waiting[2]
        for at in (0, 1, 3):
            queue.wake(lambda _: True)
            await waiting[at]
    assert went == [2, 0, 1, 3]
    assert not queue


async def test_who_waited_long_enough_or_is_gone_waits_no_more() -> None:
    queue = Queue()
    now = asyncio.get_running_loop().time()
    async with asyncio.TaskGroup() as tasks:
        gone = tasks.create_task(queue.wait(ONE, now + 60.0))
        assert not await queue.wait(TWO, now + 0.01)
        gone.cancel()
    queue.wake(lambda _: True)  # nobody is left to take it
    assert not queue
