"""Who is at the other end of a unix socket, as the kernel says (unix(7), SO_PEERCRED)."""

import grp
import os
import socket
import struct
from dataclasses import dataclass

from sdd import errors
from sdd.api.call import Access

GROUP = "sdd"
SO_PEERGROUPS = 59  # include/uapi/asm-generic/socket.h; Python 3.11 has no name for it
MAX_GROUPS_BYTES = 1024  # what Python's getsockopt can take: 256 groups


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Credentials at the moment of connect(); `gids` holds the supplementary groups too."""

    pid: int
    uid: int
    gids: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Admins:
    """Who may change things: these users, and the members of the group if it exists."""

    uids: frozenset[int]
    gid: int | None

    def access(self, peer: Peer) -> Access:
        """The most that `peer` may do."""
        if peer.uid in self.uids or self.gid in peer.gids:
            return Access.ADMIN
        return Access.READ


def admins() -> Admins:
    """Root, the daemon's own user, and the group `sdd` where the host has one."""
    return Admins(uids=frozenset({0, os.geteuid()}), gid=group())


def group() -> int | None:
    """The id of the group `sdd`, None when the host has no such group."""
    try:
        return grp.getgrnam(GROUP).gr_gid
    except KeyError:
        return None


def of(link: socket.socket) -> Peer:
    """The peer of a connected unix socket."""
    layout = struct.Struct("3i")
    pid, uid, gid = layout.unpack(
        link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, layout.size)
    )
    return Peer(pid=pid, uid=uid, gids=frozenset({gid, *_groups(link)}))


def _groups(link: socket.socket) -> tuple[int, ...]:
    try:
        packed = link.getsockopt(socket.SOL_SOCKET, SO_PEERGROUPS, MAX_GROUPS_BYTES)
    except OSError:  # ERANGE: more groups than fit; the primary one still counts
        return ()
    return struct.unpack(f"{len(packed) // 4}I", packed)


def demand(peer_access: Access, needed: Access) -> None:
    """Raises Denied when `needed` is more than the peer has."""
    if needed is Access.ADMIN and peer_access is not Access.ADMIN:
        raise errors.Denied(
            "this user may look but not change anything",
            hint=f'run it as root, or join the group "{GROUP}" (equivalent to root on this host)',
            code="SDD-API-DENIED",
        )
