"""`network connect` and `disconnect` against Docker Engine's, each asked over its own HTTP socket.

Both have one container on a network and the same number of other networks, which it joins and
leaves one after the other: the same kernel objects are there when the answer comes.
"""

import contextlib
import http.client
import json
import os
import socket
import statistics
import time
from collections.abc import Callable, Iterator

from tests.bench import docker
from tests.bench.report import Row, row
from tests.e2e.appliance import appliance

NETWORKS = 5
ROUNDS = 3 if os.environ.get("BENCH_SHORT") else 10
GOAL = 0.5

Ask = Callable[[str, object], None]


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


@contextlib.contextmanager
def asking(path: str) -> Iterator[Ask]:
    """A function that posts JSON to a path and demands success; one connection for all."""
    with contextlib.closing(UnixConnection(path)) as connection:

        def ask(where: str, body: object) -> None:
            connection.request(
                "POST", where, json.dumps(body), {"Content-Type": "application/json"}
            )
            reply = connection.getresponse()
            said = reply.read()
            assert reply.status in (http.client.OK, http.client.CREATED), said

        yield ask


def timed(connect: Callable[[int], None], disconnect: Callable[[int], None]) -> tuple[float, float]:
    """Median milliseconds of both."""
    found: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        for times, do in zip(found, (connect, disconnect), strict=True):
            for number in range(NETWORKS):
                before = time.perf_counter()
                do(number)
                times.append(time.perf_counter() - before)
    on, off = (statistics.median(times) * 1000 for times in found)
    return on, off


def theirs(engine: docker.Engine) -> tuple[float, float]:
    engine.image("box")
    for number in range(NETWORKS):
        engine.docker("network", "create", f"n{number}")
    engine.docker("run", "-d", "--name", "client", "box", "/bin/busybox", "sleep", "1000000")
    with asking(str(engine.socket)) as ask:
        found = timed(
            lambda number: ask(f"/networks/n{number}/connect", {"Container": "client"}),
            lambda number: ask(f"/networks/n{number}/disconnect", {"Container": "client"}),
        )
    engine.docker("rm", "-f", "client")
    return found


def ours() -> tuple[float, float]:
    with appliance("connect") as daemon:
        for number in range(NETWORKS):
            daemon.sdctl("network", "create", f"n{number}")
        client = daemon.sandbox_plain("client")
        with asking(daemon.url.removeprefix("unix://")) as ask:
            return timed(
                lambda number: ask(f"/v1/networks/n{number}/connect", {"sandbox": client}),
                lambda number: ask(f"/v1/networks/n{number}/disconnect", {"sandbox": client}),
            )


def main() -> None:
    """Two rows, where Docker Engine runs."""
    with docker.engine() as engine:
        if engine is None:
            return
        pairs = zip(("connect", "disconnect"), ours(), theirs(engine), strict=True)
        for what, mine, peer in pairs:
            row(
                Row(
                    what=f"network {what}, median",
                    ours=mine,
                    peer=peer,
                    peer_name="docker",
                    unit="ms",
                    goal=GOAL,
                )
            )


if __name__ == "__main__":
    main()
