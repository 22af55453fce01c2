"""Sockets that hold ports, so that no other program gets them. They never get a packet.

The rules send what arrives elsewhere before a socket sees it; a filter drops the rest, so that
nothing is ever accepted or queued here. TCP and SCTP listen: only that keeps out a program that
sets SO_REUSEADDR.
"""

import ctypes
import errno
import fcntl
import os
import socket
import struct
from types import MappingProxyType

from lb.ports.table import Bind, Hindrance
from sdd.model.port import Protocol

_SO_ATTACH_FILTER = 26
_HIGH = 1024  # FD_SETSIZE: libnftables waits by select(), which takes lower descriptors only
_DROP = struct.pack("=HBBI", 0x06, 0, 0, 0)  # BPF_RET | BPF_K, 0 bytes kept: linux/filter.h
_KINDS = MappingProxyType(
    {
        Protocol.TCP: (socket.SOCK_STREAM, socket.IPPROTO_TCP),
        Protocol.UDP: (socket.SOCK_DGRAM, socket.IPPROTO_UDP),
        Protocol.SCTP: (socket.SOCK_STREAM, socket.IPPROTO_SCTP),
    }
)
_FAMILIES = MappingProxyType({4: socket.AF_INET, 6: socket.AF_INET6})
_ANY = MappingProxyType({4: "0.0.0.0", 6: "::"})
# A kernel without the protocol: no other program can take its ports either.
_NOBODY_CAN = frozenset({errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT, errno.EAFNOSUPPORT})


class Sockets:
    """Those held, of the namespace in which `hold` is called; one thread at a time."""

    def __init__(self) -> None:
        self._held: dict[Bind, socket.socket | None] = {}

    def hold(self, bind: Bind) -> str:
        """Empty when the port is held now, else why not."""
        if bind in self._held:
            return ""
        try:
            self._held[bind] = _bound(bind)
        except OSError as exc:
            if exc.errno in _NOBODY_CAN or _has_no_version(bind, exc):
                self._held[bind] = None
                return ""
            return _reason(exc)
        return ""

    def release(self, bind: Bind) -> None:
        """The port is free; fine when it was not held."""
        if (held := self._held.pop(bind, None)) is not None:
            held.close()

    def close(self) -> None:
        """All ports are free."""
        for bind in tuple(self._held):
            self.release(bind)


def _bound(bind: Bind) -> socket.socket:
    kind, protocol = _KINDS[bind.protocol]
    made = _high(socket.socket(_FAMILIES[bind.version], kind | socket.SOCK_CLOEXEC, protocol))
    try:
        if kind == socket.SOCK_STREAM:
            # Connections that a former program closed a minute ago are in nobody's way.
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if bind.version == 6:  # noqa: PLR2004 - the IP version
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        _attach(made)
        made.bind((str(bind.address or _ANY[bind.version]), bind.number))
        if kind == socket.SOCK_STREAM:
            made.listen(1)
    except OSError:
        made.close()
        raise
    return made


def _high(made: socket.socket) -> socket.socket:
    """The same socket under a number that nobody needs who must have a low one."""
    with made:
        return socket.socket(fileno=fcntl.fcntl(made.fileno(), fcntl.F_DUPFD_CLOEXEC, _HIGH))


def _attach(made: socket.socket) -> None:
    code = ctypes.create_string_buffer(_DROP, len(_DROP))
    program = struct.pack("@HP", 1, ctypes.addressof(code))  # struct sock_fprog
    made.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


def _has_no_version(bind: Bind, exc: OSError) -> bool:
    """IPv6 is switched off: not even the unspecified address can be bound."""
    return bind.address is None and exc.errno == errno.EADDRNOTAVAIL


def _reason(exc: OSError) -> str:
    if exc.errno == errno.EADDRINUSE:
        return Hindrance.TAKEN
    if exc.errno == errno.EADDRNOTAVAIL:
        return Hindrance.ABSENT
    if exc.errno in (errno.EMFILE, errno.EINVAL):  # the latter when not even _HIGH is allowed
        return Hindrance.LIMIT
    return os.strerror(exc.errno or 0)
