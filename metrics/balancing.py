"""What balancing counted → families, each of at most so many series.

In: rows of numbers under names. Out: families named after node_exporter's of IPVS. How the numbers
come about is decided where the rows are made. A series per service and protocol is there from the
start, at 0; sums go up only, since what a kernel forgets was added up before.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
    SummaryMetricFamily,
)

from metrics.bounded import MOST_SERIES
from metrics.registry import Families


class Grown(Protocol):
    """What went to backends (`in_`) and came back; lb.growth has it."""

    @property
    def connections(self) -> int:
        """Made."""
        ...

    @property
    def in_packets(self) -> int:
        """To backends."""
        ...

    @property
    def out_packets(self) -> int:
        """From backends."""
        ...

    @property
    def in_bytes(self) -> int:
        """To backends."""
        ...

    @property
    def out_bytes(self) -> int:
        """From backends."""
        ...


class Checks(NamedTuple):
    """How the checks of one service went."""

    made: int
    seconds: float
    failures: int
    unmade: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """By service and protocol; by service, backend and which; by service."""

    traffic: Mapping[tuple[str, str], Grown]
    connections: Mapping[tuple[str, str, str], int]
    checks: Mapping[str, Checks]
    suspicions: Mapping[str, int]


def source(rows: Callable[[], Rows]) -> Callable[[], Awaitable[Families]]:
    """A source for the registry."""

    async def families_now() -> Families:
        return tuple(families(rows()))

    return families_now


_TRAFFIC: Mapping[str, tuple[str, Callable[[Grown], int]]] = {
    "connections": ("Connections to virtual addresses.", lambda each: each.connections),
    "incoming_packets": ("Packets to backends.", lambda each: each.in_packets),
    "outgoing_packets": ("Packets from backends.", lambda each: each.out_packets),
    "incoming_bytes": ("Bytes to backends.", lambda each: each.in_bytes),
    "outgoing_bytes": ("Bytes from backends.", lambda each: each.out_bytes),
}


def families(rows: Rows) -> Iterator[Metric]:
    """All of `rows`."""
    traffic = sorted(rows.traffic.items())[:MOST_SERIES]
    for name, (text, of) in _TRAFFIC.items():
        yield _counter(
            f"sdd_lb_{name}", text, ("service", "proto"), ((key, of(one)) for key, one in traffic)
        )
    for which in ("active", "inactive"):
        family = GaugeMetricFamily(
            f"sdd_lb_backend_connections_{which}",
            f"Connections to a backend that are {_MEANING[which]}.",
            labels=("service", "backend"),
        )
        found = [each for each in sorted(rows.connections.items()) if each[0][2] == which]
        for (svc, backend, _), count in found[:MOST_SERIES]:
            family.add_metric((svc, backend), count)
        yield family
    checks = sorted(rows.checks.items())[:MOST_SERIES]
    durations = SummaryMetricFamily(
        "sdd_lb_healthcheck_duration_seconds", "Time of one check.", labels=("service",)
    )
    for svc, each in checks:
        durations.add_metric((svc,), each.made, each.seconds)
    yield durations
    yield _counter(
        "sdd_lb_healthcheck_failures",
        "Checks that failed.",
        ("service",),
        (((svc,), each.failures) for svc, each in checks),
    )
    yield _counter(
        "sdd_lb_healthcheck_unmade",
        "Checks that could not be made, for want of something on this host.",
        ("service",),
        (((svc,), each.unmade) for svc, each in checks),
    )
    yield _counter(
        "sdd_lb_suspicions",
        "Times a backend looked as if it did not answer, and was checked at once.",
        ("service",),
        (((svc,), count) for svc, count in sorted(rows.suspicions.items())[:MOST_SERIES]),
    )


_MEANING = {"active": "established", "inactive": "beginning, ending, or datagrams"}


def _counter(
    name: str, text: str, labels: tuple[str, ...], rows: Iterable[tuple[tuple[str, ...], int]]
) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=labels)
    for values, count in rows:
        family.add_metric(values, count)
    return family
