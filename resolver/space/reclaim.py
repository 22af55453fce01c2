"""The sockets of a worker that a former sdd started: duplicates of them, as if we had opened them.

In: a process and what it says to serve. Out: the sockets. The worker is not believed: what a socket
is bound to, and in which namespace, is the kernel's word. Blocking.
"""

import ctypes
import errno
import fcntl
import os
import socket
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from resolver import protocol
from resolver.files import resolvconf
from resolver.space import opener
from sdd.linux import high
from sdd.model import ids

_PIDFD_GETFD: Final = 438  # asm-generic/unistd.h, of all architectures
_SIOCGSKNS: Final = 0x894C  # linux/sockios.h: the namespace that a socket is in
_SPARE: Final = 256  # connections of clients that a sandbox may have (protocol of listeners)
_OURS: Final = str(resolvconf.EMBEDDED)


def sockets(
    pid: int, wanted: Mapping[ids.SandboxId, protocol.Listening]
) -> Mapping[ids.SandboxId, opener.Opened]:
    """Those of each sandbox, as far as all of its sockets are there; none without the right to."""
    found: dict[int, list[socket.socket]] = defaultdict(list)
    sharing = Counter(each.inode for each in wanted.values())
    alone = {inode for inode, count in sharing.items() if count == 1}
    # A worker that lies has as many as it likes; clients' connections are among those of an honest.
    most = sum(_SPARE + 2 + sum(each.upstream) for each in wanted.values())
    try:
        for link in _duplicates(pid):
            inode = _namespace(link)
            if inode in alone and sum(map(len, found.values())) < most:
                found[inode].append(link)
            else:
                link.close()
    except OSError:
        pass  # it ended, or the kernel is too old, or we have no CAP_SYS_PTRACE
    taken: dict[ids.SandboxId, opener.Opened] = {}
    for box, listening in wanted.items():
        if links := _picked(found[listening.inode], listening):
            taken[box] = opener.Opened(listening, links)
    kept = {id(link) for each in taken.values() for link in each.links}
    for link in (each for links in found.values() for each in links):
        if id(link) not in kept:
            link.close()
    return taken


def _duplicates(pid: int) -> Iterator[socket.socket]:
    """Each socket of the process once, however many descriptors it has of it."""
    seen: set[str] = set()
    libc = ctypes.CDLL(None, use_errno=True)
    process = os.pidfd_open(pid)
    try:
        for each in Path(f"/proc/{pid}/fd").iterdir():
            try:
                name = str(each.readlink())
            except FileNotFoundError:
                continue
            if not name.startswith("socket:") or name in seen:
                continue
            seen.add(name)
            number = libc.syscall(_PIDFD_GETFD, process, int(each.name), 0)
            if number < 0 and ctypes.get_errno() == errno.EBADF:
                continue  # closed meanwhile
            if number < 0:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
            yield socket.socket(fileno=high.number(number))
    finally:
        os.close(process)


def _namespace(link: socket.socket) -> int:
    """The inode of the namespace that the socket is in; 0 when that cannot be told."""
    try:
        descriptor = fcntl.ioctl(link.fileno(), _SIOCGSKNS)
    except OSError:
        return 0
    try:
        return os.fstat(descriptor).st_ino
    finally:
        os.close(descriptor)


def _picked(
    links: Iterable[socket.socket], listening: protocol.Listening
) -> tuple[socket.socket, ...]:
    """In the order of `protocol.Listen`; empty when any is missing."""
    by_kind: dict[tuple[socket.SocketKind, bool], list[socket.socket]] = defaultdict(list)
    for link in links:
        if link.family in (socket.AF_INET, socket.AF_INET6):
            by_kind[socket.SocketKind(link.type), _is_listener(link, listening)].append(link)
    udp, tcp = (by_kind[kind, True] for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM))
    outward = tuple(by_kind[kind, False] for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM))
    outward = tuple([link for link in each if not _is_from_us(link)] for each in outward)
    if (len(udp), len(tcp)) != (1, 1) or tuple(map(len, outward)) != tuple(listening.upstream):
        return ()
    return (*udp, *tcp, *outward[0], *outward[1])


def _is_listener(link: socket.socket, listening: protocol.Listening) -> bool:
    is_stream = link.type == socket.SOCK_STREAM
    port = listening.tcp_port if is_stream else listening.udp_port
    if is_stream and not link.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return False
    return bool(link.getsockname()[:2] == (_OURS, port))


def _is_from_us(link: socket.socket) -> bool:
    """Whether it is a client's connection."""
    return str(link.getsockname()[0]).removeprefix("::ffff:") == _OURS
