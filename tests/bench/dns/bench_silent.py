"""Two of three upstream servers say nothing: what a name that nobody remembers takes then."""

import contextlib
import socket
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

from resolver import protocol
from sdd.linux import namespaces
from tests.bench import report
from tests.bench.dns import lab, ours, peers

BOUND_MS = 50
UPSTREAM = 5399
WILD = "new.example.net"


@contextlib.contextmanager
def silent(space: str, count: int) -> Iterator[tuple[protocol.Upstream, ...]]:
    """Servers that take every question and never answer."""
    doors = namespaces.Namespaces()
    with contextlib.ExitStack() as stack:
        stack.callback(doors.close)
        links = [doors.run_sync(f"/run/netns/{space}", _deaf) for _ in range(count)]
        for each in links:
            stack.enter_context(each)
        ports = [each.getsockname()[1] for each in links]
        yield tuple(protocol.Upstream(lab.HOST, port, inside=False) for port in ports)


def _deaf() -> socket.socket:
    link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    link.bind((lab.HOST, 0))
    return link


def main() -> None:
    with tempfile.TemporaryDirectory() as name, lab.scratch("silent") as space:
        folder = Path(name)
        answering = protocol.Upstream(lab.HOST, UPSTREAM, inside=False)
        known = {"known.example.net": "192.0.2.1"}
        with (
            peers.unbound(space, folder, next(iter(known)), known, wild=WILD, port=UPSTREAM),
            silent(space, 2) as deaf,
            ours.worker(space, {}, (*deaf, answering)) as worker,
        ):
            fresh = lab.shuffled((f"n{n}.{WILD}" for n in range(5000)), folder / "fresh", times=1)
            first, *others = lab.latencies(worker, fresh, a_second=50, most=1, seconds=6)
            print(f"the first answer takes {first * 1000:.0f} ms")
            report.row(
                report.Row(
                    what="a forward while 2 of 3 upstreams are silent, median after the first",
                    ours=statistics.median(others) * 1000,
                    peer=BOUND_MS,
                    peer_name="the bound",
                    unit="ms",
                    goal=1,
                )
            )


if __name__ == "__main__":
    main()
