"""The worker's end of one conversation with sdd.

In: a connected socket and who obeys. Out: his answers, in order, as fast as sdd takes them: while
one waits for room nothing more is heard, so that no queue grows here.
"""

import asyncio
import socket
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import msgspec

from resolver import protocol

TURN: Final = 256  # messages a wake-up; then the sandboxes have their turn
HEARD: Final = 1 << 15  # bytes of a wake-up: of 55 000 names each would wait for all the others

Obey = Callable[[bytes, list[socket.socket]], Iterable[protocol.Message]]


class Session:
    """Answers what is said over `link` by `obey`, until somebody hangs up; then `ended` is called.

    `obey` owns the sockets that came along, and raises ValueError (or msgspec.DecodeError) for
    what cannot be understood: that ends the conversation.
    """

    def __init__(self, link: socket.socket, obey: Obey, ended: Callable[["Session"], None]) -> None:
        self._link = link
        self._obey = obey
        self._ended = ended
        self._unsaid: Iterator[protocol.Message] = iter(())
        self._next: protocol.Message | None = None  # had no room
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(link.fileno(), self._hear)

    def say(self, messages: Iterable[protocol.Message]) -> None:
        """Send `messages`, now or as soon as there is room."""
        self._unsaid = iter(messages)
        self._push()

    def hang_up(self) -> None:
        """End the conversation; nobody is told."""
        if self._link.fileno() >= 0:
            self._loop.remove_reader(self._link.fileno())
            self._loop.remove_writer(self._link.fileno())
            self._link.close()

    def _hear(self) -> None:
        room = HEARD
        for _ in range(TURN):
            if self._link.fileno() < 0 or self._next is not None:
                return
            try:
                data, descriptors, _, _ = socket.recv_fds(
                    self._link, protocol.MOST_BYTES, protocol.MOST_DESCRIPTORS
                )
            except BlockingIOError:
                return
            except OSError:
                data, descriptors = b"", []
            links = [socket.socket(fileno=each) for each in descriptors]
            if not data:
                self._end()
                return
            try:
                self.say(self._obey(data, links))
            except (msgspec.DecodeError, ValueError) as exc:
                sys.stderr.write(f"sdd-dns: sdd said what I do not understand: {exc}\n")
                self._end()
            room -= len(data)
            if room <= 0:
                return

    def _push(self) -> None:
        while self._link.fileno() >= 0:
            message = self._next or next(self._unsaid, None)
            if message is None:
                return
            try:
                self._link.send(protocol.encode(message))
            except BlockingIOError:
                self._wait(message)
                return
            except OSError:
                self._end()  # it will connect again and hear everything from the start
                return
            self._next = None

    def _wait(self, message: protocol.Message) -> None:
        """Say `message` and the rest when sdd has taken what it has; hear nothing until then."""
        if self._next is None:
            self._loop.remove_reader(self._link.fileno())
            self._loop.add_writer(self._link.fileno(), self._go_on)
        self._next = message

    def _go_on(self) -> None:
        self._push()
        if self._next is None and self._link.fileno() >= 0:
            self._loop.remove_writer(self._link.fileno())
            self._loop.add_reader(self._link.fileno(), self._hear)

    def _end(self) -> None:
        self.hang_up()
        self._ended(self)
