"""A scratch namespace and what a query costs a server there: CPU time, and how long it takes.

dnsperf loads one server after the other. CPU time is read from /proc, so the client's own does not
count; latencies are taken at a rate that no server is busy with. dnsperf writes each of them to a
file: with a pipe every hundredth question woke who reads it, on one of two processors.
"""

import contextlib
import os
import random
import re
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench import report

HOST = "127.0.0.11"
CLIENT = "127.0.0.1"  # where loads come from
OURS = "sdd-dns"
SHORT = bool(os.environ.get("BENCH_SHORT"))
ROUNDS = 1 if SHORT else 3
SECONDS = 1 if SHORT else 3
SLICES = 5  # of a second each, a round
CALM = 1000  # questions per second at which latencies are compared
TICKS = os.sysconf("SC_CLK_TCK")
_DONE = re.compile(r"Queries completed:\s+(\d+)")
_EACH = re.compile(r"^> \S+ \S+ \S+ ([0-9.]+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Server:
    """A process that answers on `port` of `host`; `enter` is how a command gets to where it is."""

    name: str
    pid: int
    port: int
    enter: tuple[str, ...]
    host: str = HOST


@contextlib.contextmanager
def scratch(tag: str) -> Iterator[str]:
    """A namespace with only a loopback; its name."""
    name = f"t-resolver-{tag}-{os.getpid()}"
    run("ip", "netns", "add", name)
    try:
        run("ip", "-n", name, "link", "set", "lo", "up")
        yield name
    finally:
        run("ip", "netns", "del", name)


def inside(space: str) -> tuple[str, ...]:
    """The words that run a command in a namespace."""
    return ("ip", "netns", "exec", space)


def run(*command: str) -> None:
    """A command that must succeed."""
    subprocess.run(command, check=True, capture_output=True)


def cpu_s(pid: int) -> float:
    """User and system time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def answers(server: Server, name: str) -> bool:
    """Whether the server answers `name`."""
    command = [*server.enter, "dig", "+short", "+tries=1", "+time=1"]
    command += [f"@{server.host}", "-p", str(server.port), name]
    return bool(subprocess.run(command, capture_output=True, check=False).stdout.strip())


def ready(server: Server, name: str, deadline_s: float = 10) -> Server:
    """`server` once it answers."""
    end = time.monotonic() + deadline_s
    while not answers(server, name):
        assert time.monotonic() < end, f"{server.name} does not answer {name}"
        time.sleep(0.05)
    return server


def rate(server: Server, queries: Path, seconds: int = SECONDS) -> float:
    """Answers per second of the server's CPU under all the load that dnsperf can make."""
    before = cpu_s(server.pid)
    out = _dnsperf(server, queries, "-c", "8", "-q", "100", "-l", str(seconds))
    done = _DONE.search(out)
    assert done, out
    return int(done[1]) / (cpu_s(server.pid) - before)


def latencies(
    server: Server, queries: Path, a_second: int = CALM, most: int = 100, seconds: int = SECONDS
) -> list[float]:
    """Seconds that each of the questions took when they come at a calm rate, `most` at a time."""
    options = ("-c", str(min(most, 4)), "-q", str(most), "-Q", str(a_second))
    out = _dnsperf(server, queries, *options, "-l", str(seconds), "-v")
    found = [float(each) for each in _EACH.findall(out)]
    assert found, out
    return found


def _dnsperf(server: Server, queries: Path, *options: str) -> str:
    command = [*server.enter, "dnsperf", "-s", server.host, "-p", str(server.port)]
    command += ["-d", str(queries), "-T", "1", *options]
    with tempfile.TemporaryFile("w+") as out:
        subprocess.run(command, stdout=out, stderr=subprocess.PIPE, check=True)
        out.seek(0)
        return out.read()


def compare(
    what: str, servers: Sequence[Server], queries: Path, goals: Mapping[str, float]
) -> None:
    """Rows for ours against each peer: the median of rounds in which all take turns.

    The slowest answers are mostly those that something else on the machine delayed: latencies are
    measured in short slices, so that everybody has the same share of that, and what is told is the
    median of the slices. One pause of 20 ms was else the p99 of three seconds.
    """
    rates: dict[str, list[float]] = {each.name: [] for each in servers}
    times: dict[str, list[list[float]]] = {each.name: [] for each in servers}
    for _ in range(ROUNDS):
        for each in servers:
            rates[each.name].append(rate(each, queries))
        for _ in range(SLICES):
            for each in servers:
                times[each.name].append(latencies(each, queries, seconds=1))
    for peer in rates:
        if peer != OURS:
            found = {name: statistics.median(rates[name]) for name in (OURS, peer)}
            _row(f"{what} answers per CPU-second", found, peer, "q/s", goals[peer])
            for point in (50, 99):
                found = {name: _usual(times[name], point) * 1e6 for name in (OURS, peer)}
                _row(f"{what} answers, p{point}", found, peer, "µs", 1)


def _row(what: str, found: Mapping[str, float], peer: str, unit: str, goal: float) -> None:
    better = report.Better.HIGHER if unit == "q/s" else report.Better.LOWER
    report.row(
        report.Row(
            what=what,
            ours=found[OURS],
            peer=found[peer],
            peer_name=peer,
            unit=unit,
            goal=goal,
            better=better,
        )
    )


def _usual(slices: Iterable[Sequence[float]], point: int) -> float:
    return statistics.median(percentile(each, point) for each in slices)


def percentile(times: Sequence[float], point: int) -> float:
    """What `point` of a hundred do not exceed."""
    return statistics.quantiles(times, n=100)[point - 1]


def shuffled(names: Iterable[str], path: Path, times: int = 20) -> Path:
    """A file of A queries for `names` in random order, each `times` times."""
    asked = [*names] * times
    random.Random(5).shuffle(asked)
    path.write_text("".join(f"{name} A\n" for name in asked))
    return path
