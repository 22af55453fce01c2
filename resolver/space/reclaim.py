"""The sockets of a worker that a former sdd started: duplicates of them, as if we had opened them.

In: a process, of whatever release. Out: the sockets, or that they are kept from us. The worker is
not asked: what a socket is bound to, and in which namespace, is the kernel's word. Blocking.
"""

import ctypes
import errno
import fcntl
import os
import resource
import socket
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from resolver import protocol
from resolver.files import resolvconf
from resolver.space import kept, opener, outward
from sdd.linux import high

_PIDFD_GETFD: Final = 438  # asm-generic/unistd.h, of all architectures
_SIOCGSKNS: Final = 0x894C  # linux/sockios.h: the namespace that a socket is in
# No CAP_SYS_PTRACE, a filter of system calls around us, or a kernel before 5.6.
_REFUSED: Final = (errno.EPERM, errno.EACCES, errno.ENOSYS)
_OURS: Final = str(resolvconf.EMBEDDED)


@dataclass(frozen=True, slots=True)
class Claim:
    """Those of each namespace where the worker's listeners are whole.

    `refused` says why there are none of a worker that lives; it is empty otherwise. Where several
    sandboxes share a namespace nobody could tell whose they are.
    """

    found: tuple[kept.Found, ...] = ()
    refused: str = ""


def sockets(pid: int) -> Claim:
    """What the kernel gives us of the process `pid`."""
    links: dict[int, list[socket.socket]] = defaultdict(list)
    refused = ""
    # A worker that was taken over has as many as it likes.
    most, count = resource.getrlimit(resource.RLIMIT_NOFILE)[0] // kept.SHARE, 0
    try:
        for link in _duplicates(pid):
            inode = _namespace(link)
            if inode and count < most and link.family in (socket.AF_INET, socket.AF_INET6):
                links[inode].append(link)
                count += 1
            else:
                link.close()
    except OSError as exc:  # it ended, or we have no room for more
        if exc.errno in _REFUSED:
            refused = os.strerror(exc.errno).lower()
    return Claim(tuple(_whole(links)), refused)


def _whole(found: Mapping[int, Sequence[socket.socket]]) -> Iterator[kept.Found]:
    """What is left over is closed."""
    for inode, links in found.items():
        made = _picked(inode, links)
        used = {id(link) for link in made.links} if made else ()
        for link in links:
            if id(link) not in used:
                link.close()
        if made:
            yield made


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


def _picked(inode: int, links: Iterable[socket.socket]) -> kept.Found | None:
    """Two listeners, and whole lots of what else we open; None for anything else."""
    ours: dict[socket.SocketKind, list[socket.socket]] = defaultdict(list)
    others: list[socket.socket] = []
    for link in links:
        kind = socket.SocketKind(link.type)
        if not _is_from_us(link):
            others.append(link)
        elif kind == socket.SOCK_DGRAM or _listens(link):  # no client's connection
            ours[kind].append(link)
    udp, tcp = (ours[kind] for kind in outward.KINDS)
    if (len(udp), len(tcp)) != (1, 1):
        return None
    opener.widen(udp[0])  # a former release may have left it narrow
    listening = protocol.Listening(
        inode=inode, udp_port=udp[0].getsockname()[1], tcp_port=tcp[0].getsockname()[1]
    )
    lots = (_lot(family, inode, others) for family in protocol.Family)
    return kept.Found(opener.Opened(listening, (*udp, *tcp)), tuple(each for each in lots if each))


def _lot(family: protocol.Family, inode: int, links: Iterable[socket.socket]) -> outward.Lot | None:
    """Those of one family, if they are all that there are of it."""
    domain = outward.DOMAINS[family]
    clean = [each for each in links if each.family == domain and outward.is_clean(each)]
    kinds = [[each for each in clean if each.type == kind] for kind in outward.KINDS]
    counts = tuple(map(len, kinds))
    if counts != outward.COUNTS:
        return None
    return outward.Lot(family, protocol.Outward(inode, *counts), (*kinds[0], *kinds[1]))


def _listens(link: socket.socket) -> bool:
    return bool(link.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def _is_from_us(link: socket.socket) -> bool:
    """Whether it is a listener, or a client's connection."""
    return str(link.getsockname()[0]).removeprefix("::ffff:") == _OURS
