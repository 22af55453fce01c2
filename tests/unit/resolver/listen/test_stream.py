"""The TCP listener: what is accepted counts at once, however fast it comes."""

import asyncio
import socket
from collections.abc import Coroutine
from contextlib import closing

from resolver import counters, protocol
from resolver.listen import ready, respond, selector, server, stream
from resolver.names import answer

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


async def test_two_hundred_connections_that_wait_are_not_all_let_in() -> None:
    counts, tasks = counters.Counters(), set[asyncio.Task[None]]()
    listening = socket.create_server(("127.0.0.1", 0), backlog=200)
    listening.setblocking(False)
    # Within one turn of the loop: nobody was served when the last one is accepted.
    links = [socket.create_connection(listening.getsockname()) for _ in range(200)]
    tcp = stream.Tcp(listening, SCOPE, tools(counts, tasks))
    refused = (counters.TCP_REJECTED, "sandbox")
    async with asyncio.timeout(10):
        while (sums := {tuple(k): v for k, v in counts.sums()}).get(refused, 0) < 136:
            assert tcp.connections <= stream.CONNECTIONS
            await asyncio.sleep(0)
    assert tcp.connections == stream.CONNECTIONS
    assert sums[refused] == 200 - stream.CONNECTIONS
    tcp.close()
    for each in links:
        with closing(each):
            each.shutdown(socket.SHUT_WR)
    async with asyncio.timeout(10):
        await asyncio.gather(*tasks)
    assert tcp.connections == 0
