"""Netlink without a library: many requests in one send, one result per request.

In: `Message`s (type, flags, body) and attribute bytes. Out: a `Result` per message, matched by
sequence number, because a batch is no transaction: one may fail while its neighbours succeed.
Knows no family: rtnetlink, generic netlink and netfilter bodies are made by their owners.
Wire format: include/uapi/linux/netlink.h.
"""

import errno
import fcntl
import itertools
import os
import socket
import struct
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

from sdd import errors, fence
from sdd.linux import closing, netlink_own, netlink_room

ROUTE = 0
NETFILTER = 12
GENERIC = 16

REQUEST = 0x1
ACK = 0x4
REPLACE = 0x100
EXCL = 0x200
CREATE = 0x400
APPEND = 0x800
DUMP = 0x300

BATCH = 64  # messages per send; measured best, 200 is slower (balancing.md §1)
_NOOP = 1
_ERROR = 2
_DONE = 3
_DUMP_INTERRUPTED = 0x10
_CAPPED = 0x100  # NLM_F_CAPPED: the request is not echoed in the error
_EXTENDED = 0x200  # NLM_F_ACK_TLVS: attributes with a text follow
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_PADDINGS = (b"", b"\0\0\0", b"\0\0", b"\0")
_STATUS = struct.Struct("=i")
_NESTED = 0x8000
_TYPE_MASK = 0x3FFF
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11  # NFNL_MSG_BATCH_*
_FIRST_OF_BATCH = 1 << 30  # beyond what a connection counts itself
_RECEIVE = 1 << 16  # bytes per recv: the kernel puts at most 32 KiB of a dump into one datagram
_PATIENCE_S = 30  # the kernel answers at once; only a broken one lets us wait
_PATIENCE = struct.pack("@ll", _PATIENCE_S, 0)  # struct timeval
_DUMP_TRIES = 8  # a dump that changes under our eyes is read again this often

_SIOCGIFNAME, _SIOCGIFINDEX = 0x8910, 0x8933  # include/uapi/linux/sockios.h
_NAME_SIZE = 16  # IFNAMSIZ, the closing zero included
_IFREQ = struct.Struct("16si20x")  # struct ifreq: a name, an index

_SOL_NETLINK = 270
_CAP_ACK = 10
_EXT_ACK = 11
_GET_STRICT_CHK = 12
_EXT_MESSAGE = 1  # NLMSGERR_ATTR_MSG


class Message(NamedTuple):
    """One request: netlink type, extra flags (REQUEST and ACK are added), body after the header."""

    kind: int
    flags: int
    body: bytes


class Reply(NamedTuple):
    """One answer of the kernel: its type and the body after the netlink header."""

    kind: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Result:
    """How one message ended: `error` is 0 or a positive errno, `text` the kernel's own words."""

    error: int = 0
    text: str = ""
    replies: tuple[Reply, ...] = ()

    def __str__(self) -> str:
        words = os.strerror(self.error) if self.error else "ok"
        return f"{words} ({self.text})" if self.text else words


_WELL = Result()


@dataclass(frozen=True, slots=True)
class Batch:
    """A transaction as bytes: `length` messages, numbered from `first`."""

    data: bytes
    first: int
    length: int


class Interrupted(Exception):
    """The kernel's list changed while it was being dumped."""


class Connection:
    """One netlink socket, bound for ever to the namespace in which it was opened.

    Blocking and for one thread at a time; acks come at once because the kernel works in `send`.
    """

    def __init__(self, protocol: int, *, strict: bool = False) -> None:
        """Open it. `strict`: the header of a dump's request says which entries are wanted."""
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
        self._socket = socket.socket(socket.AF_NETLINK, kind, protocol)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _PATIENCE)
        options = (
            (_SOL_NETLINK, _CAP_ACK, 1),
            (_SOL_NETLINK, _EXT_ACK, 1),
            *(((_SOL_NETLINK, _GET_STRICT_CHK, 1),) if strict else ()),
        )
        for level, option, value in options:
            self._socket.setsockopt(level, option, value)
        netlink_room.receiving(self._socket)
        netlink_own.bind(self._socket)
        self._sequence = itertools.count(1)
        self._waits = protocol == NETFILTER

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the descriptor, now or in a moment; the connection cannot be used any more."""
        if self._waits:
            closing.later(self._socket.close)
        else:
            self._socket.close()

    def index(self, name: str) -> int:
        """The index of a link of the namespace; OSError for none. Waits for nobody's rtnl lock."""
        if len(name.encode()) >= _NAME_SIZE:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        asked = fcntl.ioctl(self._socket, _SIOCGIFINDEX, _IFREQ.pack(name.encode(), 0))
        _, found = _IFREQ.unpack(asked)
        return int(found)

    def has_index(self, index: int) -> bool:
        """Whether a link of the namespace has that index. Waits for nobody's rtnl lock."""
        try:
            fcntl.ioctl(self._socket, _SIOCGIFNAME, _IFREQ.pack(b"", index))
        except OSError as exc:
            if exc.errno != errno.ENODEV:
                raise
            return False
        return True

    def request(self, messages: Iterable[Message]) -> tuple[Result, ...]:
        """The result of each message, in order. All are tried, whatever happens to the others."""
        results: list[Result] = []
        rest = iter(messages)
        while batch := tuple(itertools.islice(rest, BATCH)):
            results.extend(self._batch(batch))
        return tuple(results)

    def numbers(self, count: int) -> range:
        """Sequence numbers for requests that are put together elsewhere."""
        first = next(self._sequence)
        self._sequence = itertools.count(first + count)
        return range(first, first + count)

    def room(self) -> int:
        """How many bytes of requests `refusals` may send at once."""
        return netlink_room.refusable(self._socket)

    def refusals(self, loads: Iterable[bytes]) -> dict[int, Result]:
        """Send whole requests without ACK, a load at once; of each number the first refusal.

        All are tried. Requests may share a number, of `numbers` or of those that no connection
        counts up to: then it tells what they are about. A load is of at most `room` bytes.
        """
        ended: dict[int, Result] = {}
        for data in loads:
            (last,) = self.numbers(1)
            with fence.writing():
                self._socket.send(data + _HEADER.pack(_HEADER.size, _NOOP, REQUEST | ACK, last, 0))
            while last not in ended:
                for kind, flags, sequence, body in frames(self._receive()):
                    if kind == _ERROR:
                        ended.setdefault(sequence, _ending(flags, body, kind, ()))
        return {number: why for number, why in ended.items() if why.error}

    def transaction(self, subsystem: int, messages: Iterable[Message]) -> Result:
        """All of `messages` or nothing of them, for netfilter's subsystems that know transactions.

        The result is that of the first message that is refused.
        """
        inner = tuple(messages)
        if not inner:
            return Result()
        return self.commit(batch(subsystem, inner, self.numbers(len(inner) + 2).start))

    def commit(self, one: "Batch") -> Result:
        """The same of requests that are put together already; one such batch a connection."""
        netlink_room.sending(self._socket, len(one.data))
        with fence.writing():
            self._socket.send(one.data)
        return self._first_refusal(range(one.first, one.first + one.length))

    def _first_refusal(self, sequences: Sequence[int]) -> Result:
        ended: dict[int, Result] = {}
        while sequences[-2] not in ended and sequences[0] not in ended:
            for kind, flags, sequence, body in frames(self._receive()):
                if kind == _ERROR:
                    ended[sequence] = _ending(flags, body, kind, ())
        refused = (ended[each] for each in sequences if each in ended and ended[each].error)
        return next(refused, Result())

    def dump(self, kind: int, body: bytes, flags: int = 0) -> tuple[Reply, ...]:
        """Everything the kernel lists, as one consistent reading.

        Raises `errors.KernelRefused` when the kernel refuses, `errors.Unavailable` when the list
        never stands still.
        """
        for _ in range(_DUMP_TRIES):
            try:
                (result,) = self._batch((Message(kind, flags | DUMP, body),))
            except Interrupted:
                continue
            if result.error:
                raise errors.KernelRefused(f"the kernel refuses to list (type {kind}): {result}")
            return result.replies
        raise errors.Unavailable(f"the kernel's list (type {kind}) changes faster than it is read")

    def _batch(self, messages: Sequence[Message]) -> tuple[Result, ...]:
        sequences = [next(self._sequence) & 0xFFFFFFFF for _ in messages]
        # The kernel works in order and tells of each refusal: the last ack is one for all.
        acks = itertools.chain(itertools.repeat(0, len(messages) - 1), (ACK,))
        with fence.writing():
            self._socket.send(b"".join(map(_framed, messages, sequences, acks)))
        return self._results(sequences)

    def _results(self, sequences: Sequence[int]) -> tuple[Result, ...]:
        asked = frozenset(sequences)
        replies: defaultdict[int, list[Reply]] = defaultdict(list)
        ended: dict[int, Result] = {}
        interrupted = False
        while sequences[-1] not in ended:
            for kind, flags, sequence, body in frames(self._receive()):
                if sequence not in asked:
                    continue  # an answer to a request whose reader gave up
                interrupted = interrupted or bool(flags & _DUMP_INTERRUPTED)
                if kind in (_ERROR, _DONE):
                    ended[sequence] = _ending(flags, body, kind, replies.get(sequence, ()))
                else:
                    replies[sequence].append(Reply(kind, body))
        if interrupted:
            raise Interrupted
        told = {each: Result(replies=tuple(those)) for each, those in replies.items()} | ended
        return tuple(told.get(each, _WELL) for each in sequences)

    def _receive(self) -> bytes:
        try:
            return self._socket.recv(_RECEIVE)
        except BlockingIOError as exc:
            raise errors.Unavailable(f"the kernel gave no answer for {_PATIENCE_S} s") from exc


def batch(subsystem: int, messages: Sequence[Message], first: int = _FIRST_OF_BATCH) -> Batch:
    """All of `messages` or nothing, for `Connection.commit`; the same bytes do for many sockets."""
    edge = struct.pack(">BBH", 0, 0, subsystem)  # struct nfgenmsg
    begin, end = Message(_BATCH_BEGIN, 0, edge), Message(_BATCH_END, 0, edge)
    # The last request's answer comes when all is done; before it those of what was refused.
    flags = itertools.chain((0,), itertools.repeat(0, len(messages) - 1), (ACK, 0))
    whole = map(_framed, (begin, *messages, end), itertools.count(first), flags)
    return Batch(b"".join(whole), first, len(messages) + 2)


def _framed(message: Message, sequence: int, flags: int = ACK) -> bytes:
    length = _HEADER.size + len(message.body)
    flags |= message.flags | REQUEST
    padding = b"\0" * (-length % 4)
    return _HEADER.pack(length, message.kind, flags, sequence, 0) + message.body + padding


def frames(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """(type, flags, sequence, body) of each message in a datagram; stops at a broken header."""
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, flags, sequence, _ = _HEADER.unpack_from(data, offset)
        if length < _HEADER.size or offset + length > len(data):
            return
        yield kind, flags, sequence, data[offset + _HEADER.size : offset + length]
        offset += (length + 3) & ~3


def _ending(flags: int, body: bytes, kind: int, replies: Sequence[Reply]) -> Result:
    (status,) = _STATUS.unpack_from(body) if len(body) >= _STATUS.size else (0,)
    echoed = 0 if kind == _DONE else _HEADER.size
    if kind == _ERROR and not flags & _CAPPED and len(body) >= _STATUS.size + _HEADER.size:
        (echoed,) = struct.unpack_from("=I", body, _STATUS.size)
    text = ""
    if flags & _EXTENDED:
        extra = attributes(body[_STATUS.size + ((echoed + 3) & ~3) :])
        text = extra.get(_EXT_MESSAGE, b"").split(b"\0")[0].decode(errors="replace")
    return Result(error=max(0, -status), text=text, replies=tuple(replies))


# Attributes: type, length, payload, padded to four bytes.


def attribute(kind: int, payload: bytes) -> bytes:
    """One attribute with raw payload (at most 65531 bytes)."""
    length = _ATTRIBUTE.size + len(payload)
    return _ATTRIBUTE.pack(length, kind) + payload + _PADDINGS[length % 4]


def nested(kind: int, *children: bytes) -> bytes:
    """One attribute made of attributes."""
    return attribute(kind | _NESTED, b"".join(children))


def u8(kind: int, value: int) -> bytes:
    """One byte."""
    return attribute(kind, struct.pack("=B", value))


def u16(kind: int, value: int) -> bytes:
    """Two bytes in the machine's order."""
    return attribute(kind, struct.pack("=H", value))


def u32(kind: int, value: int) -> bytes:
    """Four bytes in the machine's order."""
    return attribute(kind, struct.pack("=I", value))


def u64(kind: int, value: int) -> bytes:
    """Eight bytes in the machine's order."""
    return attribute(kind, struct.pack("=Q", value))


def be16(kind: int, value: int) -> bytes:
    """Two bytes in network order (ports)."""
    return attribute(kind, struct.pack(">H", value))


def be32(kind: int, value: int) -> bytes:
    """Four bytes in network order."""
    return _ATTRIBUTE.pack(8, kind) + value.to_bytes(4, "big")


def text(kind: int, value: str) -> bytes:
    """A string with its closing zero."""
    return attribute(kind, value.encode() + b"\0")


def walk(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(type, payload) of each attribute in order, without flag bits; stops at a broken one."""
    offset = 0
    while offset + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < _ATTRIBUTE.size or offset + length > len(data):
            return
        yield kind & _TYPE_MASK, data[offset + _ATTRIBUTE.size : offset + length]
        offset += (length + 3) & ~3


def raw(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(type, the whole attribute with its header, flags and padding) of each, as `walk` does."""
    offset = 0
    while offset + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < _ATTRIBUTE.size or offset + length > len(data):
            return
        after = offset + ((length + 3) & ~3)
        yield kind & _TYPE_MASK, data[offset:after].ljust(after - offset, b"\0")
        offset = after


def attributes(data: bytes) -> dict[int, bytes]:
    """Type → payload; of repeated types the last wins (use `walk` for lists)."""
    return dict(walk(data))


def to_int(payload: bytes) -> int:
    """A number of 1, 2, 4 or 8 bytes in the machine's order; 0 for nothing."""
    return int.from_bytes(payload, "little" if struct.pack("=H", 1) == b"\1\0" else "big")


def to_text(payload: bytes) -> str:
    """A string without its closing zero."""
    return payload.split(b"\0")[0].decode(errors="replace")
