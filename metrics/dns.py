"""What the DNS workers counted → families, summed over the workers.

In: per worker the pairs ((name, label values…), value) that resolver.counters makes. Out: the
families of `FAMILIES`; a name that is not in that table is left out rather than guessed.
"""

import itertools
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client import Metric
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)

from metrics.registry import Families

Sums = Iterable[tuple[Sequence[str], float]]
Totals = Mapping[tuple[str, ...], float]


@dataclass(frozen=True, slots=True)
class Shape:
    """One family: `kind` is counter, gauge or histogram; labels in the order of the sums."""

    kind: str
    text: str
    labels: tuple[str, ...] = ()


SOURCES = ("owned", "local_special", "cache", "stale", "upstream", "policy", "error")
REASONS: Mapping[str, tuple[str, ...]] = {
    "sdd_dns_malformed_total": (
        "short",
        "response",
        "opcode",
        "question",
        "edns",
        "framing",
        "long",
    ),
    "sdd_dns_dropped_total": (
        "overload",
        "rate_limit",
        "queue",
        "queue_timeout",
        "late",
        "tcp_limit",
        "send",
        "defect",
    ),
    "sdd_dns_tcp_rejected_total": ("source", "idle"),
    "sdd_upstream_spoof_suspect_total": ("id", "question", "case", "cookie"),
    "sdd_upstream_failures_total": (
        *(
            "timeout",
            "refused",
            "unreachable",
            "mismatch",
            "too_many_aliases",
            "truncated",
            "tls",
            "unsupported",
            "loop",
        ),
        *("lost", "declined", "closed", "short", "replaced"),
    ),
}
CACHED = ("success", "denial", "failure")
OF_CACHE = frozenset(
    f"sdd_dns_cache_{each}"
    for each in ("entries", "hits_total", "stale_served_total", "evictions_total")
)
BY_TRANSPORT = "sdd_upstream_request_duration_seconds"  # over which a server is asked shows later
UP = "sdd_upstream_up"  # never 0 for a server that nobody asks
# What a label may say, where that is bounded. Networks come with their first question; without one
# are the sandboxes that have no network with names.
KNOWN: Mapping[str, tuple[str, ...]] = {
    "network": ("",),
    "proto": ("udp", "tcp"),
    "family": ("ipv4",),
    "type": (
        *("A", "AAAA", "PTR", "SRV", "MX", "TXT", "HTTPS", "SVCB", "ANY", "SOA", "NS", "CNAME"),
        *("DS", "DNSKEY", "other"),
    ),
    "rcode": ("NOERROR", "NXDOMAIN", "SERVFAIL", "FORMERR", "NOTIMP", "REFUSED"),
    "source": SOURCES,
    "unit": ("listener", "socket", "question"),
}

FAMILIES: Mapping[str, Shape] = {
    "sdd_dns_requests_total": Shape(
        "counter", "Questions received.", ("network", "proto", "family", "type")
    ),
    "sdd_dns_responses_total": Shape(
        "counter", "Answers sent, by where they came from.", ("network", "rcode", "source")
    ),
    "sdd_dns_malformed_total": Shape(
        "counter", "Packets that are no question, by what is wrong.", ("reason",)
    ),
    "sdd_dns_dropped_total": Shape("counter", "Questions left without an answer.", ("reason",)),
    "sdd_dns_coalesced_total": Shape("counter", "Questions that shared one forward."),
    "sdd_dns_request_duration_seconds": Shape(
        "histogram", "From a question to its answer.", ("source",)
    ),
    "sdd_dns_response_size_bytes": Shape("histogram", "Length of an answer.", ("proto",)),
    "sdd_dns_inflight_requests": Shape("gauge", "Forwarded questions under way."),
    "sdd_dns_cache_entries": Shape("gauge", "Answers in the cache.", ("type",)),
    "sdd_dns_cache_requests_total": Shape("counter", "Questions that the cache was asked."),
    "sdd_dns_cache_hits_total": Shape("counter", "Those that it knew.", ("type",)),
    "sdd_dns_cache_stale_served_total": Shape(
        "counter", "Answers that were over, given because nobody had a new one.", ("type",)
    ),
    "sdd_dns_cache_evictions_total": Shape(
        "counter", "Answers that made room for others.", ("type",)
    ),
    "sdd_dns_cache_bytes": Shape("gauge", "Memory of the cache."),
    "sdd_dns_defects_total": Shape("counter", "Mistakes of sdd, by what they ended.", ("unit",)),
    "sdd_dns_tcp_rejected_total": Shape(
        "counter", "Connections of clients that were closed for others.", ("reason",)
    ),
    "sdd_dns_tcp_connections": Shape("gauge", "Open TCP connections of clients."),
    "sdd_upstream_responses_total": Shape(
        "counter", "Answers of upstream servers.", ("upstream", "rcode")
    ),
    "sdd_upstream_failures_total": Shape(
        "counter", "Forwards without a usable answer.", ("upstream", "reason")
    ),
    UP: Shape("gauge", "Whether the server answered when last asked.", ("upstream",)),
    "sdd_upstream_spoof_suspect_total": Shape(
        "counter", "Replies that were not believed, by what is wrong.", ("reason",)
    ),
    "sdd_upstream_request_duration_seconds": Shape(
        "histogram", "Time of one exchange with an upstream server.", ("upstream", "proto")
    ),
}


def source(read: Callable[[], Awaitable[Iterable[Sums]]]) -> Callable[[], Awaitable[Families]]:
    """A source for the registry; `read` asks every worker."""

    async def families_now() -> Families:
        return families(await read())

    return families_now


def families(workers: Iterable[Sums]) -> Families:
    """Every family of the table, also those nobody counted yet."""
    totals: Counter[tuple[str, ...]] = Counter()
    for sums in workers:
        for key, value in sums:
            totals[tuple(key)] += value  # type: ignore[assignment]  # Counter is typed for int only
    upstreams = dict.fromkeys(
        key[1]
        for key in totals
        if key[0] in FAMILIES and FAMILIES[key[0]].labels[:1] == ("upstream",) and len(key) > 1
    )
    return tuple(_family(name, shape, totals, upstreams) for name, shape in FAMILIES.items())


def _family(name: str, shape: Shape, totals: Totals, upstreams: Iterable[str]) -> Metric:
    counted = {key[1:]: value for key, value in totals.items() if key[0] == name}
    zeros = _zeros(name, shape, () if name == UP else upstreams)
    if shape.kind == "histogram":
        known = {key[:-1] for key in counted}
        none = {(*key, end): 0.0 for key in zeros - known for end in ("+Inf", "sum")}
        return _histogram(name, shape, {**none, **counted})
    mine = {**dict.fromkeys(zeros, 0.0), **counted}
    kind = CounterMetricFamily if shape.kind == "counter" else GaugeMetricFamily
    family: CounterMetricFamily | GaugeMetricFamily = kind(name, shape.text, labels=shape.labels)
    for values, value in mine.items():
        if len(values) == len(shape.labels):
            family.add_metric(values, value)
    return family


def _zeros(name: str, shape: Shape, upstreams: Iterable[str]) -> set[tuple[str, ...]]:
    """The label values of a family that are there although nobody counted them."""
    known = {
        **KNOWN,
        "upstream": tuple(upstreams),
        "reason": REASONS.get(name, ()),
        **({"type": CACHED} if name in OF_CACHE else {}),
        **({"proto": ()} if name == BY_TRANSPORT else {}),
    }
    return set(itertools.product(*(known[label] for label in shape.labels)))


def _histogram(name: str, shape: Shape, mine: Totals) -> Metric:
    """Keys end in the bucket's upper bound, "+Inf", or "sum"; buckets are cumulative already."""
    family = HistogramMetricFamily(name, shape.text, labels=shape.labels)
    for values in dict.fromkeys(key[:-1] for key in mine):
        found = {key[-1]: value for key, value in mine.items() if key[:-1] == values}
        total = found.pop("sum", 0.0)
        bounds = sorted(found, key=float)
        family.add_metric(values, [(bound, found[bound]) for bound in bounds], total)
    return family
