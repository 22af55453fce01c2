"""How much a netlink socket takes at once, there and back.

In: sockets. Out: sockets with more room, and how much it is. Nothing here sends.
"""

import contextlib
import socket
from typing import Final

SURE: Final = 1 << 17  # bytes that any socket may send at once (net.core.wmem_default is more)
# include/uapi/asm-generic/socket.h: beyond wmem_max and rmem_max, with CAP_NET_ADMIN
_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33
_RECEIVE = 1 << 22
_REFUSAL = 16  # a refusal takes at most so many times the room of the request


def sending(one: socket.socket, length: int) -> None:
    """Make room for so many bytes in one send."""
    if length > SURE:
        one.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, length + SURE)


def receiving(one: socket.socket) -> None:
    """Make room for long lists, as far as anybody may have it."""
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE)


def refusable(one: socket.socket) -> int:
    """How many bytes of requests may be sent at once, so that each can be refused.

    What the kernel refuses of them must find a place before anybody reads it.
    """
    with contextlib.suppress(PermissionError):
        one.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE)
    granted = one.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    return min(granted // _REFUSAL, SURE)
