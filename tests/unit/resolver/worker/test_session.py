"""The worker's end of the conversation leaves room for its askers."""

import asyncio
import itertools
import socket
from collections.abc import Iterable

from resolver import protocol
from resolver.worker import session

LARGE = 20_000  # bytes of a message


async def test_between_large_messages_the_sandboxes_have_their_turn() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for each in (ours, theirs):
        each.setblocking(False)
    heard: list[int] = []
    turns: list[int] = []
    whole = asyncio.Event()
    loop = asyncio.get_running_loop()

    def obey(data: bytes, _: list[socket.socket]) -> Iterable[protocol.Message]:
        heard.append(len(data))
        if len(heard) == sent:
            whole.set()
        return ()

    def turn() -> None:
        turns.append(sum(heard))
        loop.call_soon(turn)

    sent = 0
    while sent < 64:
        try:
            ours.send(bytes(LARGE))
        except BlockingIOError:
            break
        sent += 1
    assert sent > 4
    one = session.Session(theirs, obey, lambda _: None)
    loop.call_soon(turn)
    async with asyncio.timeout(60):
        await whole.wait()
    most = max(after - before for before, after in itertools.pairwise(turns))
    assert most < session.HEARD + LARGE
    one.hang_up()
    ours.close()
