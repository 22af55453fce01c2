"""What the daemon counts and times itself, and the one place where all sources come together.

In: reports (`command`, `reconciled`) and sources to be read at scrape time, handed in as plain
callables. Out: the Prometheus page. No global registry: each daemon, and each test, has its own.
"""

import functools
import platform
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from sdd import errors
from sdd.model import progress

COMMAND_BUCKETS_S = tuple(0.001 * 2**n for n in range(15))  # 1 ms … 16 s
Families = Sequence[Metric]
Behind = Callable[[], Mapping[progress.Backend, float]]


class Source(Protocol):
    """Something read at every scrape."""

    def __call__(self) -> Awaitable[Families]:
        """The families at this moment; raises nothing."""
        ...


class Registry:
    """The daemon's own counters, and the page made of them and of every source."""

    def __init__(self, version: str, clock: Callable[[], float]) -> None:
        self._own = CollectorRegistry(auto_describe=True)
        self._clock = clock
        self._sources: list[Source] = []
        build = Gauge(
            "sdd_build_info",
            "Always 1; says what runs.",
            ("version", "python"),
            registry=self._own,
        )
        build.labels(version, platform.python_version()).set(1)
        self._commands = Histogram(
            "sdd_command_duration_seconds",
            "Time from a request to the moment when this node has realised it.",
            ("action", "result"),
            buckets=COMMAND_BUCKETS_S,
            registry=self._own,
        )
        self._unread = Counter(
            "sdd_metrics_unread_sources_total",
            "Sources that could not be read for a page, such as a DNS worker that is gone.",
            registry=self._own,
        )
        self._workers = Counter(
            "sdd_dns_worker_starts_total",
            "DNS workers that began to serve without a name; one a life is usual.",
            registry=self._own,
        )
        self._passes = _per_backend(Counter, "passes_total", "Passes over a state.", self._own)
        self._errors = _per_backend(
            Counter, "errors_total", "Passes that left something not as wanted.", self._own
        )
        self._drift = _per_backend(
            Counter, "drift_total", "Steps that undid what somebody else had changed.", self._own
        )
        self._seconds = Histogram(
            "sdd_reconcile_duration_seconds",
            "Time of one pass.",
            ("kind",),
            buckets=COMMAND_BUCKETS_S,
            registry=self._own,
        )
        self._steps = _per_backend(Counter, "steps_total", "Steps taken in the kernel.", self._own)
        self._failing = _per_backend(
            Gauge, "failures", "Objects that are not as wanted after the last pass.", self._own
        )
        self._revision = _per_backend(
            Gauge, "revision", "The store's revision of the last pass.", self._own
        )
        self._success = _per_backend(
            Gauge,
            "last_success_timestamp_seconds",
            "When the last pass without a failure ended.",
            self._own,
        )

    def add(self, source: Source) -> None:
        """Read `source` at every scrape from now on."""
        self._sources.append(source)

    def command(self, action: str, result: str, seconds: float) -> None:
        """One command of the API ended; `result` is ok or the code of its error."""
        self._commands.labels(action, result).observe(seconds)

    def worker_started(self) -> None:
        """A DNS worker is there that has nothing of an older one."""
        self._workers.inc()

    def unread(self) -> None:
        """A source had to tell what it knew before."""
        self._unread.inc()

    def behind(self, seconds: Behind) -> None:
        """Show at every scrape for how long each backend has been behind the store."""
        family = _per_backend(
            Gauge,
            "behind_seconds",
            "For how long the backend has been behind the store or at one pass.",
            self._own,
        )
        for each in progress.Backend:
            read = functools.partial(_of, seconds, each)
            family.labels(each.value).set_function(read)

    def reconciled(self, backend: progress.Backend, outcome: progress.Outcome) -> None:
        """One pass of a backend ended; the signature is reconcile.Report's."""
        kind = backend.value
        self._passes.labels(kind).inc()
        self._seconds.labels(kind).observe(outcome.seconds)
        self._steps.labels(kind).inc(outcome.changed)
        self._drift.labels(kind).inc(outcome.repaired)
        self._failing.labels(kind).set(len(outcome.failures))
        self._revision.labels(kind).set(outcome.revision)
        if outcome.failures:
            self._errors.labels(kind).inc()
        else:
            self._success.labels(kind).set(self._clock())

    async def render(self, accept: str) -> tuple[bytes, str]:
        """The page and its content type, in the format that the Accept header prefers."""
        families: list[Metric] = []
        for source in self._sources:
            try:
                families += await source()
            except (errors.SddError, OSError, TimeoutError):
                # A source that cannot be read now must not hide what the others know.
                self._unread.inc()
        encode, content_type = choose_encoder(accept)
        return encode(_Page(self._own, families)), content_type


class _Page(Collector):
    """What the encoders iterate over: own counters first, then the sources' families."""

    def __init__(self, own: CollectorRegistry, families: Families) -> None:
        self._all = (*own.collect(), *families)

    def collect(self) -> Families:
        return self._all


Family = TypeVar("Family", Counter, Gauge)


def _of(seconds: Behind, backend: progress.Backend) -> float:
    return seconds().get(backend, 0.0)


def _per_backend(kind: type[Family], name: str, text: str, registry: CollectorRegistry) -> Family:
    """A family with one series per backend, all of them there from the start."""
    family = kind(f"sdd_reconcile_{name}", text, ("kind",), registry=registry)
    for each in progress.Backend:
        family.labels(each.value)
    return family
