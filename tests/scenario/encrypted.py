"""Real servers of each encrypted transport, on loopback."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dns.flags
import dns.message
import dns.rrset
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.asyncio.server import serve
from aioquic.quic import events
from aioquic.quic.configuration import QuicConfiguration

from sdd.linux import libc
from tests.scenario import unbound as server
from tests.scenario.certificates import Certificates
from tests.scenario.unbound import free_port

ADDRESS = "192.0.2.77"
READY_S = 60.0
UNBOUND = (
    server.ALONE
    + """
  interface: 127.0.0.1@{tls}
  interface: 127.0.0.1@{https}
  tls-port: {tls}
  https-port: {https}
  tls-service-key: "{key}"
  tls-service-pem: "{chain}"
  http-max-streams: 100
  local-zone: "example.org." static
  local-data: "www.example.org. 300 IN A {address}"
  local-data: "www.example.org. 300 IN AAAA 2001:db8::77"
  local-zone: "many.example." redirect
  local-data: "many.example. 300 IN A {address}"
"""
)


@contextmanager
def unbound(certificates: Certificates, folder: Path) -> Iterator[tuple[int, int]]:
    """A real unbound; its ports for TLS and HTTPS."""
    tls = https = free_port()
    while https == tls:
        https = free_port()
    settings = UNBOUND.format(
        tls=tls,
        https=https,
        key=certificates.key,
        chain=certificates.chain,
        folder=folder,
        address=ADDRESS,
    )
    with server.running(settings, folder, tls, https):
        yield tls, https


class Doq:
    """A DNS over QUIC server; `heard` are (message, whether FIN came with it) as they came.

    With `netns` it listens in the namespace at that path, on the port of the standard.
    """

    def __init__(self, certificates: Certificates, netns: str = "") -> None:
        self.heard: list[tuple[bytes, bool]] = []
        self.connections = 0
        self.delay_s = 0.0
        self.streams = 128  # at once, of connections made from now on
        self.open = self.most_open = 0
        self.port = 853 if netns else free_port()
        self._netns = netns
        self._certificates = certificates
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(READY_S)

    @property
    def asked(self) -> list[bytes]:
        """What was asked for others: of the root the worker asks to know who is there."""
        return [message for message, _ in self.heard if message[12]]

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(READY_S)

    def _run(self) -> None:
        if self._netns:  # of this thread only
            with Path(self._netns).open("rb") as namespace:
                libc.setns(namespace.fileno(), self._netns)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        settings = QuicConfiguration(is_client=False, alpn_protocols=["doq"])
        settings.load_cert_chain(self._certificates.chain, self._certificates.key)
        server = await serve(
            "127.0.0.1",
            self.port,
            configuration=settings,
            create_protocol=lambda *args, **kwargs: _Spoken(self, *args, **kwargs),
        )
        self._ready.set()
        await self._stop.wait()
        server.close()
        await asyncio.sleep(0.1)


class _Spoken(QuicConnectionProtocol):
    def __init__(self, server: Doq, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # handed through
        self._server = server
        limit = self._quic._local_max_streams_bidi
        limit.value = limit.sent = server.streams
        self._came: dict[int, bytes] = {}

    def quic_event_received(self, event: events.QuicEvent) -> None:
        if isinstance(event, events.HandshakeCompleted):
            assert event.alpn_protocol == "doq"
            self._server.connections += 1
        if not isinstance(event, events.StreamDataReceived):
            return
        came = self._came[event.stream_id] = self._came.get(event.stream_id, b"") + event.data
        if event.end_stream:
            self._server.heard.append((came[2:], True))
            self._server.open += 1
            self._server.most_open = max(self._server.most_open, self._server.open)
            self._loop.call_later(self._server.delay_s, self._reply, event.stream_id, came[2:])

    def _reply(self, stream: int, data: bytes) -> None:
        self._server.open -= 1
        query = dns.message.from_wire(data)
        answer = dns.message.make_response(query, recursion_available=True)
        name = query.question[0].name
        answer.answer.append(dns.rrset.from_text(name, 300, "IN", "A", ADDRESS))
        wire = answer.to_wire()
        known = self._quic._streams.get(stream)
        if known is None or known.sender._reset_error_code is not None:
            return  # whoever asked has given up
        self._quic.send_stream_data(stream, len(wire).to_bytes(2, "big") + wire, end_stream=True)
        self.transmit()
