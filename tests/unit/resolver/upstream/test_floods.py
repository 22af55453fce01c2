"""Servers that send what nobody asked for, on connections that are kept."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aioquic.quic.connection import QuicConnection

from resolver import protocol
from resolver.upstream import allowance, doq, dot, http2
from resolver.upstream.doh import Doh
from resolver.upstream.dot import Dot

PATIENCE_S = 20.0
SERVER = protocol.Upstream("127.0.0.1", 443, inside=True, transport="https", path="/dns-query")
QUESTION = b"\x12\x34" + bytes(20)


@contextlib.asynccontextmanager
async def connected() -> AsyncIterator[
    tuple[socket.socket, asyncio.StreamReader, asyncio.StreamWriter]
]:
    """The server's end, and ours as a session takes it."""
    theirs, ours = socket.socketpair()
    with theirs:
        theirs.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=ours)
        try:
            yield theirs, reader, writer
        finally:
            writer.transport.abort()


async def broken(asked: Awaitable[object]) -> bool:
    """Whether whoever asked hears that the connection ended."""
    try:
        await asked
    except OSError:
        return True
    return False


async def turns(count: list[int]) -> None:
    """Another sandbox's work: each turn of the loop that it gets."""
    while True:
        count[0] += 1
        await asyncio.sleep(0)


async def test_an_allowance_is_for_questions() -> None:
    left = allowance.Allowance(1, each=2, most=3)
    assert [left.take() for _ in range(2)] == [True, False]
    left = allowance.Allowance(1, each=2, most=3)
    for _ in range(5):
        left.ask()
    assert [left.take() for _ in range(4)] == [True, True, True, False]


@pytest.mark.parametrize("rubbish", [b"\0\0", b"\0\2zz", b"\0\x0c" + bytes(12)])
async def test_A8_49_tls_messages_that_nobody_waits_for_end_the_connection(rubbish: bytes) -> None:
    async with connected() as (_, reader, writer), asyncio.timeout(PATIENCE_S):
        session = Dot(reader, writer)
        reader.feed_data(rubbish * 10_000)
        reader.feed_eof()
        with pytest.raises(ConnectionResetError):
            await session.read()
        assert session.heard < 100


async def test_a_tls_message_that_never_ends_ends_the_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dot, "OPEN_S", 0.05)
    async with connected() as (_, reader, writer):
        session = Dot(reader, writer)
        reader.feed_data(b"\0\x20and no more")
        async with asyncio.timeout(PATIENCE_S) as patience:
            with pytest.raises(TimeoutError):
                await session.read()
            assert not patience.expired()


async def test_late_answers_are_no_rubbish_and_leave_others_their_turns() -> None:
    """Whoever asked is gone, and a thousand answers come at once."""
    async with (
        connected() as (server, reader, writer),
        asyncio.timeout(PATIENCE_S),
        asyncio.TaskGroup() as work,
    ):
        session = Dot(reader, writer)
        asked = [work.create_task(session.ask(QUESTION), name="asked") for _ in range(1000)]
        await asyncio.sleep(0)
        for each in asked:
            each.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
        last = work.create_task(session.ask(QUESTION), name="last")
        came = b""
        while len(came) < 1001 * (2 + len(QUESTION)):
            came += await asyncio.get_running_loop().sock_recv(server, 1 << 16)
        reader.feed_data(came)
        others = [
            work.create_task(turns(count := [0]), name="other"),
            work.create_task(session.read(), name="reading"),
        ]
        assert (await last).message == QUESTION
        assert count[0] >= 1000 // allowance.AT_ONCE
        for other in others:
            other.cancel()


def frame(kind: int, flags: int, stream: int, body: bytes = b"") -> bytes:
    return struct.pack(">I", len(body))[1:] + struct.pack(">BBI", kind, flags, stream) + body


@pytest.mark.parametrize(
    "flood",
    [
        frame(http2.Frame.PING, 0, 0, b"12345678"),
        frame(http2.Frame.SETTINGS, 0, 0),
        frame(http2.Frame.DATA, 0, 1),
        frame(http2.Frame.CONTINUATION, 0, 1),
        frame(99, 0, 0),
    ],
    ids=["ping", "settings", "data", "continuation", "unknown"],
)
async def test_A8_49_http2_frames_without_end_end_the_connection(flood: bytes) -> None:
    async with (
        connected() as (_, reader, writer),
        asyncio.timeout(PATIENCE_S),
        asyncio.TaskGroup() as work,
    ):
        session = Doh(reader, writer, SERVER)
        asked = work.create_task(broken(session.ask(QUESTION)), name="asked")
        await asyncio.sleep(0)
        if flood[3] == http2.Frame.CONTINUATION:
            reader.feed_data(frame(http2.Frame.HEADERS, 0, 1))
        reader.feed_data(flood * 10_000)
        reader.feed_eof()
        with pytest.raises(http2.Broken):
            await session.read()
        session.close()
        assert await asked


async def test_many_http2_answers_are_no_flood() -> None:
    async with (
        connected() as (_, reader, writer),
        asyncio.timeout(PATIENCE_S),
        asyncio.TaskGroup() as work,
    ):
        session = Doh(reader, writer, SERVER)
        asked = [work.create_task(session.ask(QUESTION), name="asked") for _ in range(100)]
        await asyncio.sleep(0)
        for stream in range(1, 200, 2):
            for part in (
                frame(http2.Frame.HEADERS, 4, stream, b"\x88"),
                frame(http2.Frame.WINDOW_UPDATE, 0, stream, bytes(4)),
                frame(http2.Frame.DATA, 1, stream, bytes(2) + QUESTION[2:]),
            ):
                reader.feed_data(part)
        reading = work.create_task(session.read(), name="reading")
        for said in await asyncio.gather(*asked):
            assert said.message == QUESTION
        reading.cancel()


def test_frames_are_worked_off_in_parts() -> None:
    connection = http2.Connection()
    ping = frame(http2.Frame.PING, 0, 0, b"12345678")
    sizes = [len(connection.feed(ping * (allowance.AT_ONCE + 1))[1])]
    while connection.is_behind:
        sizes.append(len(connection.feed(b"")[1]))
    assert sizes == [allowance.AT_ONCE * len(ping), len(ping)]


@contextlib.asynccontextmanager
async def quic() -> AsyncIterator[tuple[doq.Doq, tuple[str, int]]]:
    """A session that has begun its handshake, and its server's address, where nobody answers."""
    server = protocol.Upstream("127.0.0.1", 853, inside=True, transport="quic")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as theirs:
        theirs.bind(("127.0.0.1", 0))
        peer = theirs.getsockname()
        transport, session = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: doq.Doq(QuicConnection(configuration=doq.configuration(server))),
            remote_addr=peer,
        )
        try:
            session.connect(peer)
            yield session, peer
        finally:
            session.close()
            session.stop()
            if session.ready.done():
                session.ready.exception()  # or it is told of as never looked at
            transport.abort()


def long(whom: bytes) -> bytes:
    """The head of a handshake's datagram for the connection `whom`, and no more."""
    return b"\xe0\0\0\0\1" + bytes((len(whom),)) + whom


def short(whom: bytes) -> bytes:
    return b"\x40" + whom + b"rubbish"


@pytest.mark.parametrize("head", [long, short])
async def test_A8_49_quic_datagrams_without_end_end_the_connection(
    head: Callable[[bytes], bytes],
) -> None:
    async with quic() as (session, peer):
        rubbish = head(session._quic.host_cid)
        for _ in range(doq.ALLOWED):
            session.datagram_received(rubbish, peer)
        assert session.is_open
        session.datagram_received(rubbish, peer)
        assert not session.is_open


@pytest.mark.parametrize(
    "rubbish",
    [b"", b"\xe0", b"\xe0\0\0\0\1", long(b""), long(bytes(8)), b"\x40", short(bytes(8))],
)
async def test_quic_datagrams_of_whoever_cannot_know_the_connection_end_nothing(
    rubbish: bytes,
) -> None:
    """The server's address is known to all, and a port is soon found by trying all of them."""
    async with quic() as (session, peer):
        for _ in range(10 * doq.MOST_ALLOWED):
            session.datagram_received(rubbish, peer)
        assert session.is_open


@pytest.mark.parametrize(("versions", "is_read"), [(10, True), (1000, False)])
async def test_a_quic_datagram_longer_than_any_path_is_not_read(
    versions: int, is_read: bool
) -> None:
    """What it says is that no version of ours is known there, which is the end (RFC 9000 §6.2)."""
    async with quic() as (session, peer):
        whom = session._quic.host_cid
        said = (
            b"\x80" + bytes(4) + bytes((len(whom),)) + whom + b"\0" + b"\x1a\x2a\x3a\x4a" * versions
        )
        session.datagram_received(said, peer)
        assert session.ended.is_set() == is_read


def test_a_store_is_enough_for_all_that_may_be_under_way() -> None:
    """1024 flights of a worker whose answers all come late, as one burst."""
    assert dot._MOST_ALLOWED > 1024
