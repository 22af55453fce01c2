"""What questions leave behind: nothing that only a search for garbage would find.

The worker is spared such searches (`sdd.interpreter`), so its memory would grow with each question.
"""

import asyncio
import gc
import secrets
import socket
import struct
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from resolver import counters, protocol
from resolver.message import wire
from resolver.names import answer
from resolver.upstream import forwarder
from tests.scenario.unbound import free_port
from tests.standing import HANGS_S, Clock
from tests.support import eventually_async

COUNT = 300  # at once: of fewer the ends come in another order
FEW = 0.1  # objects a question

Make = Callable[[ExitStack], tuple[protocol.Upstream, ...]]


def silent(stack: ExitStack, transport: str = "udp", port: int = 0) -> protocol.Upstream:
    """It takes datagrams and connections, and says nothing."""
    kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
    link = stack.enter_context(socket.socket(socket.AF_INET, kind))
    link.bind(("127.0.0.1", port))
    if transport != "udp":
        link.listen(4096)
    port = link.getsockname()[1]
    return protocol.Upstream("127.0.0.1", port, inside=False, transport=transport)


def absent(stack: ExitStack, transport: str = "udp") -> protocol.Upstream:
    """Nobody is at its port."""
    with ExitStack() as short:
        gone = silent(short, transport, free_port())  # none of ours is given it meanwhile
    del stack
    return gone


def cuts(stack: ExitStack) -> protocol.Upstream:
    """It says TC to everything, and is not there for TCP."""
    return saying(stack, 0x8380)


def denies(stack: ExitStack) -> protocol.Upstream:
    """It says NXDOMAIN to everything."""
    return saying(stack, 0x8183)


def saying(stack: ExitStack, flags: int) -> protocol.Upstream:
    link = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    link.bind(("127.0.0.1", 0))
    link.setblocking(False)
    loop = asyncio.get_running_loop()

    def said() -> None:
        data, peer = link.recvfrom(4096)
        end = wire.skip_name(data, wire.HEADER) + 4
        head = data[:2] + struct.pack(">HHHHH", flags, 1, 0, 0, 0)
        link.sendto(head + data[wire.HEADER : end], peer)

    loop.add_reader(link, said)
    stack.callback(loop.remove_reader, link)
    return protocol.Upstream("127.0.0.1", link.getsockname()[1], inside=False)


def descriptors() -> int:
    return len(tuple(Path("/proc/self/fd").iterdir()))


@contextmanager
def uncollected() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("make", "rcode"),
    [
        (lambda stack: (silent(stack),), wire.Rcode.SERVFAIL),
        (lambda stack: (absent(stack),), wire.Rcode.SERVFAIL),
        (lambda stack: (cuts(stack),), wire.Rcode.SERVFAIL),
        (lambda stack: (silent(stack, "tcp"),), wire.Rcode.SERVFAIL),
        (lambda stack: (absent(stack, "tcp"),), wire.Rcode.SERVFAIL),
        (lambda stack: (silent(stack, "tls"),), wire.Rcode.SERVFAIL),
        (lambda stack: (absent(stack, "tls"),), wire.Rcode.SERVFAIL),
        (lambda stack: (silent(stack), denies(stack)), wire.Rcode.NXDOMAIN),
        (lambda stack: (absent(stack), cuts(stack), denies(stack)), wire.Rcode.NXDOMAIN),
    ],
    ids=[
        *("silent", "absent", "cuts", "silent-tcp", "absent-tcp", "silent-tls", "absent-tls"),
        *("silent-then-well", "two-then-well"),
    ],
)
async def test_A8_74_questions_leave_no_garbage(
    monkeypatch: pytest.MonkeyPatch, make: Make, rcode: wire.Rcode
) -> None:
    tasks: set[asyncio.Task[None]] = set()

    def spawn(work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    # A machine that stands for seconds makes nobody silent.
    loop, own = asyncio.get_running_loop(), Clock(time.monotonic)
    monkeypatch.setattr(loop, "time", own)
    told: list[int] = []
    with ExitStack() as stack, uncollected():
        scope = answer.Scope("box", (), frozenset(), make(stack))
        forwarding = forwarder.Forwarder(
            counters.Counters(),
            lambda _box, _server: None,
            clock=own,
            bits=secrets.randbits,
            spawn=spawn,
            sees=lambda _: scope,
        )
        before = descriptors()
        for number in range(COUNT):
            name = wire.to_wire(f"n{number}.example.org")
            data = struct.pack(">HHHHHH", number, 0x0100, 1, 0, 0, 0) + name + b"\0\1\0\1"
            query = wire.parse(data)
            assert isinstance(query, wire.Query)
            forwarding.begin(query, data, scope, False, lambda said: told.append(said[3] & 0xF))
        await eventually_async(lambda: len(told) == COUNT and not tasks, HANGS_S, "all are told")
        await eventually_async(lambda: descriptors() <= before, HANGS_S, "no server is awaited")
        assert {*told} == {rcode}
        assert gc.collect() < FEW * COUNT
