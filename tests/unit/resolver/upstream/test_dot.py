"""DNS over TLS from a server that talks rubbish."""

import asyncio
from typing import cast

import pytest

from resolver.upstream import dot


@pytest.mark.parametrize("rubbish", [b"\0\0", b"\0\1x", b"\0\2\7\7", b"\0\14" + bytes(12)])
async def test_what_answers_nothing_ends_the_connection_and_lets_others_work(
    rubbish: bytes,
) -> None:
    reader, turns = asyncio.StreamReader(), 0
    reader.feed_data(rubbish * 10 * dot.VAIN)
    session = dot.Dot(reader, cast("asyncio.StreamWriter", None))  # only asking writes
    reading = asyncio.get_running_loop().create_task(session.read())
    while not reading.done():
        turns += 1
        await asyncio.sleep(0)
    with pytest.raises(ConnectionResetError):
        reading.result()
    assert session.heard == dot.VAIN + 1
    assert turns > dot.VAIN // dot.AT_ONCE
