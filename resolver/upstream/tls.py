"""The handshake with an upstream over a connected socket that was lent."""

import asyncio
import socket

from resolver import protocol
from resolver.upstream import trust
from resolver.upstream.sessions import OPEN_S

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def shaken(link: socket.socket, server: protocol.Upstream, alpn: str) -> Streams:
    """Both directions, once the server has proved to be the one that is meant; raises OSError."""
    async with asyncio.timeout(OPEN_S):
        context = await asyncio.to_thread(trust.context, server.ca, alpn)
        return await asyncio.open_connection(
            sock=link, ssl=context, server_hostname=server.name or server.address
        )
