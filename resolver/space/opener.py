"""Opens a sandbox's listeners. To be run inside its namespace (sdd.linux.namespaces).

In: nothing but where the thread is. Out: sockets for a worker, and the namespace they are in.
"""

import contextlib
import errno
import ipaddress
import socket
from dataclasses import dataclass
from typing import Final

from resolver import protocol
from resolver.files import resolvconf
from sdd import errors
from sdd.linux import namespaces, port_holders
from sdd.model import absence

ANY: Final = 0  # the kernel picks a port
# What may wait for the worker at each UDP listener, twice that in the kernel's own measure: 2700
# questions, half a second of its work where all are new ones. The usual 208 KiB are 277, and a stub
# whose datagram finds no room waits for 5 s: a program that starts 200 threads loses a hundred. It
# is memory only while it is full, and a worker that is well empties it at every turn. While none is
# there a stranger may fill 2 MiB, which is what ten sockets of his own take; of 1000 sandboxes that
# all do so it would be 2 GiB, and over all of them stands net.ipv4.udp_mem.
QUEUE_BYTES: Final = 1 << 20
_FORCE: Final = 33  # SO_RCVBUFFORCE (asm-generic/socket.h): more than net.core.rmem_max
_FLAGS: Final = socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC


@dataclass(frozen=True, slots=True)
class Opened:
    """The listeners in the order of `protocol.Listen`, to be closed by whoever has them."""

    listening: protocol.Listening
    links: tuple[socket.socket, ...]

    def close(self) -> None:
        """Release our descriptors; a worker's duplicates live on."""
        for each in self.links:
            each.close()


class NotYet(Exception):
    """`lo` has no route yet: a socket bound now would send from 127.0.0.1, or cannot be bound.

    Before the first address there is no local routing table, and the kernel takes 127.0.0.11 for a
    broadcast address, whose sockets have no source (net/ipv4/af_inet.c, __inet_bind). The flag
    IFF_UP is set before the address and the address before its route, so neither tells.
    """


def open_sockets(inode: int, port: int = ANY) -> Opened:
    """Listeners on `port` of 127.0.0.11.

    Raises `errors.NotFound` when the thread is not in the namespace `inode`: the path leads
    elsewhere now; NotYet while `lo` has no route.
    """
    if namespaces.inode(namespaces.OWN) != inode:
        raise errors.NotFound("the namespace was replaced by another", code=absence.CODE)
    if not _loopback_is_routed():
        raise NotYet
    with contextlib.ExitStack() as undo:
        links: list[socket.socket] = []
        try:
            for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                links.append(_listener(kind, port))
                undo.callback(links[-1].close)
        except OSError as exc:
            raise refused(exc) from exc
        undo.pop_all()
    return Opened(
        protocol.Listening(
            inode=inode,
            udp_port=links[0].getsockname()[1],
            tcp_port=links[1].getsockname()[1],
        ),
        tuple(links),
    )


def widen(link: socket.socket) -> None:
    """Give a UDP listener room for bursts; as much as anybody may have without CAP_NET_ADMIN."""
    for option in (_FORCE, socket.SO_RCVBUF):
        try:
            link.setsockopt(socket.SOL_SOCKET, option, QUEUE_BYTES)
        except PermissionError:
            continue
        return


def is_sound(opened: Opened) -> bool:
    """Whether the listeners still listen, to everybody and where they did.

    What else can be done to a socket a worker may not do (`resolver.worker.confine`); sockets
    towards upstreams are dissolved by whoever takes them over.
    """
    udp, tcp = opened.links
    ports = opened.listening.udp_port, opened.listening.tcp_port
    wanted = [(str(resolvconf.EMBEDDED), each) for each in ports]
    try:
        if [udp.getsockname(), tcp.getsockname()] != wanted or _has_peer(udp):
            return False
        return bool(tcp.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except OSError:
        return False


def _has_peer(link: socket.socket) -> bool:
    """Whether it hears one address only."""
    try:
        link.getpeername()
    except OSError as exc:
        if exc.errno == errno.ENOTCONN:
            return False
        raise
    return True


def refused(exc: errors.SddError | OSError) -> errors.SddError:
    """What the kernel did not give us in a sandbox, for people; what is in our words stays."""
    if isinstance(exc, errors.SddError):
        return exc
    if exc.errno == errno.EADDRINUSE:
        who = _holder() or "a server of its own"
        return errors.KernelRefused(
            f"port {resolvconf.PORT} is held by {who}",
            hint=f"let it listen elsewhere than on {resolvconf.EMBEDDED}, or set dns-bind to nat",
            code="SDD-DNS-PORT",
        )
    return errors.KernelRefused(
        f"no DNS socket: {exc.strerror}",
        hint="see the limits of open files and of memory",
        code="SDD-DNS-SOCKET",
    )


def _holder() -> str:
    where = str(resolvconf.EMBEDDED)
    protocols = (socket.IPPROTO_UDP, socket.IPPROTO_TCP)
    names = (port_holders.named(where, resolvconf.PORT, each) for each in protocols)
    return next(filter(None, names), "")


def _loopback_is_routed() -> bool:
    """Whether the kernel finds a local route to 127.0.0.11: connecting UDP only looks one up."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as asked:
        try:
            asked.connect((str(resolvconf.EMBEDDED), resolvconf.PORT))
        except OSError as exc:
            if exc.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH):
                return False
            raise
        return ipaddress.ip_address(asked.getsockname()[0]).is_loopback


def _listener(kind: socket.SocketKind, port: int) -> socket.socket:
    link = socket.socket(socket.AF_INET, kind | _FLAGS)
    try:
        if port != ANY:
            # New ones take over while a worker still holds the older ones.
            link.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if kind == socket.SOCK_DGRAM:
            widen(link)
        link.bind((str(resolvconf.EMBEDDED), port))
        if kind == socket.SOCK_STREAM:
            link.listen()
    except BaseException:
        link.close()
        raise
    return link
