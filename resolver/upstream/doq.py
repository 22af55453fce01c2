"""DNS over QUIC: each question is a stream of one connection (RFC 9250). Needs the extra `quic`.

In: a connected UDP socket. Out: a session, until it is idle or the server ends it.
"""

import asyncio
import logging
import socket
import ssl
from typing import Any, Final

from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.quic import events
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection

from resolver import protocol
from resolver.upstream import sessions, trust
from resolver.upstream.allowance import Allowance
from resolver.upstream.sessions import IDLE_S, OPEN_S, Said

ALPN: Final = "doq"
MOST_BYTES: Final = 2 + 0xFFFF  # length and message
MOST_DATAGRAM: Final = 1500  # at 1 octet a frame a longer one holds the loop up
ALLOWED, EACH, MOST_ALLOWED = 256, 64, 1024  # datagrams: at first, a question, in store
_LONG: Final = 0x80  # the form of a header
_LONG_ID: Final = 5  # where it has the length of its destination's number
STREAMS: Final = 100  # of a connection at once, which is what servers mostly allow
NO_ERROR, PROTOCOL_ERROR, CANCELLED = 0x0, 0x2, 0x3  # RFC 9250 §4.3
logging.getLogger("quic").setLevel(logging.CRITICAL)  # servers must not fill our log
_TLS_ALERTS: Final = range(0x100, 0x200)  # RFC 9001 §4.8
_CERTIFICATE: Final = range(0x100 + 42, 0x100 + 49)  # bad … unknown authority: RFC 8446 §6.2


class Doq(QuicConnectionProtocol):
    """The id of a message is 0 on the way (§4.2.1); the stream tells replies apart."""

    def __init__(self, quic: QuicConnection) -> None:
        super().__init__(quic)
        self.heard = self.answered = 0
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ended = asyncio.Event()
        self._allowance = Allowance(ALLOWED, each=EACH, most=MOST_ALLOWED)
        self._slots = asyncio.Semaphore(STREAMS)
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._came: dict[int, bytearray] = {}

    @property
    def is_open(self) -> bool:
        """Whether another question may be asked."""
        return not self.ended.is_set()

    @property
    def is_idle(self) -> bool:
        """Whether nobody waits."""
        return not self._waiting

    async def ask(self, message: bytes) -> Said:
        """The reply under the id of `message`.

        Raises OSError when the connection ends first, and Declined. Whoever has no stream waits
        for one here, where giving up costs nothing.
        """
        async with self._slots:
            return await self._asked(message)

    async def _asked(self, message: bytes) -> Said:
        if not self.is_open:
            raise ConnectionResetError
        stream = self._quic.get_next_available_stream_id()
        waiting = self._waiting[stream] = asyncio.get_running_loop().create_future()
        self._came[stream] = bytearray()
        framed = len(message).to_bytes(2, "big") + b"\0\0" + message[2:]
        self._allowance.ask()
        self._quic.send_stream_data(stream, framed, end_stream=True)
        self.transmit()
        try:
            said = await waiting
            self.answered += 1
            return Said(message[:2] + said[2:])
        except asyncio.CancelledError:
            self._give_up(stream)
            raise
        finally:
            del self._waiting[stream], self._came[stream]

    def _give_up(self, stream: int) -> None:
        """Want no reply any more.

        A stream that is over is forgotten already. One that the server does not allow yet it does
        not know: to hear of its end would be an error that ends the connection (RFC 9000 §4.6).
        Once allowed, it is asked in vain.
        """
        known = self._quic._streams.get(stream)  # noqa: SLF001 - aioquic tells it nowhere else
        if known is not None and not known.is_blocked:
            self._quic.stop_stream(stream, CANCELLED)
            self.transmit()

    def close(self, error_code: int = NO_ERROR, reason_phrase: str = "") -> None:
        """End it; whoever waits gets OSError."""
        if not self.ended.is_set():
            super().close(error_code, reason_phrase)
        self._end(ConnectionResetError())

    def error_received(self, exc: Exception) -> None:
        """Nobody listens there (ICMP)."""
        self._end(ConnectionRefusedError(str(exc)))

    def stop(self) -> None:
        """Nothing more may be sent."""
        for each in (self._timer, self._transmit_task):
            if each is not None:
                each.cancel()

    def datagram_received(self, data: bytes | str, addr: Any) -> None:
        """What comes, unless the server sends more than questions call for.

        Datagrams for connections that we do not have cost the server nothing: anybody may send
        such in its name, who cannot know the random numbers of ours.
        """
        assert isinstance(data, bytes)
        if not self._is_for_us(data):
            return
        if not self._allowance.take():
            self.close(PROTOCOL_ERROR)
        elif (
            len(data) <= MOST_DATAGRAM
        ):  # to whoever tries out what goes through, longer ones do not
            super().datagram_received(data, addr)

    def _is_for_us(self, data: bytes) -> bool:
        """Whether it bears a connection's number that we chose (RFC 9000 §5.2, 17.2, 17.3)."""
        if not data:
            return False
        begin, size = 1, len(self._quic.host_cid)
        if data[0] & _LONG:
            begin, size = _LONG_ID + 1, int.from_bytes(data[_LONG_ID : _LONG_ID + 1], "big")
        number = data[begin : begin + size]
        known = self._quic._host_cids  # noqa: SLF001 - aioquic tells it nowhere else
        return any(each.cid == number for each in known)

    def quic_event_received(self, event: events.QuicEvent) -> None:
        """What aioquic tells."""
        if isinstance(event, events.HandshakeCompleted):
            if not self.ready.done():
                self.ready.set_result(None)
        elif isinstance(event, events.StreamDataReceived):
            self._data(event)
        elif isinstance(event, events.StreamReset):
            self._fail(event.stream_id, sessions.Declined("the stream was reset"))
        elif isinstance(event, events.ConnectionTerminated):
            self._end(_why(event))

    def _data(self, event: events.StreamDataReceived) -> None:
        self.heard += 1
        came = self._came.get(event.stream_id)
        if came is None:
            return  # cancelled
        came += event.data
        whole = len(came) >= 2 and len(came) == 2 + int.from_bytes(came[:2], "big")  # noqa: PLR2004 - the length
        if len(came) > MOST_BYTES or (event.end_stream and not whole):
            self.close(PROTOCOL_ERROR)
        elif event.end_stream:
            waiting = self._waiting[event.stream_id]
            if not waiting.done():
                waiting.set_result(bytes(came[2:]))

    def _fail(self, stream: int, why: Exception) -> None:
        waiting = self._waiting.get(stream)
        if waiting is not None and not waiting.done():
            waiting.set_exception(why)

    def _end(self, why: OSError) -> None:
        self.ended.set()
        if not self.ready.done():
            self.ready.set_exception(why)
        for stream in self._waiting:
            self._fail(stream, ConnectionResetError())


def _why(event: events.ConnectionTerminated) -> OSError:
    if event.error_code in _CERTIFICATE:
        return ssl.SSLCertVerificationError(event.reason_phrase)
    if event.error_code in _TLS_ALERTS:
        return ssl.SSLError(event.reason_phrase)
    return ConnectionResetError()


def configuration(server: protocol.Upstream) -> QuicConfiguration:
    """TLS as strict as with the other transports; the authorities are read at each handshake.

    Raises OSError for a file of authorities that cannot be read.
    """
    return QuicConfiguration(
        is_client=True,
        alpn_protocols=[ALPN],
        server_name=server.name or server.address,
        cafile=trust.file(server.ca),
        verify_mode=ssl.CERT_REQUIRED,
        idle_timeout=2 * IDLE_S,
    )


async def live(link: socket.socket, server: protocol.Upstream, opened: sessions.Opened) -> None:
    """Shake hands, say so, and stay until it was idle for a while; raises OSError."""
    peer = link.getpeername()
    loop, how = asyncio.get_running_loop(), configuration(server)
    transport, session = await loop.create_datagram_endpoint(
        lambda: Doq(QuicConnection(configuration=how)), sock=link
    )
    try:
        session.connect(peer)
        async with asyncio.timeout(OPEN_S):
            await session.ready
        opened(session)
        await _idle(session)
    finally:
        session.close()
        session.stop()
        transport.abort()  # at once: a lent socket serves another soon


async def _idle(session: Doq) -> None:
    """Returns when it ended, or nothing came for a while and nobody waits."""
    heard = -1
    while not session.ended.is_set():
        if session.is_idle and session.heard == heard:
            return
        heard = session.heard
        try:
            async with asyncio.timeout(IDLE_S):
                await session.ended.wait()
        except TimeoutError:
            continue
