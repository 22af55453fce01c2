"""A forwarder in the test's own event loop, and servers on loopback that say what they are told to."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from resolver import clock, counters, protocol
from resolver.message import wire
from resolver.names import answer
from resolver.upstream import forward, forwarder
from resolver.upstream.question import Question
from tests.support import eventually_async
from tests.unit.resolver.questions import data, query

PATIENCE_S = 30.0
Script = Callable[[dns.message.Message], bytes | None]


def good(asked: dns.message.Message, ttl: int = 300) -> bytes:
    """An address."""
    said = dns.message.make_response(asked, recursion_available=True)
    said.answer.append(dns.rrset.from_text(asked.question[0].name, ttl, "IN", "A", "192.0.2.9"))
    return said.to_wire()


def shortly(asked: dns.message.Message) -> bytes:
    """The same for a second."""
    return good(asked, 1)


def denied(asked: dns.message.Message) -> bytes:
    """There is no such name, for 300 s."""
    said = dns.message.make_response(asked, recursion_available=True)
    said.set_rcode(dns.rcode.NXDOMAIN)
    soa = "ns.test. root.test. 1 3600 600 86400 300"
    said.authority.append(dns.rrset.from_text(".", 300, "IN", "SOA", soa))
    return said.to_wire()


def failing(asked: dns.message.Message) -> bytes:
    """SERVFAIL."""
    said = dns.message.make_response(asked, recursion_available=True)
    said.set_rcode(dns.rcode.SERVFAIL)
    return said.to_wire()


def cut(asked: dns.message.Message) -> bytes:
    """Nothing of it found room: to be asked for over TCP."""
    said = dns.message.make_response(asked, recursion_available=True)
    said.flags |= dns.flags.TC
    return said.to_wire()


def mute(_: dns.message.Message) -> None:
    """Silence."""


class Server:
    """Answers over UDP by `script`; there is nothing at its TCP port. `heard` are the names."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.heard: list[str] = []
        self.waiting: list[tuple[dns.message.Message, tuple[str, int]]] = []
        self.link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.link.bind(("127.0.0.1", 0))
        self.link.setblocking(False)
        self.upstream = protocol.Upstream("127.0.0.1", self.link.getsockname()[1], inside=False)
        asyncio.get_running_loop().add_reader(self.link, self._read)

    def _read(self) -> None:
        message, peer = self.link.recvfrom(4096)
        asked = dns.message.from_wire(message)
        self.heard.append(asked.question[0].name.to_text(omit_final_dot=True).lower())
        said = self.script(asked)
        if said is None:
            self.waiting.append((asked, peer))
        else:
            self.link.sendto(said, peer)

    def answer(self) -> None:
        """Whoever was left without an answer has a good one."""
        for asked, peer in self.waiting:
            self.link.sendto(good(asked), peer)
        self.waiting.clear()

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.link)
        self.link.close()


class Outside:
    """A worker's forwarder; `late_s` is how far its clock is ahead.

    `sees` is what sandboxes see by now, where that is another than what they asked with.
    `before_task` is called before each task that it spawns.
    """

    def __init__(self, *servers: Server) -> None:
        self.late_s = 0.0
        self.servers = servers
        self.sees: dict[str, answer.Scope | None] = {}
        self.before_task: Callable[[], None] = lambda: None
        self.tasks: set[asyncio.Task[None]] = set()
        self.forwarder = forwarder.Forwarder(
            counters.Counters(),
            lambda _box, _server: None,
            clock=self.now,
            bits=lambda bits: int.from_bytes(b"\x5a" * (bits // 8 + 1)) >> (8 - bits % 8),
            spawn=self._spawn,
            sees=lambda box: self.sees[box] if box in self.sees else self.scope(box),
        )

    def now(self) -> float:
        return clock.now() + self.late_s

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        self.before_task()
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def scope(self, box: str) -> answer.Scope:
        return answer.Scope(box, (), frozenset(), tuple(each.upstream for each in self.servers))

    def health(self, server: Server) -> forward.Health:
        return self.forwarder.healths.of(server.upstream, self.scope("s"))

    def question(self, name: str, box: str = "s") -> Question:
        return Question.of(*self._words(name, box))

    def ask(self, name: str, box: str = "s") -> "asyncio.Future[dns.message.Message]":
        """Asked now; what is said in the end."""
        told: asyncio.Future[dns.message.Message] = asyncio.get_running_loop().create_future()

        def done(said: bytes) -> None:
            if not told.done():
                told.set_result(dns.message.from_wire(said))

        known = self.forwarder.recall(*self._words(name, box), False)
        if known:
            done(known)
        else:
            self.forwarder.begin(*self._words(name, box), False, done)
        return told

    async def said(self, name: str, box: str = "s") -> dns.message.Message:
        async with asyncio.timeout(PATIENCE_S):
            return await self.ask(name, box)

    def joins(self, name: str, box: str = "s") -> bool:
        """Whether one more would wait with others."""
        return self.forwarder.joins(*self._words(name, box))

    def _words(self, name: str, box: str) -> tuple[wire.Query, bytes, answer.Scope]:
        return query(name, use_edns=0), data(name, use_edns=0), self.scope(box)


@contextlib.asynccontextmanager
async def outside(*scripts: Script) -> AsyncIterator[Outside]:
    """With a server for each script, in this order; in the end all that is under way is answered."""
    servers = [Server(each) for each in scripts]
    made, before = Outside(*servers), descriptors()

    def is_over() -> bool:
        for each in servers:
            each.script = good
            each.answer()
        return not made.tasks and descriptors() <= before

    try:
        with pytest.MonkeyPatch.context() as patched:
            # Nobody asks again because an answer is late: it is counted who was asked for what.
            patched.setattr(forward, "RESEND_S", (3600.0,))
            for name in ("LOOK_S", "TRY_S"):
                patched.setattr(forward, name, PATIENCE_S)
            patched.setattr(forward, "TOTAL_S", 3 * PATIENCE_S)
            yield made
            await eventually_async(is_over, 2 * PATIENCE_S, "nothing is under way any more")
    finally:
        for one in servers:
            one.close()


def descriptors() -> int:
    return len([*Path("/proc/self/fd").iterdir()])
