"""Who has a port: the sockets in its way by sock_diag, and by /proc the processes that have them.

As `ss -p` does. In: ports. Out: a name and pid for each that can be told. Runs in the namespace of
the calling thread. Formats: include/uapi/linux/inet_diag.h, proc_pid_fd(5).
"""

import ipaddress
import os
import socket
import struct
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from sdd import errors
from sdd.linux import netlink
from sdd.model.network import IPAddress

LIMIT_S = 0.5  # of a processor; beyond that nobody is named: a command waits for it
_SOCK_DIAG = 4  # NETLINK_SOCK_DIAG
_BY_FAMILY = 20  # SOCK_DIAG_BY_FAMILY
_REQUEST = struct.Struct("=BBBxI")  # struct inet_diag_req_v2, before the socket's id
_ID = struct.Struct("!HH16s16s12s")  # struct inet_diag_sockid; our part is in network order
_ANSWER = struct.Struct("=BBBB48sIIIII")  # struct inet_diag_msg
_ONLY_IPV6 = 11  # INET_DIAG_SKV6ONLY
_TIME_WAIT = 1 << 6  # belongs to no process and is in nobody's way
_ANY_STATE = 0xFFFFFFFF & ~_TIME_WAIT
_LISTEN = 10  # TCP_LISTEN
_PROC = Path("/proc")
_NAME_BYTES = 64
_FAMILIES = MappingProxyType({4: socket.AF_INET, 6: socket.AF_INET6})


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A port of one IP version; `protocol` is its number, `address` None every address."""

    version: int
    protocol: int
    number: int
    address: IPAddress | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A process that has a socket in the way; `name` is printable, `more` others have it too."""

    name: str
    pid: int
    more: int = 0

    def __str__(self) -> str:
        more = f" and {self.more} more" if self.more else ""
        return f"{self.name} (pid {self.pid}{more})"


@dataclass(frozen=True, slots=True)
class _Socket:
    address: IPAddress
    inode: int
    is_listening: bool
    is_only_ipv6: bool


def holders(asked: Collection[Asked], limit_s: float = LIMIT_S) -> Mapping[Asked, Holder]:
    """Those that can be told within `limit_s` of this thread's own work; never raises.

    Missing are sockets of the kernel itself, of processes that this one may not see, and of those
    that ended meanwhile. Of several sockets the one that listens counts.
    """
    inodes = sockets(asked)
    owners = owning(set(inodes.values()), limit_s)
    return {each: owners[inode] for each, inode in inodes.items() if inode in owners}


def sockets(asked: Collection[Asked]) -> Mapping[Asked, int]:
    """The inodes of the sockets in the way, as far as they can be seen: the kernel says at once."""
    return {each: found for each in asked if (found := _inode(each))}


def has_socket(asked: Asked) -> bool | None:
    """Whether what is sent there comes to a socket; None where the kernel does not tell."""
    try:
        return any(_clashes(asked, each) for each in _seen(asked))
    except (errors.SddError, OSError):
        return None


def owning(inodes: Collection[int], limit_s: float = LIMIT_S) -> Mapping[int, Holder]:
    """Who has these sockets, found among all that all processes have open; never raises."""
    owners = _processes(inodes, time.thread_time() + limit_s)
    return {
        inode: Holder(name=_name(pids[0]), pid=pids[0], more=len(pids) - 1)
        for inode, pids in owners.items()
    }


def named(address: str, number: int, protocol: int = socket.IPPROTO_TCP) -> str:
    """Who has one port at that address, such as "nginx (pid 812)"; empty when it cannot be told."""
    where = ipaddress.ip_address(address)
    asked = Asked(
        version=where.version,
        protocol=protocol,
        number=number,
        address=None if where.is_unspecified else where,
    )
    return str(holders([asked]).get(asked, ""))


# --- sockets ------------------------------------------------------------------------------------


def _inode(asked: Asked) -> int:
    """Of the socket that is in the way, 0 when there is none to be seen."""
    found = [each for each in _sockets(asked) if each.inode and _clashes(asked, each)]
    return max(found, key=lambda each: each.is_listening).inode if found else 0


def _sockets(asked: Asked) -> Iterator[_Socket]:
    try:
        yield from _seen(asked)
    except (errors.SddError, OSError):
        return  # a kernel without sock_diag for this protocol


def _seen(asked: Asked) -> Iterator[_Socket]:
    families = (socket.AF_INET, socket.AF_INET6) if asked.version == 4 else (socket.AF_INET6,)  # noqa: PLR2004 - IP
    with netlink.Connection(_SOCK_DIAG) as connection:
        for family in families:
            yield from _listed(connection, family, asked)


def _listed(connection: netlink.Connection, family: int, asked: Asked) -> Iterator[_Socket]:
    one = _ID.pack(asked.number, 0, b"", b"", b"")
    body = _REQUEST.pack(family, asked.protocol, 0, _ANY_STATE) + one
    for reply in connection.dump(_BY_FAMILY, body):
        _, state, _, _, raw, *_, inode = _ANSWER.unpack_from(reply.body)
        number, _, source, _, _ = _ID.unpack(raw)
        if number != asked.number:
            continue
        attributes = netlink.attributes(reply.body[_ANSWER.size :])
        length = 4 if family == socket.AF_INET else 16
        yield _Socket(
            ipaddress.ip_address(source[:length]),
            inode,
            state == _LISTEN,
            netlink.to_int(attributes.get(_ONLY_IPV6, b"\0")) != 0,
        )


def _clashes(asked: Asked, found: _Socket) -> bool:
    address = getattr(found.address, "ipv4_mapped", None) or found.address
    if asked.version == 4 and address.version == 6:  # noqa: PLR2004 - IP versions
        return bool(address.is_unspecified) and not found.is_only_ipv6
    if asked.version != address.version:
        return False
    return asked.address in (None, address) or bool(address.is_unspecified)


# --- processes ----------------------------------------------------------------------------------


def _processes(inodes: Collection[int], end: float) -> dict[int, list[int]]:
    """Inode → the processes that have it open, lowest first; what was found until `end`."""
    wanted = {f"socket:[{each}]": each for each in inodes}
    found: dict[int, list[int]] = {}
    for pid in sorted(_pids()) if wanted else ():
        if time.thread_time() > end:
            break
        for inode in {wanted[link] for link in _links(pid, end) if link in wanted}:
            found.setdefault(inode, []).append(pid)
    return found


def _pids() -> Iterator[int]:
    with os.scandir(_PROC) as every:
        yield from (int(each.name) for each in every if each.name.isdigit())


def _links(pid: int, end: float) -> Iterator[str]:
    """What a process has open; nothing of one that has ended or may not be seen."""
    try:
        with os.scandir(_PROC / str(pid) / "fd") as each_open:
            for each in each_open:
                if time.thread_time() > end:
                    return
                try:
                    yield os.readlink(each.path)  # noqa: PTH115 - a Path for each of many files is slow
                except OSError:
                    continue  # closed meanwhile
    except OSError:
        return


def _name(pid: int) -> str:
    """Its own word, which may be anything: only what can be printed of it."""
    try:
        raw = (_PROC / str(pid) / "comm").read_bytes()[:_NAME_BYTES]
    except OSError:
        raw = b""
    words = raw.decode(errors="replace").rstrip("\n")
    return "".join(each if each.isprintable() else "?" for each in words) or "a program"
