"""A defect while nobody reads the log: its question is lost, and nothing else."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, suppress

from resolver.listen import datagrams, selector


@contextmanager
def unread() -> Iterator[None]:
    """Standard error goes into a pipe without a reader."""
    reader, writer = os.pipe()
    os.close(reader)
    broken = os.fdopen(writer, "w", buffering=1)
    with redirect_stderr(broken):
        yield
    with suppress(OSError):
        broken.close()


def test_A8_50_a_log_that_nobody_reads_ends_no_listener() -> None:
    def ask(slot: int, data: bytes) -> bytes | None:
        del slot
        if data == b"bad":
            raise ZeroDivisionError
        return data.upper()

    with (
        unread(),
        socket.socket(type=socket.SOCK_DGRAM) as link,
        socket.socket(type=socket.SOCK_DGRAM) as asker,
    ):
        link.bind(("127.0.0.1", 0))
        asker.settimeout(60)
        turns = datagrams.Batch().turns(
            link.fileno(), {}, ask, clock=time.monotonic, many=print, behind=lambda _: None
        )
        next(turns)
        hot = selector.Selector()

        def read() -> None:
            next(turns)
            raise ZeroDivisionError  # of the reader itself

        hot.add_hot(link.fileno(), read)
        for text in (b"bad", b"good"):
            asker.sendto(text, link.getsockname())
            hot.select(0.01)
        assert asker.recv(9) == b"GOOD"
        hot.remove_hot(link.fileno())
        hot.close()
