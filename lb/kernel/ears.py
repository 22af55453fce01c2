"""What the netlink sockets have in common that hear of addresses: read, and tell of each."""

import socket
from collections.abc import Callable, Iterable

from sdd.model.network import IPAddress

_RECEIVE = 1 << 16
_AT_ONCE = 64  # datagrams a wake-up, so that a flood does not hold the loop


def drain(
    ear: socket.socket,
    read: Callable[[bytes], Iterable[IPAddress]],
    told: Callable[[IPAddress], None],
) -> None:
    """Tells of the addresses that `read` finds in what came to `ear`, which does not block.

    After an overrun it goes on: signs were lost, and counters and checks tell all the same.
    """
    for _ in range(_AT_ONCE):
        try:
            datagram = ear.recv(_RECEIVE)
        except BlockingIOError:
            return
        except OSError:
            continue
        for address in read(datagram):
            told(address)
