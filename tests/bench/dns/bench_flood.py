"""A8-73: a sandbox that floods must not make another one wait.

One sandbox asks five times as much as it may by default (names that nobody answers, each new), in
ten bursts a second; another asks for a name at a calm pace. Ours is the
latter's p99 meanwhile, the peer its p99 while all is quiet, in the same run on the same sockets, in
turns: the median of each.
"""

import contextlib
import os
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from resolver import protocol
from resolver.message import wire
from sdd import config
from tests.bench import report
from tests.bench.dns import lab
from tests.scenario.worker import Worker, address

GOAL = 2.0
TURNS = 5
ASKED = 500 if lab.SHORT else 2000  # a turn
PAUSE_S = 0.001
RATE = config.Config().dns_rate_limit
BURSTS = 10  # a second
FLOOD = 5 * RATE // BURSTS


def main() -> None:
    """One row: the quiet sandbox's p99 with and without the flood."""
    names = {wire.to_wire("web"): {wire.A: address(wire.A, "10.1.0.2")}}
    with tempfile.TemporaryDirectory() as name, socket.socket(type=socket.SOCK_DGRAM) as nobody:
        nobody.bind(("127.0.0.1", 0))
        silent = protocol.Upstream("127.0.0.1", nobody.getsockname()[1], inside=False)
        worker = Worker(Path(name))
        session = worker.session()
        quiet = session.serve("quiet", names=names)
        loud = session.serve("loud", upstreams=[silent], rate=RATE)
        session.apply()
        idle, flooded = [], []
        for _ in range(TURNS):
            idle.append(p99_us(quiet[0]))
            with flooding(loud[0]):
                flooded.append(p99_us(quiet[0]))
        worker.stop()
    report.row(
        report.Row(
            what="p99 of a sandbox beside one that floods",
            ours=statistics.median(flooded),
            peer=statistics.median(idle),
            peer_name="alone",
            unit="µs",
            goal=GOAL,
        )
    )


def p99_us(port: int) -> float:
    """Of so many questions, one after the other with a pause between."""
    took = []
    query = b"\0\1\1\0\0\1" + bytes(6) + b"\3web\0\0\1\0\1"
    with socket.socket(type=socket.SOCK_DGRAM) as link:
        link.connect(("127.0.0.1", port))
        link.settimeout(5)
        for _ in range(ASKED):
            begun = time.perf_counter()
            link.send(query)
            link.recv(512)
            took.append((time.perf_counter() - begun) * 1e6)
            time.sleep(PAUSE_S)
    return lab.percentile(took, 99)


@contextlib.contextmanager
def flooding(port: int) -> Iterator[None]:
    """A process of its own, as the flood of a container is; it has begun."""
    command = [sys.executable, __file__, str(port), str(os.getpid())]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout
            assert process.stdout.read(1)
            yield
        finally:
            process.kill()


def flood(port: int) -> None:
    """Ask five times as much as a sandbox may, in bursts."""
    with socket.socket(type=socket.SOCK_DGRAM) as link:
        link.connect(("127.0.0.1", port))
        number = 0
        while True:
            for _ in range(FLOOD):
                number += 1
                label = b"n%07d" % number
                name = bytes((len(label),)) + label + b"\7example\0"
                query = (
                    struct.pack(">HHHHHH", number & 0xFFFF, 0x100, 1, 0, 0, 0) + name + b"\0\1\0\1"
                )
                with contextlib.suppress(OSError):  # its own queue is full
                    link.send(query)
            if number == FLOOD:
                os.write(sys.stdout.fileno(), b"!")
            time.sleep(1 / BURSTS)  # the pace of the load: nothing is awaited


if __name__ == "__main__":
    if len(sys.argv) > 1:
        flood(int(sys.argv[1]))
    else:
        main()
