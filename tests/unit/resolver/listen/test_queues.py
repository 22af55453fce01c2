"""What a full queue loses is counted: by the kernel, for each socket."""

import socket

from resolver import counters
from resolver.listen import queues


def lost(counts: counters.Counters) -> float:
    return {tuple(key): value for key, value in counts.sums()}[counters.DROPPED, "queue"]


def test_what_found_no_room_is_counted_also_of_sockets_that_are_gone() -> None:
    counts, said = counters.Counters(), list[str]()
    watched = queues.Queues(counts, lambda _, text: said.append(text))
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker,
    ):
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        link.bind(("127.0.0.1", 0))
        link.setblocking(False)
        for _ in range(50):
            asker.sendto(b"?" * 100, link.getsockname())
        watched.add(link)
        assert lost(counts) == 0  # so far another worker counted
        for _ in range(50):
            asker.sendto(b"?" * 100, link.getsockname())
        assert lost(counts) == 50
        assert lost(counts) == 50
        for _ in range(7):
            asker.sendto(b"?" * 100, link.getsockname())
        watched.remove(link)
    assert lost(counts) == 57
    assert said == [
        "50 questions were lost: sandboxes ask more than is answered",
    ]
