"""Which netlink sockets are this process's own, and what they cause.

In: sockets, and datagrams of notifications. Out: sockets whose port ids tell whose they are, and
only what others caused. Nothing here sends.
"""

import ctypes
import errno
import itertools
import os
import socket
import struct
from collections.abc import Iterator

from sdd import errors

_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr
_PID_BITS = 22  # PID_MAX_LIMIT, include/linux/threads.h
_PID_MASK = (1 << _PID_BITS) - 1
_PORTS_OF_OTHERS = 1 << 31
_PORTS = 511  # what the bits between the pid and the sign can tell apart
_numbers = itertools.count()
_SO_ATTACH_FILTER = 26  # include/uapi/asm-generic/socket.h
_INSTRUCTION = struct.Struct("=HBBI")  # struct sock_filter, include/uapi/linux/filter.h
_PORT_AT = 12  # where struct nlmsghdr has the port
_NATIVE = struct.Struct("=I")


def bind(one: socket.socket) -> None:
    """Give a socket a port id that tells whose it is, so that `news` can leave out our own.

    The kernel gives the pid itself to a process's first socket in a namespace and negative numbers
    to the others (netlink_autobind): what lies between them is free.
    """
    for _ in range(_PORTS):
        try:
            one.bind((os.getpid() | (1 + next(_numbers) % _PORTS) << _PID_BITS, 0))
        except OSError as exc:
            if exc.errno != errno.EADDRINUSE:
                raise
        else:
            return
    raise errors.Exhausted(
        f"this process has {_PORTS} netlink sockets in one namespace",
        hint="this is a bug in sdd: they are not closed",
    )


def ignore_own(one: socket.socket) -> None:
    """The kernel keeps from a socket that listens what the others of this process cause.

    As `news` does, but before it takes room: beside many namespaces our own changes would drown
    those of others. A datagram is of one sender, so its first message tells.
    """
    own, mask, port = os.getpid(), _PID_MASK | _PORTS_OF_OTHERS, _PORT_AT
    program = (
        (0x20, 0, 0, port),  # ld [port], as if it were in network order
        (0x54, 0, 0, int.from_bytes(_NATIVE.pack(mask), "big")),  # and mask
        (0x15, 0, 1, int.from_bytes(_NATIVE.pack(own), "big")),  # jeq own
        (0x06, 0, 0, 0),  # ret nothing of it
        (0x06, 0, 0, 0xFFFFFFFF),  # ret all of it
    )
    code = ctypes.create_string_buffer(b"".join(_INSTRUCTION.pack(*each) for each in program))
    told = struct.pack("@HP", len(program), ctypes.addressof(code))  # struct sock_fprog
    one.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, told)


def news(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """(type, flags, body) of each message that somebody else caused, the kernel included."""
    offset, own = 0, os.getpid()
    while offset + _HEADER.size <= len(data):
        length, kind, flags, _, port = _HEADER.unpack_from(data, offset)
        if length < _HEADER.size or offset + length > len(data):
            return
        if port & _PID_MASK != own or port >= _PORTS_OF_OTHERS:
            yield kind, flags, data[offset + _HEADER.size : offset + length]
        offset += (length + 3) & ~3
