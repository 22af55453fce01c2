"""A service manager that keeps sockets over a restart, as sd_notify(3) says of systemd."""

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path


class Manager:
    """`kept` are the descriptors by name; `address` is NOTIFY_SOCKET; `said` is all it was told."""

    def __init__(self, path: Path) -> None:
        self.address = str(path)
        self.kept: dict[str, int] = {}
        self.said: list[str] = []
        self._link = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._link.bind(self.address)
        self._thread = threading.Thread(target=self._run, name="manager")
        self._thread.start()

    def sockets(self) -> dict[str, socket.socket]:
        """What the next process gets."""
        return {name: socket.socket(fileno=os.dup(each)) for name, each in self.kept.items()}

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self.address)
        self._thread.join()
        self._link.close()
        for each in self.kept.values():
            os.close(each)

    def _run(self) -> None:
        while True:
            data, descriptors, _, _ = socket.recv_fds(self._link, 4096, 8)
            if not data:
                return
            self.said.append(data.decode())
            words = dict(line.split("=", 1) for line in data.decode().splitlines())
            name = words.get("FDNAME", "")
            if "FDSTORE" in words:
                (self.kept[name],) = descriptors
                continue
            if "FDSTOREREMOVE" in words:
                os.close(self.kept.pop(name))
            for each in descriptors:  # of a barrier
                os.close(each)


@contextlib.contextmanager
def manager(path: Path) -> Iterator[Manager]:
    one = Manager(path)
    try:
        yield one
    finally:
        one.close()
