"""Who is given the sockets of sandboxes, seen from where they are opened, and what he has."""

import socket
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from resolver import protocol

Handed = tuple[protocol.Sockets, Sequence[socket.socket]]


class Have(NamedTuple):
    """What a worker has of one sandbox; without a listener it has no server."""

    listening: protocol.Listening | None = None
    reach: Mapping[protocol.Family, protocol.Outward] = {}


class Taker(Protocol):
    """To whom sockets are handed over; raises `errors.Unavailable` when it fails us."""

    async def send(self, *handed: Handed) -> None:
        """Hand over sockets of a sandbox, which are all used from the same moment on."""
        ...

    async def served(self, sandbox: str, /) -> bool:
        """Whether it serves on what was handed over a moment ago, once it has said so."""
        ...

    async def led(self, sandbox: str, /) -> None:
        """Port 53 leads to the newest sockets."""
        ...
