"""Two of three upstream servers fall silent: what a name that nobody remembers takes then.

All three were well and are heard before, for about servers that nobody knows nobody has hopes.
"""

import contextlib
import os
import signal
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

from resolver import protocol
from tests.bench import report
from tests.bench.dns import lab, ours, peers

BOUND_MS = 50
PORTS = (5397, 5398, 5399)
WILD = "new.example.net"
PATIENCE_S = 30.0


@contextlib.contextmanager
def stopped(*servers: lab.Server) -> Iterator[None]:
    """The processes take every question and never answer."""
    for each in servers:
        os.kill(each.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for each in servers:
            os.kill(each.pid, signal.SIGCONT)


def main() -> None:
    with tempfile.TemporaryDirectory() as name, lab.scratch("silent") as space:
        folder = Path(name)
        upstreams = tuple(protocol.Upstream(lab.HOST, port, inside=False) for port in PORTS)
        known = {"known.example.net": "192.0.2.1"}
        with contextlib.ExitStack() as stack:
            servers = [
                stack.enter_context(
                    peers.unbound(space, folder, next(iter(known)), known, wild=WILD, port=port)
                )
                for port in PORTS
            ]
            worker = stack.enter_context(ours.worker(space, {}, upstreams))
            with stopped(servers[0]):
                lab.ready(worker, f"second.{WILD}", PATIENCE_S)  # the second is heard
            for number in range(3):
                lab.ready(worker, f"first-{number}.{WILD}", PATIENCE_S)  # and the first again
            fresh = lab.shuffled((f"n{n}.{WILD}" for n in range(5000)), folder / "fresh", times=1)
            with stopped(*servers[:2]):
                first, *others = lab.latencies(worker, fresh, a_second=50, most=1, seconds=6)
            print(f"the first answer takes {first * 1000:.0f} ms")
            for what, times in (
                ("median after the first", others),
                ("median of the 30 after the first", others[:30]),
            ):
                report.row(
                    report.Row(
                        what=f"a forward while 2 of 3 upstreams are silent, {what}",
                        ours=statistics.median(times) * 1000,
                        peer=BOUND_MS,
                        peer_name="the bound",
                        unit="ms",
                        goal=1,
                    )
                )


if __name__ == "__main__":
    main()
