"""Who is given a sandbox's sockets, as seen from where they are opened: the worker."""

import socket
from collections.abc import Sequence
from typing import Protocol

from resolver import protocol


class Taker(Protocol):
    """To whom sockets are handed over; raises `errors.Unavailable` when it fails us."""

    async def send(self, message: protocol.Listen, links: Sequence[socket.socket], /) -> None:
        """Hand over the sockets of a sandbox."""
        ...

    async def served(self, sandbox: str, /) -> bool:
        """Whether it serves on what was handed over a moment ago, once it has said so."""
        ...

    async def led(self, sandbox: str, /) -> None:
        """Port 53 leads to the newest sockets."""
        ...
