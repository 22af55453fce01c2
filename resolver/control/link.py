"""sdd's end of the conversation with one DNS worker.

In: messages with descriptors. Out: the worker's answers. The worker is not trusted: whatever it
sends, or fails to send, ends the link with `errors.Unavailable` and nothing else.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final, Self, TypeVar

import msgspec

from resolver import notes, parts, protocol
from sdd import errors

HELLO_S: Final = 5.0  # one that runs says at once what it has
START_S: Final = 60.0  # a new interpreter needs seconds on a busy machine, 20 on an emulated one
PROMPT_S: Final = 3.0  # whatever else is asked: nothing of it takes a tenth of this
ANSWER_S: Final = 6.0  # Apply of a big snapshot
SERVES_S: Final = 3.0  # how long a new one may serve nobody until somebody asks it about itself
SEND_S: Final = 5.0  # how long a worker may leave its queue full
ROUNDS: Final = 3  # in which an answer is waited for: a stall of our own costs one of them
CODE: Final = "SDD-DNS-WORKER"
HINT: Final = "sdd starts another one and sends it everything; what the worker said is in the log"
MOST_TEXT: Final = 200  # characters of a line of the worker's
_CREDENTIALS = struct.Struct("=iII")  # struct ucred: pid, uid, gid (unix(7))
_ANCILLARY = socket.CMSG_SPACE(_CREDENTIALS.size)  # no room for descriptors: none are taken

Answer = TypeVar("Answer", bound=protocol.FromWorker)


class Link:
    """A connected worker; make it with `open`. Any failure, also a cancelled request, closes it.

    `inventory` is what the worker has as far as sdd knows; whoever changes it keeps it true.
    `lost` is called once when the worker goes, not when `close` was called; `why` tells what
    happened then, `is_hung` that it does not answer but may live.
    """

    def __init__(self, connected: socket.socket, inventory: protocol.Inventory, pid: int) -> None:
        self.inventory = inventory
        self.pid = pid
        self._serves = asyncio.Event()
        if inventory.revision:
            self._serves.set()
        self.lost: Callable[[], None] = _nobody
        self._socket = connected
        self._turn = asyncio.Lock()
        self._waiting: asyncio.Future[protocol.FromWorker] | None = None
        self._parts: list[protocol.FromWorker] = []
        self._open = True
        self._asked = 0.0
        self.why = ""
        self.is_hung = False
        asyncio.get_running_loop().add_reader(connected.fileno(), self._hear)

    @classmethod
    async def open(cls, connected: socket.socket, timeout_s: float = HELLO_S) -> Self:
        """The link over `connected`, once the worker has said what it has.

        `connected` had SO_PASSCRED set before it was connected, so that the kernel tells who
        sends. Closes it and raises `errors.Unavailable` when the worker says anything else.
        """
        try:
            async with asyncio.timeout(timeout_s):
                inventory, pid = await _greeting(connected)
        except TimeoutError:
            connected.close()
            raise _broken(f"says nothing for {timeout_s:g} s") from None
        except BaseException:
            connected.close()
            raise
        return cls(connected, inventory, pid)

    @property
    def is_open(self) -> bool:
        """Whether messages can still be sent."""
        return self._open

    @property
    def silent_s(self) -> float:
        """For how long an answer is awaited now; 0 when none is."""
        return asyncio.get_running_loop().time() - self._asked if self._waiting else 0.0

    def close(self) -> None:
        """Hang up; the worker goes on serving. Closing twice is fine."""
        if self._open:
            self._open = False
            self._serves.set()  # nobody waits for more: to send says that it is over
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._socket.close()
            if self._waiting and not self._waiting.done():
                self._waiting.set_exception(_broken("hung up"))

    async def send(self, message: protocol.ToWorker, links: Sequence[socket.socket] = ()) -> None:
        """Hand over one message and duplicates of `links`; raises `errors.Unavailable`.

        One that is too long raises `errors.Defect`, for it comes in parts (`resolver.parts`), and
        leaves the link as it is.
        """
        data = protocol.encode(message)
        if len(data) > protocol.MOST_BYTES or len(links) > protocol.MOST_DESCRIPTORS:
            raise errors.Defect(
                f"a {type(message).__name__} of {len(data)} bytes and {len(links)} descriptors is"
                " too long for the DNS worker"
            )
        async with self._turn, self._careful("takes no message", SEND_S), asyncio.timeout(SEND_S):
            await self._send(data, [each.fileno() for each in links])

    async def apply(self, revision: int) -> protocol.Applied:
        """Make all that was sent visible; what the worker says of it."""
        applied = await self._request(protocol.Apply(revision=revision), protocol.Applied, ANSWER_S)
        if applied.revision != revision:
            broken = _broken(f"applied revision {applied.revision} instead of {revision}")
            self._lose(broken.sentence)
            raise broken
        self._serves.set()
        return applied

    async def count(self) -> protocol.Counted:
        """The worker's counters."""
        return await self._request(protocol.Count(), protocol.Counted, PROMPT_S)

    async def ping(self) -> tuple[str, ...]:
        """Hear that the worker still turns, and what it has to tell people: a few short lines."""
        told = await self._request(protocol.Ping(), protocol.Pong, PROMPT_S)
        return tuple(map(_line, told.notes[: notes.MOST]))

    async def inquire(self, message: protocol.Question, expected: type[Answer]) -> Answer:
        """The worker's answer to a question about itself.

        A new one serves nobody before it was told whom, a second after the one before it died: that
        is waited for, but not for ever, for nobody may be able to tell it.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SERVES_S):
                await self._serves.wait()
        return await self._request(message, expected, PROMPT_S)

    async def _request(
        self, message: protocol.ToWorker, expected: type[Answer], timeout_s: float
    ) -> Answer:
        async with self._turn, self._careful("does not answer", timeout_s):
            waiting: asyncio.Future[protocol.FromWorker]
            waiting = asyncio.get_running_loop().create_future()
            self._waiting, self._parts = waiting, []
            self._asked = asyncio.get_running_loop().time()
            try:
                async with asyncio.timeout(SEND_S):
                    await self._send(protocol.encode(message), ())
                answer = await _patiently(waiting, timeout_s)
            finally:
                self._waiting = None
            if not isinstance(answer, expected):
                raise _broken(f"answers {type(answer).__name__} to {type(message).__name__}")
            return answer

    async def _send(self, data: bytes, descriptors: Sequence[int]) -> None:
        loop = asyncio.get_running_loop()
        while True:
            if not self._open:
                raise _broken("hung up")
            try:
                socket.send_fds(self._socket, [data], list(descriptors), socket.MSG_NOSIGNAL)
            except BlockingIOError:
                await _ready(self._socket, loop.add_writer, loop.remove_writer)
            except OSError as exc:
                raise _broken(f"takes no message: {exc.strerror}") from exc
            else:
                return

    @contextlib.asynccontextmanager
    async def _careful(self, sin: str, timeout_s: float) -> AsyncIterator[None]:
        """After a failure or a cancellation nobody knows which answer comes next: hang up."""
        try:
            yield
        except TimeoutError:
            self.is_hung = self._open
            broken = _broken(f"{sin} for {timeout_s:g} s")
            self._lose(broken.sentence)
            raise broken from None
        except errors.SddError as exc:
            self._lose(exc.sentence)
            raise
        except BaseException:
            self._lose("sdd gave up a question to the DNS worker")
            raise

    def _hear(self) -> None:
        try:
            message, _ = _receive(self._socket)
        except BlockingIOError:
            return
        except errors.Unavailable as exc:
            self._fail(exc)
            return
        if self._waiting is None or self._waiting.done():
            self._fail(_broken("speaks without being asked"))
            return
        self._parts.append(message)
        try:
            if _is_whole(self._parts):
                self._waiting.set_result(parts.joined(self._parts))
        except errors.Unavailable as exc:
            self._fail(exc)

    def _fail(self, why: errors.Unavailable) -> None:
        if self._waiting and not self._waiting.done():
            self._waiting.set_exception(why)
        self._lose(why.sentence)

    def _lose(self, why: str) -> None:
        if self._open:
            self.why = why
            self.close()
            self.lost()


async def _patiently(
    waiting: asyncio.Future[protocol.FromWorker], timeout_s: float
) -> protocol.FromWorker:
    """The answer; raises TimeoutError. What came while this very process stood still counts."""
    for _ in range(ROUNDS):
        done, _ = await asyncio.wait((waiting,), timeout=timeout_s / ROUNDS)
        if done:
            return waiting.result()
    raise TimeoutError


def connect(path: str) -> socket.socket:
    """A non-blocking socket connected to the worker at `path`; raises OSError."""
    connected = socket.socket(
        socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
    )
    try:
        # Before connecting: what the worker sends at once must already carry its credentials.
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        connected.connect(path)
    except BaseException:
        connected.close()
        raise
    return connected


def _receive(connected: socket.socket) -> tuple[protocol.FromWorker, int]:
    """One message and the pid of its sender as the kernel knows it; 0 when it does not."""
    try:
        data, ancillary, flags, _ = connected.recvmsg(protocol.MOST_BYTES, _ANCILLARY)
    except BlockingIOError:
        raise
    except OSError as exc:
        raise _broken(f"hung up: {exc.strerror}") from exc
    if not data:
        raise _broken("hung up")
    if flags & socket.MSG_TRUNC:
        raise _broken(f"sends more than {protocol.MOST_BYTES} bytes at once")
    try:
        return protocol.decode_from_worker(data), _sender(ancillary)
    except (msgspec.DecodeError, ValueError, RecursionError) as exc:
        raise _broken(f"speaks no language of ours ({exc})") from exc


async def _greeting(connected: socket.socket) -> tuple[protocol.Inventory, int]:
    """All that the worker has; of one of another release the first part says enough."""
    loop = asyncio.get_running_loop()
    heard: list[protocol.Inventory] = []
    while True:
        await _ready(connected, loop.add_reader, loop.remove_reader)
        message, pid = _receive(connected)
        if not isinstance(message, protocol.Inventory):
            raise _broken("does not say what it has")
        heard.append(message)
        if message.release != protocol.RELEASE or _is_whole(heard):
            return parts.joined(heard), pid


def _is_whole(heard: Sequence[protocol.FromWorker]) -> bool:
    """Whether that is all of an answer; raises `errors.Unavailable` when it can be none."""
    if type(heard[-1]) is not type(heard[0]):
        raise _broken(f"answers {type(heard[-1]).__name__} within {type(heard[0]).__name__}")
    if len(heard) >= parts.MOST_PARTS:
        raise _broken(f"speaks on for more than {parts.MOST_PARTS} messages")
    return parts.is_last(heard[-1])


def _sender(ancillary: Sequence[tuple[int, int, bytes]]) -> int:
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
            pid, _, _ = _CREDENTIALS.unpack(data[: _CREDENTIALS.size])
            return int(pid)
    return 0


async def _ready(
    connected: socket.socket,
    add: Callable[..., None],
    remove: Callable[[int], object],
) -> None:
    """Wait until `add` (a reader or writer) reports the socket."""
    ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    add(connected.fileno(), _settle, ready)
    try:
        await ready
    finally:
        remove(connected.fileno())


def _settle(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def _line(text: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in text[:MOST_TEXT])


def _broken(sin: str) -> errors.Unavailable:
    return errors.Unavailable(f"the DNS worker {sin}", hint=HINT, code=CODE)


def _nobody() -> None:
    """What is called when nobody wants to know."""
