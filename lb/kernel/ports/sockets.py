"""Sockets that hold ports, so that no other program gets them. They never get a packet.

The rules send what arrives elsewhere before a socket sees it; a filter drops the rest, so that
nothing is ever accepted or queued here. TCP and SCTP listen: only that keeps out a program that
sets SO_REUSEADDR. A service manager keeps copies, so that a port is held over our own restart too.
"""

import ctypes
import errno
import os
import socket
import struct
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Protocol as Shape

from lb.ports.table import Bind, Hindrance
from sdd.linux import high
from sdd.model.port import Protocol

_SO_ATTACH_FILTER = 26
PREFIX = "port-"  # of the names under which copies are kept
MOST_KEPT = 1024  # FileDescriptorStoreMax of sdd.service: systemd compares each with all others
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
_NOTHING: Mapping[str, socket.socket] = MappingProxyType({})
# A kernel without the protocol: no other program can take its ports either.
_NOBODY_CAN = frozenset({errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT, errno.EAFNOSUPPORT})


class Keeper(Shape):
    """A service manager that keeps copies of sockets over our restart; sdd.notify speaks to one."""

    def keep(self, name: str, descriptor: int) -> None:
        """Keep a copy under that name; one of the same name and socket is kept once."""
        ...

    def drop(self, names: Collection[str]) -> None:
        """Close the copies of these names; returns when that is done."""
        ...


class Sockets:
    """Those held, of the namespace in which `hold` is called; one thread at a time.

    `kept` are the copies that outlived a former process, by name: they are taken over.
    """

    def __init__(
        self, keeper: Keeper | None = None, kept: Mapping[str, socket.socket] = _NOTHING
    ) -> None:
        self._held: dict[Bind, socket.socket | None] = {}
        self._keeper = keeper
        self._kept = {name: high.moved(each) for name, each in kept.items()}
        self._copied = set(self._kept)

    def claim(self, binds: Collection[Bind]) -> None:
        """Of the copies that outlived a former process all but these go."""
        wanted = set(map(_name, binds))
        spare = [name for name in self._kept if name not in wanted]
        for name in spare:
            self._kept.pop(name).close()
        self._forget(spare)

    def hold(self, bind: Bind) -> str:
        """Empty when the port is held now, else why not."""
        if bind in self._held:
            return ""
        if copy := self._kept.pop(_name(bind), None):
            self._held[bind] = copy
            return ""
        try:
            self._held[bind] = made = _bound(bind)
        except OSError as exc:
            if exc.errno in _NOBODY_CAN or _has_no_version(bind, exc):
                self._held[bind] = None
                return ""
            return _reason(exc)
        self._copy(_name(bind), made)
        return ""

    def release(self, binds: Collection[Bind]) -> None:
        """The ports are free; fine when they were not held."""
        for bind in binds:
            if (held := self._held.pop(bind, None)) is not None:
                held.close()
        self._forget([_name(bind) for bind in binds])

    def close(self) -> None:
        """All ports are free, but those of which somebody keeps copies."""
        for held in (*self._held.values(), *self._kept.values()):
            if held is not None:
                held.close()
        self._held.clear()
        self._kept.clear()

    def _copy(self, name: str, made: socket.socket) -> None:
        if self._keeper and len(self._copied) < MOST_KEPT:
            self._keeper.keep(name, made.fileno())
            self._copied.add(name)

    def _forget(self, names: Collection[str]) -> None:
        copied = [name for name in names if name in self._copied]
        if self._keeper and copied:
            self._keeper.drop(copied)
        self._copied -= set(copied)
        if copied and len(self._held) > len(self._copied):  # some had found no room
            for bind, held in self._held.items():
                if held is not None and _name(bind) not in self._copied:
                    self._copy(_name(bind), held)


def split(
    inherited: Collection[tuple[str, socket.socket]],
) -> tuple[dict[str, socket.socket], tuple[socket.socket, ...]]:
    """Of what a service manager passed: our copies by name, and what is something else."""
    kept = {name: each for name, each in inherited if name.startswith(PREFIX)}
    return kept, tuple(each for name, each in inherited if name not in kept)


def number_of(protocol: Protocol) -> int:
    """The protocol's number in IP."""
    return _KINDS[protocol][1]


def _name(bind: Bind) -> str:
    """Of its copy; a colon would end it."""
    address = str(bind.address or _ANY[bind.version]).replace(":", ".")
    return f"{PREFIX}{bind.protocol}-{bind.number}-{bind.version}-{address}"


def _bound(bind: Bind) -> socket.socket:
    kind, protocol = _KINDS[bind.protocol]
    made = high.moved(socket.socket(_FAMILIES[bind.version], kind | socket.SOCK_CLOEXEC, protocol))
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
    if exc.errno in (errno.EMFILE, errno.EINVAL):  # the latter when not even high.FIRST is allowed
        return Hindrance.LIMIT
    return os.strerror(exc.errno or 0)
