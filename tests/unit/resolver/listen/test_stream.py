"""The TCP listener: what is accepted counts at once, however fast it comes."""

import asyncio
import socket
from collections.abc import Coroutine
from contextlib import closing

from resolver import counters, protocol
from resolver.listen import ready, respond, selector, server, stream
from resolver.names import answer
from tests.support import eventually_async

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
    await eventually_async(lambda: len(tasks) >= stream.CONNECTIONS, 10, "the first are let in")
    assert tcp.connections == stream.CONNECTIONS == len(tasks)
    for each in links:
        with closing(each):
            each.shutdown(socket.SHUT_WR)
    most = 0

    def all_came() -> bool:
        nonlocal most
        most = max(most, tcp.connections)
        return len(tasks) == len(links)

    await eventually_async(all_came, 10, "the others are let in")
    assert most <= stream.CONNECTIONS
    await asyncio.gather(*tasks)
    assert not [key for key, _ in counts.sums() if key[0] == counters.TCP_REJECTED]
    assert tcp.connections == 0
    tcp.close()
