"""UDP towards upstreams: a few questions share a socket and its port, for as long as they overlap.

In: messages. Out: what came for each, or why nothing did. A socket is connected to one server on a
fresh random port, takes `USES` questions while it has some under way, and is gone with the last
answer. So a question alone has a port of its own, and many at once cost a fraction of a socket
each. Each still has a random id and letters in random case, and only a reply to exactly that
question counts: who guesses gains nothing from the neighbours (RFC 5452 §4.3, §9).
Where a sandbox's sockets are all in use, maybe by servers that keep silent, the others share one
that is not connected; then the address that a reply comes from is looked at here. Whoever finds no
room even there waits for some, for a moment.
"""

import asyncio
import functools
import ipaddress
import socket
from collections import Counter
from collections.abc import Callable
from typing import Final

from resolver import counters, protocol
from resolver.upstream import forward, rooms
from resolver.upstream.arrivals import Arrivals, Hot
from resolver.upstream.sockets import Dial, NoReply, Why, address, detail_of, why_of
from resolver.upstream.wheel import Wheel

USES: Final = 8
MOST: Final = 128  # questions at once on one socket where no other one can be had
SHARE: Final = MOST // 4  # of one server, on the socket that servers share
RECEIVE: Final = 65535
WAIT_S: Final = 0.2  # for room, as for a place at all (`gate`)
Heard = tuple[bytes, forward.Trust] | Why
Told = Callable[[Heard | None], None]
Key = tuple[Dial, protocol.Upstream]
Peer = tuple[str, int]
_NO_SHARES: Final[Counter[Peer]] = Counter()  # nobody shares; to make one takes 1 µs
Suspect = Callable[[counters.Suspect], None]


class Full(NoReply):
    """There is no room for the question now, and will be."""

    def __init__(self) -> None:
        super().__init__(Why.SHORT)


class _Line:
    """One socket; `waiting` maps ids to who asked under them, `late` are those given up.

    Its server is that of `key`; with None there it is shared by many, and `shares` counts how many
    questions to each are under way.
    """

    __slots__ = ("is_shared", "key", "late", "link", "peer", "shares", "uses", "waiting")

    def __init__(self, key: tuple[Dial, protocol.Upstream | None], link: socket.socket) -> None:
        self.key = key
        self.link = link
        self.is_shared = key[1] is None
        self.peer = None if key[1] is None else address(key[1])
        self.uses = 0
        self.waiting: dict[int, Asked] = {}
        self.late: set[int] = set()
        self.shares = Counter[Peer]() if self.is_shared else _NO_SHARES


class Asked:
    """One question under way; `rest_s` is for how long it is awaited after its deadline.

    `near` is how many more forged replies it takes to give it up; never if that is 0 or less.
    """

    __slots__ = ("line", "near", "peer", "rest_s", "sent", "timer", "told")

    def __init__(
        self, line: _Line, peer: Peer, sent: forward.Sent, told: Told, *, rest_s: float, near: int
    ) -> None:
        self.line = line
        self.near = near
        self.peer = peer
        self.rest_s = rest_s
        self.sent = sent
        self.told = told
        self.timer = (0, 0)

    @property
    def number(self) -> int:
        """The id under which it was asked."""
        return int.from_bytes(self.sent.message[:2], "big")


class Lines:
    """All sockets of a worker for questions over UDP. Call within the event loop only."""

    def __init__(self, suspect: Suspect, hot: Hot | None = None) -> None:
        self._suspect = suspect
        self._arrivals = Arrivals(hot)
        self._wheel = Wheel()
        self._lines: dict[tuple[Dial, protocol.Upstream | None], list[_Line]] = {}
        self._buffer = bytearray(RECEIVE)
        self._view = memoryview(self._buffer)
        self._queues: dict[Dial, rooms.Queue] = {}

    def ask(
        self,
        whom: Key,
        sent: forward.Sent,
        deadline: float,
        told: Told,
        rest_s: float = 0.0,
        *,
        near: int = 0,
    ) -> Asked:
        """Send; `told` is called once, later, with what came until `deadline` (loop's time).

        With `rest_s` it is called with None at `deadline`, and again with what came in so many
        seconds more. After `near` replies that look forged (0: however many) it is FORGED. Raises
        NoReply when nothing could be sent, Full when it can be in a moment.
        """
        number = int.from_bytes(sent.message[:2], "big")
        line = self._line(whom, number)
        peer = line.peer or address(whom[1])
        asked = line.waiting[number] = Asked(line, peer, sent, told, rest_s=rest_s, near=near)
        line.uses += 1
        try:
            if line.is_shared:
                line.shares[peer] += 1
                line.link.sendto(sent.message, peer)
            else:
                line.link.send(sent.message)
        except OSError as exc:
            self._forget(asked)
            why = why_of(exc)
            if (
                why in (Why.REFUSED, Why.UNREACHABLE) and not line.is_shared
            ):  # an earlier question's, which is how others hear of it
                self._fail(line, why)
            elif not line.waiting:
                self._end(line)
            raise NoReply(why, detail_of(exc)) from exc
        asked.timer = self._wheel.add(deadline, functools.partial(self._over, asked))
        return asked

    async def hear(self, whom: Key, sent: forward.Sent, deadline: float, *, near: int = 0) -> Heard:
        """As `ask`, waited for, and for room before it."""
        loop = asyncio.get_running_loop()
        heard: asyncio.Future[Heard] = loop.create_future()
        until = min(deadline, loop.time() + WAIT_S)
        while True:
            try:
                told = functools.partial(_settle, heard)
                asked = self.ask(whom, sent, deadline, told, near=near)
                break
            except Full:
                if not await self._room(*whom, until):
                    raise
        try:
            return await heard
        finally:
            if heard.cancelled() and self._waits(asked):
                asked.line.late.add(asked.number)
                self._leave(asked)

    async def _room(self, dial: Dial, server: protocol.Upstream, until: float) -> bool:
        """Whether there may be room now; False when there was none until then."""
        queue = self._queues.setdefault(dial, rooms.Queue())
        try:
            return await queue.wait(server, until)
        finally:
            if not queue and self._queues.get(dial) is queue:
                del self._queues[dial]

    def _has_room(self, dial: Dial, is_free: bool, server: protocol.Upstream) -> bool:
        """Whether a question to `server` finds some; `is_free`: a socket is that has no server."""
        if lines := self._lines.get((dial, server)):
            return any(len(each.waiting) < MOST for each in lines)
        if is_free:
            return True
        for line in self._lines.get((dial, None), ()):
            peer = address(server)
            return len(line.waiting) < MOST and line.shares[peer] < SHARE
        return True

    def close(self) -> None:
        """Nobody is told any more."""
        self._arrivals.close()

    def _line(self, key: Key, number: int) -> _Line:
        """A socket that has room, and no other question under this id."""
        lines = self._lines.get(key)
        if lines:
            last = lines[-1]
            if last.uses < USES and number not in last.waiting:
                return last
        try:
            link = key[0].take(0 if lines is None else len(lines))
            if link is not None:
                return self._opened(key, link)
        except OSError as exc:
            if why_of(exc) is not Why.SHORT or not lines:
                raise NoReply(why_of(exc), detail_of(exc)) from exc
        if not lines:
            return self._shared(key, number)
        free = [each for each in lines if number not in each.waiting]
        least = min(free, key=lambda each: len(each.waiting), default=None)
        if least is None or len(least.waiting) >= MOST:
            raise Full
        return least

    def _shared(self, key: Key, number: int) -> _Line:
        """The socket of all servers that find none of their own, if it has room for this one."""
        dial, server = key
        line = next(iter(self._lines.get((dial, None), ())), None)
        if line is None:
            link = dial.spare()
            if link is None:
                raise Full
            return self._opened((dial, None), link)
        if number in line.waiting or not self._has_room(dial, False, server):
            raise Full
        return line

    def _opened(self, key: tuple[Dial, protocol.Upstream | None], link: socket.socket) -> _Line:
        dial = key[0]
        try:
            line = _Line(key, link)
            if line.peer:
                link.connect(line.peer)  # of UDP: only sets addresses, never blocks
            self._arrivals.expect(link, functools.partial(self._arrived, line))
        except BaseException:
            dial.give(link)
            raise
        self._lines.setdefault(key, []).append(line)
        return line

    def _end(self, line: _Line) -> None:
        """Nothing is under way on it any more."""
        lines = self._lines[line.key]
        lines.remove(line)
        if not lines:
            del self._lines[line.key]
        self._arrivals.forget(line.link)
        line.key[0].give(line.link)

    def _waits(self, asked: Asked) -> bool:
        """Whether it does still: between being cancelled and hearing so its time may be over."""
        return asked.line.waiting.get(asked.number) is asked

    def _leave(self, asked: Asked) -> None:
        """`asked` waits no longer."""
        line = asked.line
        self._forget(asked)
        self._wheel.drop(asked.timer)
        is_free = not line.waiting and not line.is_shared
        if not line.waiting:
            self._end(line)
        if queue := self._queues.get(line.key[0]):
            queue.wake(functools.partial(self._has_room, line.key[0], is_free))

    def _forget(self, asked: Asked) -> None:
        del asked.line.waiting[asked.number]
        if asked.line.is_shared:
            asked.line.shares[asked.peer] -= 1

    def _over(self, asked: Asked) -> None:
        if asked.rest_s:
            deadline = asyncio.get_running_loop().time() + asked.rest_s
            asked.rest_s = 0.0
            asked.timer = self._wheel.add(deadline, functools.partial(self._over, asked))
            asked.told(None)
            return
        asked.line.late.add(asked.number)
        self._leave(asked)
        asked.told(Why.TIMEOUT)

    def _fail(self, line: _Line, why: Why) -> None:
        """All that are under way on `line`: its server is not there."""
        gone = list(line.waiting.values())
        if not gone:
            self._end(line)
        for each in gone:
            self._leave(each)
        for each in gone:
            each.told(why)

    def _arrived(self, line: _Line) -> None:
        peer = None
        try:
            if line.is_shared:
                size, peer = line.link.recvfrom_into(self._buffer)
            else:
                size = line.link.recv_into(self._buffer)
        except BlockingIOError:
            return
        except OSError as exc:
            is_away = why_of(exc) is Why.UNREACHABLE
            self._fail(line, Why.UNREACHABLE if is_away else Why.REFUSED)
            return
        data = bytes(self._view[:size])
        number = int.from_bytes(data[:2], "big")
        asked = line.waiting.get(number)
        if asked is None or (peer is not None and not _is_same(peer, asked.peer)):
            if asked or number not in line.late:
                self._suspect(counters.Suspect.ID)
                for each in tuple(line.waiting.values()):
                    if forward.aims_at(data, each.sent):
                        self._missed(each)
            return
        trust = forward.judge(data, asked.sent)
        if trust is forward.Trust.FOREIGN:
            self._suspect(counters.Suspect.QUESTION)
            self._missed(asked)
            return
        self._leave(asked)
        asked.told((data, trust))

    def _missed(self, asked: Asked) -> None:
        """Somebody guesses at its answer: after some such its own proves nothing (RFC 5452 §9.2).

        Who has nothing else to go on with waits on all the same.
        """
        asked.near -= 1
        if asked.near == 0:
            self._leave(asked)
            asked.told((b"", forward.Trust.FORGED))


def _is_same(one: tuple[str, int], other: Peer) -> bool:
    """Whether these are one end, however its address is written."""
    hosts = (ipaddress.ip_address(each[0]) for each in (one, other))
    return one[1] == other[1] and next(hosts) == next(hosts)


def _settle(heard: "asyncio.Future[Heard]", what: Heard | None) -> None:
    if what is not None and not heard.done():
        heard.set_result(what)
