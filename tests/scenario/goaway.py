"""A DNS over HTTPS server that ends each connection after a few requests, as nginx does."""

import contextlib
import socket
import ssl
import threading
import time
from typing import Self

import dns.message
import dns.rrset
import h2.config
import h2.connection
import h2.events
from hyperframe.frame import GoAwayFrame

from tests.scenario.certificates import Certificates
from tests.scenario.encrypted import ADDRESS


class Goaway:
    """Says GOAWAY at the `most`-th request of a connection, and answers them all `delay_s` later.

    `heard` counts the requests of each connection.
    """

    def __init__(
        self, certificates: Certificates, most: int, delay_s: float, status: str = "200"
    ) -> None:
        self.heard: list[int] = []
        self._most = most
        self._delay_s = delay_s
        self._status = status
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificates.chain, certificates.key)
        self._context.set_alpn_protocols(["h2"])
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                link, _ = self._listener.accept()
                self.heard.append(0)
                at = len(self.heard) - 1
                threading.Thread(target=self._serve, args=(link, at), daemon=True).start()

    def _serve(self, plain: socket.socket, at: int) -> None:
        with contextlib.suppress(OSError), self._context.wrap_socket(plain, True) as link:
            spoken = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
            spoken.initiate_connection()
            bodies: dict[int, bytes] = {}
            while self.heard[at] < self._most:
                link.sendall(spoken.data_to_send())
                for event in spoken.receive_data(link.recv(65536)):
                    if isinstance(event, h2.events.DataReceived):
                        bodies[event.stream_id] = event.data  # a question is one frame
                    if isinstance(event, h2.events.StreamEnded):
                        self.heard[at] = min(self.heard[at] + 1, self._most)
            heard = sorted(bodies)[: self._most]  # more may have come at once
            # By hand: h2 sends nothing more once it has said it.
            link.sendall(GoAwayFrame(0, last_stream_id=heard[-1]).serialize())
            time.sleep(self._delay_s)  # a slow server is what is tested
            for stream in heard:
                _answer(spoken, stream, bodies[stream], self._status)
            link.sendall(spoken.data_to_send())


def _answer(spoken: h2.connection.H2Connection, stream: int, data: bytes, status: str) -> None:
    query = dns.message.from_wire(data)
    answer = dns.message.make_response(query, recursion_available=True)
    answer.answer.append(dns.rrset.from_text(query.question[0].name, 300, "IN", "A", ADDRESS))
    spoken.send_headers(stream, [(":status", status)])
    spoken.send_data(stream, answer.to_wire(), end_stream=True)
