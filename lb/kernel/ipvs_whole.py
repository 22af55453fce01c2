"""New services, each with all its backends, as bytes to send. Pure.

A thousand services of ten are 22 000 requests that differ in a mark, an address and a weight. Made
one by one they take Python 6 µs each; here what is alike is packed once, and the requests about all
backends of a mark are one `join`. Those about a service have one number, by which it is known who
was refused; it is the service's own, so that they are made once for however many sandboxes.
"""

import functools
import struct
from collections.abc import Callable, Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from lb import table
from lb.kernel import ipvs_codec, ipvs_entries, ipvs_front
from lb.kernel.ipvs_codec import Key, Settings
from sdd.linux import netlink
from sdd.model.network import IPAddress

# Bytes per send. A send and the answer to it take the kernel, and the interpreter between two
# threads, as long as some dozen requests: of 8 KiB a thousand services took 1.7 times as long.
LOAD = 1 << 16
_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr
_NUMBER = struct.Struct("=I")
_NUMBER_AT = 8
_MARK_AT = _HEADER.size + 4 + 4 + 8 + 4  # behind struct genlmsghdr, the service and its family
_ADDRESS_AT = _MARK_AT + 4 + 4 + 4  # behind a backend's head and its own
_V4 = 4
_ZERO: dict[int, IPAddress] = {4: IPv4Address(0), 16: IPv6Address(0)}


class _Head(NamedTuple):
    """A request up to where it is about one backend; around its number and its mark."""

    before: bytes
    between: bytes
    after: bytes

    def about(self, number: bytes, mark: bytes) -> bytes:
        """With these between."""
        return b"".join((self.before, number, self.between, mark, self.after))


def loads(
    family: int, services: Iterable[table.VirtualService], room: int = 2 * LOAD
) -> Iterator[bytes]:
    """What makes `services`, whose refusals will have their `number`s; to be sent in order.

    Each is of at most `room` bytes: neither what is sent nor what is refused of it overflows the
    socket's buffers, however many backends a service has.
    """
    waiting, size, load = list[bytes](), 0, min(LOAD, room // 2)
    make = maker(family)
    for service in services:
        one = service.once(make)  # the same for all sandboxes of its network
        waiting.append(one)
        size += len(one)
        if size >= load:
            yield from _cut_up(b"".join(waiting), load)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)


def _cut_up(requests: bytes, load: int) -> Iterator[bytes]:
    """The same requests in order, in parts of `load` bytes and the last one's rest."""
    begin = at = 0
    while len(requests) - begin > 2 * load:
        while at - begin < load:
            (length,) = _NUMBER.unpack_from(requests, at)
            at += (length + 3) & ~3
        yield requests[begin:at]
        begin = at
    yield requests[begin:]


def foresee(family: int, services: Iterable[table.VirtualService]) -> None:
    """Have ready what makes `services`."""
    make = maker(family)
    for each in services:
        each.once(make)


def number(service: table.VirtualService) -> int:
    """What the requests about it are numbered by: its mark, and whether it is of IPv6.

    No connection counts that far.
    """
    return ipvs_front.stream_mark(service.number) | (service.vip.version != _V4)


@functools.cache
def maker(family: int) -> Callable[[table.VirtualService], bytes]:
    """`piece`, the very same function each time: by it a service knows what was made of it."""
    return functools.partial(piece, family)


def piece(family: int, service: table.VirtualService) -> bytes:
    """The requests about one service, for streams and for datagrams."""
    version, mark = service.vip.version, ipvs_front.stream_mark(service.number)
    bare = _service_head(family, version, ipvs_entries.settings(service))
    head = _backend_head(family, version)
    told, parts = _NUMBER.pack(number(service)), []
    for at, those in ((mark, service), (mark | 1, ipvs_entries.datagrams(service))):
        of = _NUMBER.pack(at)
        parts.append(bare.about(told, of))
        parts.append(_backends(head.about(told, of), those))
    return b"".join(parts)


def _backends(head: bytes, service: table.VirtualService) -> bytes:
    addresses, weight = service.columns
    if weight is None:
        weights = (each.weight for each in service.backends)
        whole = ((head, a, _tail(len(a), w)) for a, w in zip(addresses, weights, strict=True))
        return b"".join(part for parts in whole for part in parts)
    tail = _tail(len(addresses[0]), weight)
    return b"".join((head, (tail + head).join(addresses), tail))


@functools.lru_cache(maxsize=256)
def _service_head(family: int, version: int, how: Settings) -> _Head:
    key = Key(version, 0)
    return _cut(ipvs_codec.service_request(family, ipvs_codec.NEW_SERVICE, key, how))


@functools.cache
def _backend_head(family: int, version: int) -> _Head:
    message = _backend_request(family, version, 4, 0)
    return _cut(message, _ADDRESS_AT - _HEADER.size)


@functools.lru_cache(maxsize=1024)
def _tail(width: int, weight: int) -> bytes:
    """What follows the address of a backend."""
    return _backend_request(0, 4, width, weight).body[_ADDRESS_AT - _HEADER.size + width :]


def _backend_request(family: int, version: int, width: int, weight: int) -> netlink.Message:
    key = Key(version, 0)
    command = ipvs_codec.NEW_BACKEND
    return ipvs_codec.backend_request(family, command, key, _ZERO[width], weight)


def _cut(message: netlink.Message, length: int | None = None) -> _Head:
    size = _HEADER.size + len(message.body)
    header = _HEADER.pack(size, message.kind, netlink.REQUEST | message.flags, 0, 0)
    whole = header + message.body
    return _Head(
        whole[:_NUMBER_AT],
        whole[_NUMBER_AT + 4 : _MARK_AT],
        whole[_MARK_AT + 4 : _HEADER.size + length if length is not None else None],
    )
