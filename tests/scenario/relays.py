"""Relays in front of a server that cut, swallow or forget what they carry."""

import contextlib
import socket
import threading
from typing import Self


class Forgetting:
    """A relay for datagrams that can forget who asked, as NAT does."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._out: dict[tuple[str, int], socket.socket] = {}
        self._gone: set[tuple[str, int]] = set()
        self._link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._link.bind(("127.0.0.1", 0))
        self.port = self._link.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._forth, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.forget()
        for link in (self._link, *self._out.values()):
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)  # wakes its reader
            link.close()

    def forget(self) -> None:
        """Nothing more to or from those who asked until now."""
        self._gone |= self._out.keys()

    def _forth(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                data, peer = self._link.recvfrom(65536)
                if peer not in self._out:
                    out = self._out[peer] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                    out.connect(("127.0.0.1", self._target))
                    threading.Thread(target=self._back, args=(out, peer), daemon=True).start()
                if peer not in self._gone:
                    self._out[peer].send(data)

    def _back(self, out: socket.socket, peer: tuple[str, int]) -> None:
        with contextlib.suppress(OSError):
            while peer not in self._gone:
                self._link.sendto(out.recv(65536), peer)


class Counting:
    """A relay that counts connections, can cut them, and can swallow what they carry."""

    def __init__(self, target: int) -> None:
        self.connections = 0
        self._target = target
        self._links: list[socket.socket] = []
        self._mute: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self.drop()

    def drop(self) -> None:
        for link in self._links:
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)
        self._links.clear()

    def forget(self) -> None:
        """The connections there are stay open and carry nothing more."""
        self._mute |= set(self._links)

    def _accept(self) -> None:
        while True:
            try:
                link, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            other = socket.create_connection(("127.0.0.1", self._target))
            self._links += [link, other]
            for source, sink in ((link, other), (other, link)):
                threading.Thread(target=self._pumped, args=(source, sink), daemon=True).start()

    def _pumped(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if source not in self._mute:
                    sink.sendall(data)
        _ended(source, sink)


def _ended(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)
    source.close()
