"""Datagrams by system calls through ctypes, buffers made once: many per call, or one alone.

In: the descriptor of a bound UDP socket and what to answer. Out: replies, sent from the very
buffers in which the queries came: id and sender are in place already. The system calls are the
cost of a DNS server, and what Python does per datagram comes right after: one slice, one look-up,
one copy. Whoever asks alone is answered by recvfrom and sendto: the kernel then has no headers to
read and write. `struct mmsghdr` and `struct iovec` are flat arrays of words (64-bit Linux), because
attributes of ctypes structures would cost more than all of that.
"""

import array
import ctypes
import errno
import socket
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Final, Protocol

from sdd import defects, errors

MOST: Final = 64  # datagrams a call: bounds how long one sandbox keeps the others waiting
ROOM: Final = 4096  # bytes a datagram; an honest query has under 600, a reply at most 1232
ID: Final = 2  # bytes
# Numbers: what `socket` has are members of enumerations, whose arithmetic is a call in Python.
_DONTWAIT: Final = int(socket.MSG_DONTWAIT)
_TRUNC: Final = int(socket.MSG_TRUNC)
ALONE_S: Final = 0.0005  # after such a pause a question comes alone
_ONE: Final = _DONTWAIT | _TRUNC  # tells the whole size of what is cut
_NAME = 16  # sizeof(struct sockaddr_in): the listeners are IPv4, so the kernel never changes it
_WORDS = 8  # struct mmsghdr, in words
_NAME_AT, _NAME_LENGTH, _VECTOR_AT, _VECTORS, _FLAGS, _LENGTH = 0, 1, 2, 3, 6, 7
_STARTS = range(0, MOST * ROOM, ROOM)
_FULL = array.array("Q", [ROOM] * MOST)


class Known(Protocol):
    """A reply that was given before, without its id, and how often it was given since.

    It may be given again until `until`.
    """

    tail: bytes
    given: int
    until: float


Otherwise = Callable[[int, bytes], bytes | None]  # slot, query → reply, None for none (now)


class Batch:
    """One set of buffers; all sockets of a thread use it in turn."""

    def __init__(self, faults: defects.Defects | None = None) -> None:
        """Our defects are told to `faults`."""
        held = faults or defects.Defects()
        self._question = held.holding(defects.Unit.QUESTION)
        self._listener = held.holding(defects.Unit.LISTENER)
        if struct.calcsize("P") != 8:  # noqa: PLR2004 - bytes of a 64-bit pointer
            raise errors.Unavailable("sdd-dns needs a 64-bit system")
        libc = ctypes.CDLL(None)
        self._receive, self._receive_one, self._send_one = libc.recvmmsg, libc.recvfrom, libc.sendto
        # To keep the number of an error costs each call a little, and nobody else asks for it.
        self._send = ctypes.CDLL(None, use_errno=True).sendmmsg
        self._bytes = bytearray(MOST * ROOM)
        # The same memory twice: slices of a c_char array are bytes, a bytearray takes slices.
        self._view = (ctypes.c_char * len(self._bytes)).from_buffer(self._bytes)
        self._peers = ctypes.create_string_buffer(MOST * _NAME)
        self._vectors = array.array("Q")
        at = ctypes.addressof(self._view)
        for start in _STARTS:
            self._vectors.extend((at + start, ROOM))
        self._headers = array.array("Q", bytes(8 * _WORDS * MOST))
        for slot in range(MOST):
            word = _WORDS * slot
            self._headers[word + _NAME_AT] = ctypes.addressof(self._peers) + slot * _NAME
            self._headers[word + _NAME_LENGTH] = _NAME
            self._headers[word + _VECTOR_AT] = self._vectors.buffer_info()[0] + 16 * slot
            self._headers[word + _VECTORS] = 1
        self._headers_at = self._headers.buffer_info()[0]
        self._first = ctypes.c_void_p(self._headers_at)
        self._buffer_at = ctypes.c_void_p(at)
        self._peer_at = ctypes.c_void_p(ctypes.addressof(self._peers))
        self._peer_size = ctypes.byref(ctypes.c_uint(_NAME))
        self.long = 0  # those that are no query

    def serve(
        self,
        descriptor: int,
        known: Mapping[bytes, Known],
        otherwise: Otherwise,
        now: float,
        most: int = MOST,
    ) -> int:
        """Answer what waits at `descriptor`, at most `most`; how many datagrams there were.

        Replies come from `known` by all that follows the id, as far as they are good `now`, else
        from `otherwise`. A reply that cannot be sent is lost: its asker is gone, or does not read.
        """
        count = self._receive(descriptor, self._first, most, _DONTWAIT, None)
        if count <= 0:
            return 0
        view, buffer, vectors, get = self._view, self._bytes, self._vectors, known.get
        sizes = self._headers[_LENGTH : _WORDS * count : _WORDS]
        silent: list[int] = []
        word = 1
        try:
            for start, size in zip(_STARTS, sizes, strict=False):
                found = get(view[start + 2 : start + size])  # type: ignore[call-overload]  # bytes
                if found is not None and found.until > now:
                    found.given += 1
                    tail = found.tail
                    end = 2 + len(tail)
                    buffer[start + 2 : start + end] = tail
                    vectors[word] = end
                elif not self._other(word >> 1, start, size, otherwise):
                    silent.append(word >> 1)
                word += 2
            for first, end in _runs(silent, count) if silent else ((0, count),):
                self._flush(descriptor, first, end)
        finally:
            vectors[1 : 2 * count : 2] = _FULL[:count]
        return int(count)

    def turns(
        self,
        descriptor: int,
        known: Mapping[bytes, Known],
        otherwise: Otherwise,
        *,
        clock: Callable[[], float],
        many: Callable[[float], None],
        behind: Callable[[float], None],
    ) -> Iterator[None]:
        """At each step answer who asks alone, after a pause; without a pause `many` is called.

        It gets the time of `clock`, as does `behind` when an answer is on its way. A generator, for
        all that it needs lies in its frame: after a pause nothing is in the processor's caches, and
        half of what an answer then took was the search for attributes and arguments.
        """
        view, buffer, get, send = self._view, self._bytes, known.get, self._send_one
        receive, room, flags, later = self._receive_one, ROOM, _ONE, _DONTWAIT
        at, peer, size_at, name = self._buffer_at, self._peer_at, self._peer_size, _NAME
        last = 0.0
        while True:  # anew after a defect: it would end for good, and with it the listener
            with self._listener:
                while True:
                    yield
                    now = clock()
                    pause_s, last = now - last, now
                    if pause_s < ALONE_S:
                        many(now)
                        continue
                    size = receive(descriptor, at, room, flags, peer, size_at)
                    if size < 0:
                        continue
                    found = get(view[2:size])  # type: ignore[call-overload]  # bytes
                    if found is not None and found.until > now:
                        tail = found.tail
                        end = 2 + len(tail)
                        buffer[2:end] = tail
                        send(descriptor, at, end, later, peer, name)
                        found.given += 1
                    elif end := self._other_alone(size, otherwise):
                        send(descriptor, at, end, later, peer, name)
                    behind(now)

    def peer(self, slot: int) -> tuple[str, int]:
        """Address and port of the sender, for a reply that comes later."""
        at = slot * _NAME
        raw: bytes = self._peers[at : at + 8]  # type: ignore[assignment]  # bytes
        return socket.inet_ntoa(raw[4:8]), int.from_bytes(raw[2:4], "big")

    def _other_alone(self, size: int, otherwise: Otherwise) -> int:
        """The length of the reply to what came alone, 0 without one."""
        self._headers[_FLAGS] = _TRUNC if size > ROOM else 0
        found = self._other(0, 0, size, otherwise)
        end, self._vectors[1] = self._vectors[1], ROOM
        return int(end) if found else 0

    def _other(self, slot: int, start: int, size: int, otherwise: Otherwise) -> bool:
        """Whether there is a reply now."""
        if self._headers[_WORDS * slot + _FLAGS] & _TRUNC:
            self.long += 1  # than any query; what is cut cannot be read
            return False
        reply = None
        with self._question:
            reply = otherwise(slot, bytes(self._bytes[start : start + size]))
        if not reply:
            return False
        self._bytes[start : start + len(reply)] = reply
        self._vectors[2 * slot + 1] = len(reply)
        return True

    def _flush(self, descriptor: int, first: int, end: int) -> None:
        while first < end:
            headers = ctypes.c_void_p(self._headers_at + 8 * _WORDS * first)
            sent = self._send(descriptor, headers, end - first, _DONTWAIT)
            if sent > 0:
                first += sent
            elif ctypes.get_errno() == errno.EAGAIN:
                return
            else:
                first += 1  # an error of that one reply's asker


def _runs(silent: list[int], count: int) -> Iterator[tuple[int, int]]:
    """The stretches of slots that have replies."""
    first = 0
    for slot in (*silent, count):
        if slot > first:
            yield first, slot
        first = slot + 1
