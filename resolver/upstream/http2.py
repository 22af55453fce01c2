"""The client's side of HTTP/2, as far as DNS over HTTPS needs it. No world: bytes in, bytes out.

In: requests, and what came from the server. Out: what to send, and finished responses. Our
SETTINGS allow no dynamic header table (RFC 7541 §4.2), so headers are read one by one without a
memory, and only `:status` and `age` are looked at. Formats: RFC 9113, RFC 7541.
"""

import struct
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, NamedTuple

from resolver.upstream.allowance import AT_ONCE, Allowance

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
MOST_FRAME: Final = 1 << 14  # the default, which we leave in force (RFC 9113 §4.2)
MOST_BODY: Final = 1 << 16  # a DNS message is no longer
MOST_HEADERS: Final = 1 << 14
MOST_FIELDS: Final = 256  # of one block of headers, and
MOST_BLOCKS: Final = 8  # such blocks of one response: interim ones, the answer's, trailers
MOST_STREAMS: Final = 100  # until the server says how many it takes at once
_ALLOWED, _EACH, _MOST_ALLOWED = 128, 16, 1 << 14  # frames: at first, a request, in store
_LAST_STREAM: Final = (1 << 31) - 1
_END_STREAM, _ACK, _END_HEADERS, _PADDED, _PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20
_TABLE_SIZE, _PUSH, _STREAMS, _WINDOW = 1, 2, 3, 4  # settings (RFC 9113 §6.5.2)
_HEAD = struct.Struct(">BHBBI")
_SETTING = struct.Struct(">HI")
_NUMBER = struct.Struct(">I")
_CANCEL: Final = 8
# Static table of RFC 7541, appendix A: what is indexed whole, and the names that are looked at.
_STATUSES: Final = {8: 200, 9: 204, 10: 206, 11: 304, 12: 400, 13: 404, 14: 500}
_AGE: Final = 21
_STATIC: Final = 61
# The Huffman codes of digits, by their length in bits (RFC 7541, appendix B).
_SHORT: Final = {0b00000: "0", 0b00001: "1", 0b00010: "2"}
_LONG: Final = {0b011001 + n: str(3 + n) for n in range(7)}
_MOST_DIGITS: Final = 9


class Frame(IntEnum):
    """Frame types."""

    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


class Broken(Exception):
    """The server does not keep to the protocol, or ended the connection by its means."""


class Response(NamedTuple):
    """A finished stream; status 0 for one that the server took back."""

    stream: int
    status: int
    age_s: int
    body: bytes


@dataclass(slots=True)
class _Stream:
    status: int = 0
    age_s: int = 0
    blocks: int = 0
    body: bytearray = field(default_factory=bytearray)


class Connection:
    """One connection; `is_open` while new requests may be made."""

    def __init__(self) -> None:
        self.is_open = True
        self._next = 1
        self._streams: dict[int, _Stream] = {}
        self._came = bytearray()
        self._block: tuple[int, int, bytearray] | None = None  # stream, flags, headers so far
        self._window = self._stream_window = 0xFFFF
        self._most = MOST_STREAMS
        self._out = bytearray()
        self._allowance = Allowance(_ALLOWED, each=_EACH, most=_MOST_ALLOWED)
        self._is_behind = False

    @staticmethod
    def greeting() -> bytes:
        """What a client says first."""
        settings = _SETTING.pack(_TABLE_SIZE, 0) + _SETTING.pack(_PUSH, 0)
        return PREFACE + _frame(Frame.SETTINGS, 0, 0, settings)

    @property
    def has_room(self) -> bool:
        """Whether the server takes one request more now."""
        return self.is_open and len(self._streams) < self._most

    @property
    def is_behind(self) -> bool:
        """Whether more that came is to be worked off by `feed(b"")`, in another turn."""
        return self._is_behind

    def request(self, authority: str, path: str, body: bytes) -> tuple[int, bytes]:
        """The stream of a new POST of a DNS message, and what to send.

        Raises Broken when the connection takes no more: another one is needed.
        """
        too_long = len(body) > min(self._window, self._stream_window)
        if not self.has_room or self._next >= _LAST_STREAM or too_long:
            self.is_open = False
            raise Broken("no further request fits this connection")
        stream, self._next = self._next, self._next + 2
        self._window -= len(body)
        self._allowance.ask()
        self._streams[stream] = _Stream()
        head = _frame(Frame.HEADERS, _END_HEADERS, stream, _request(authority, path, len(body)))
        return stream, head + _frame(Frame.DATA, _END_STREAM, stream, body)

    def cancel(self, stream: int) -> bytes:
        """What to send when nobody waits for `stream` any more."""
        if self._streams.pop(stream, None) is None:
            return b""
        return _frame(Frame.RST_STREAM, 0, stream, _NUMBER.pack(_CANCEL))

    def feed(self, data: bytes) -> tuple[list[Response], bytes]:
        """What is finished by `data`, and what to send. Raises Broken.

        A limited number of frames at once: call again while `is_behind`.
        """
        self._came += data
        done: list[Response] = []
        self._is_behind = False
        frames = 0
        while len(self._came) >= _HEAD.size:
            high, low, kind, flags, stream = _HEAD.unpack_from(self._came)
            size = high << 16 | low
            if size > MOST_FRAME:
                raise Broken("a frame is too long")
            if len(self._came) < _HEAD.size + size:
                break
            if frames == AT_ONCE:
                self._is_behind = True
                break
            frames += 1
            if not self._allowance.take():
                raise Broken("more frames than requests call for")
            body = bytes(self._came[_HEAD.size : _HEAD.size + size])
            del self._came[: _HEAD.size + size]
            if found := self._frame(kind, flags, stream & _LAST_STREAM, body):
                done += found
        out = bytes(self._out)
        self._out.clear()
        return done, out

    def _frame(self, kind: int, flags: int, stream: int, body: bytes) -> list[Response]:
        if self._block and (kind != Frame.CONTINUATION or stream != self._block[0]):
            raise Broken("headers are not continued")
        match kind:
            case Frame.DATA:
                return self._data(flags, stream, body)
            case Frame.HEADERS:
                self._block = (stream, flags, bytearray(_unpadded(flags, body, priority=True)))
                return self._headers(flags)
            case Frame.CONTINUATION if self._block:
                self._block[2].extend(body)
                return self._headers(flags)
            case Frame.RST_STREAM:
                return self._taken_back((stream,))
            case Frame.SETTINGS if not flags & _ACK:
                self._settings(body)
            case Frame.PING if not flags & _ACK:
                self._out += _frame(Frame.PING, _ACK, 0, body)
            case Frame.GOAWAY:
                self.is_open = False
                last = _number(body) & _LAST_STREAM
                return self._taken_back(tuple(each for each in self._streams if each > last))
            case Frame.WINDOW_UPDATE if not stream:
                self._window += _number(body) & _LAST_STREAM
            case Frame.PUSH_PROMISE | Frame.CONTINUATION:
                raise Broken("a frame comes where none may")
        return []  # whatever else there is says nothing to us (RFC 9113 §5.5)

    def _data(self, flags: int, stream: int, body: bytes) -> list[Response]:
        if body:
            self._out += _frame(Frame.WINDOW_UPDATE, 0, 0, _NUMBER.pack(len(body)))
        found = self._streams.get(stream)
        if found is None:
            return []  # cancelled
        found.body += _unpadded(flags, body, priority=False)
        if len(found.body) > MOST_BODY:
            raise Broken("a response is longer than any DNS message")
        return self._finished(stream) if flags & _END_STREAM else []

    def _headers(self, flags: int) -> list[Response]:
        assert self._block is not None
        stream, first, block = self._block
        if len(block) > MOST_HEADERS:
            raise Broken("headers are too long")
        if not flags & _END_HEADERS:
            return []
        self._block = None
        found = self._streams.get(stream)
        if found is None:
            return []
        found.blocks += 1
        if found.blocks > MOST_BLOCKS:
            raise Broken("headers come again and again")
        status, age_s = read_headers(bytes(block))
        found.status, found.age_s = status or found.status, age_s or found.age_s
        return self._finished(stream) if first & _END_STREAM else []

    def _finished(self, stream: int) -> list[Response]:
        found = self._streams.pop(stream)
        return [Response(stream, found.status, found.age_s, bytes(found.body))]

    def _taken_back(self, streams: tuple[int, ...]) -> list[Response]:
        gone = [each for each in streams if self._streams.pop(each, None)]
        return [Response(each, 0, 0, b"") for each in gone]

    def _settings(self, body: bytes) -> None:
        if len(body) % _SETTING.size:
            raise Broken("settings of a wrong length")
        for name, value in _SETTING.iter_unpack(body):
            if name == _STREAMS:
                self._most = value
            elif name == _WINDOW:
                self._stream_window = value
        self._out += _frame(Frame.SETTINGS, _ACK, 0, b"")


def _frame(kind: Frame, flags: int, stream: int, body: bytes) -> bytes:
    return _HEAD.pack(len(body) >> 16, len(body) & 0xFFFF, kind, flags, stream) + body


def _number(body: bytes) -> int:
    if len(body) < _NUMBER.size:
        raise Broken("a frame is too short")
    return int(_NUMBER.unpack_from(body)[0])


def _unpadded(flags: int, body: bytes, *, priority: bool) -> bytes:
    begin, padding = 0, 0
    if flags & _PADDED:
        padding, begin = body[0] if body else len(body) + 1, 1
    if priority and flags & _PRIORITY:
        begin += 5
    if begin + padding > len(body):
        raise Broken("padding is longer than its frame")
    return body[begin : len(body) - padding]


# --- headers ----------------------------------------------------------------------------------


def _request(authority: str, path: str, size: int) -> bytes:
    """POST over https; literals without indexing, by the names of the static table."""
    kind = b"application/dns-message"
    named = ((1, authority.encode()), (4, path.encode()), (19, kind), (28, b"%d" % size))
    fields = [_integer(name, 4, 0) + _integer(len(value), 7, 0) + value for name, value in named]
    return b"\x83\x87" + b"".join(fields) + _integer(31, 4, 0) + _integer(len(kind), 7, 0) + kind


def _integer(value: int, bits: int, mark: int) -> bytes:
    """RFC 7541 §5.1."""
    most = (1 << bits) - 1
    if value < most:
        return bytes((mark | value,))
    out, value = bytearray((mark | most,)), value - most
    while value > 0x7F:  # noqa: PLR2004 - seven bits an octet
        out.append(0x80 | value & 0x7F)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_headers(block: bytes) -> tuple[int, int]:
    """(status, age in seconds), 0 for what is not there. Raises Broken."""
    at, status, age_s, fields = 0, 0, 0, 0
    try:
        while at < len(block):
            fields += 1
            if fields > MOST_FIELDS:
                raise Broken("too many headers")
            first = block[at]
            if first & 0x80:  # a whole field of the table
                index, at = _read_integer(block, at, 7)
                _check(index)
                status = _STATUSES.get(index, status)
                continue
            if first & 0xE0 == 0x20:  # noqa: PLR2004 - the table's size changes: it has none
                _, at = _read_integer(block, at, 5)
                continue
            index, at = _read_integer(block, at, 6 if first & 0x40 else 4)
            if index:
                _check(index)
            else:
                _, at = _read_text(block, at)
            value, at = _read_text(block, at)
            if index in _STATUSES:
                status = _digits(value)
            elif index == _AGE:
                age_s = _digits(value)
    except IndexError:
        raise Broken("headers end too early") from None
    return status, age_s


def _check(index: int) -> None:
    if not 0 < index <= _STATIC:
        raise Broken("a header of a table that we do not keep")


def _read_integer(block: bytes, at: int, bits: int) -> tuple[int, int]:
    most = (1 << bits) - 1
    value, at = block[at] & most, at + 1
    if value < most:
        return value, at
    for shift in range(0, 28, 7):
        octet, at = block[at], at + 1
        value += (octet & 0x7F) << shift
        if not octet & 0x80:
            return value, at
    raise Broken("a number is too long")


def _read_text(block: bytes, at: int) -> tuple[tuple[bool, bytes], int]:
    """((whether it is Huffman-coded, its octets), where it ends)."""
    coded = bool(block[at] & 0x80)
    size, at = _read_integer(block, at, 7)
    if at + size > len(block):
        raise IndexError
    return (coded, block[at : at + size]), at + size


def _digits(text: tuple[bool, bytes]) -> int:
    """The number written there; 0 for anything else."""
    coded, octets = text
    if len(octets) > _MOST_DIGITS:
        return 0  # before it is read: its sender has chosen its length
    shown = _huffman(octets) if coded else octets.decode("latin-1")
    return int(shown) if shown.isascii() and shown.isdigit() and len(shown) <= _MOST_DIGITS else 0


def _huffman(octets: bytes) -> str:
    """Digits out of their Huffman codes; empty when it is anything else."""
    bits = "".join(f"{octet:08b}" for octet in octets)
    out, at = "", 0
    while "0" in bits[at:]:  # the end is padded with ones
        for size, codes in ((5, _SHORT), (6, _LONG)):
            code = bits[at : at + size]
            if len(code) == size and int(code, 2) in codes:
                out += codes[int(code, 2)]
                at += size
                break
        else:
            return ""
    return out
