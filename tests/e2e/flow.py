"""A UDP flow that never pauses: one socket in a sandbox asks the same server again and again."""

import contextlib
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sdd.linux import namespaces
from tests.e2e.appliance import PATIENCE_S

EACH_S = 0.01


class Flow:
    """`link` is connected; `question` goes out every 10 ms. That it is refused ends nothing."""

    def __init__(self, link: socket.socket, question: bytes) -> None:
        self._link = link
        self._question = question
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._ask, name="flow")
        self._thread.start()

    def heard(self) -> bytes:
        """The newest answer, or the next one if there is none yet; raises TimeoutError."""
        found = b""
        while not found or select.select([self._link], [], [], 0)[0]:
            with contextlib.suppress(ConnectionRefusedError):
                found = self._link.recv(2048)
        return found

    def end(self) -> None:
        self._is_over.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._is_over.wait(EACH_S):
            with contextlib.suppress(ConnectionRefusedError):
                self._link.send(self._question)


@contextmanager
def flow(netns: str, address: str, port: int, question: bytes) -> Iterator[Flow]:
    """From the namespace of that name, until the end of the block."""
    with contextlib.closing(namespaces.Namespaces()) as doors:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        path = f"/run/netns/{netns}"
        with doors.run_sync(path, lambda: socket.socket(family, socket.SOCK_DGRAM)) as link:
            link.settimeout(PATIENCE_S)
            link.connect((address, port))
            made = Flow(link, question)
            try:
                yield made
            finally:
                made.end()
