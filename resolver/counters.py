"""What a worker counts: sums since its start, by name and label values.

In: increments from the servers and the forwarder. Out: `sums`, which sdd asks for at each scrape.
Names are those of the page (docs/metrics.md); no query name and no sandbox ever becomes a label.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from resolver import wire

REQUESTS: Final = "sdd_dns_requests_total"  # proto, type
RESPONSES: Final = "sdd_dns_responses_total"  # rcode, source
MALFORMED: Final = "sdd_dns_malformed_total"  # rcode: what it was refused with, or dropped
DROPPED: Final = "sdd_dns_dropped_total"  # reason
UPSTREAM_RESPONSES: Final = "sdd_upstream_responses_total"  # upstream, rcode
UPSTREAM_FAILURES: Final = "sdd_upstream_failures_total"  # upstream, reason
UPSTREAM_SECONDS: Final = "sdd_upstream_request_duration_seconds"  # upstream, le
COALESCED: Final = "sdd_dns_coalesced_total"
CACHE_ENTRIES: Final = "sdd_dns_cache_entries"
CACHE_BYTES: Final = "sdd_dns_cache_bytes"
TCP_CONNECTIONS: Final = "sdd_dns_tcp_connections"

MOST_UPSTREAMS: Final = 32  # label values; what comes later is "other"
BUCKETS_S: Final = tuple(0.00025 * 2**n for n in range(16))

TYPES: Final = {
    1: "A",
    2: "NS",
    5: "CNAME",
    6: "SOA",
    12: "PTR",
    15: "MX",
    16: "TXT",
    28: "AAAA",
    33: "SRV",
    43: "DS",
    48: "DNSKEY",
    64: "SVCB",
    65: "HTTPS",
    255: "ANY",
}


class Source(StrEnum):
    """Where an answer came from."""

    OWNED = "owned"
    SPECIAL = "local_special"
    CACHE = "cache"
    STALE = "stale"
    UPSTREAM = "upstream"
    POLICY = "policy"
    ERROR = "error"


def type_label(kind: int) -> str:
    """The bounded label of a record type."""
    return TYPES.get(kind, "other")


def rcode_label(rcode: int) -> str:
    """The bounded label of a response code."""
    try:
        return wire.Rcode(rcode).name
    except ValueError:
        return "other"


@dataclass(frozen=True, slots=True)
class Sum:
    """One series: its labels' values in the order of the comment beside its name."""

    name: str
    labels: tuple[str, ...]
    value: float


class Counters:
    """Sums of one worker. `add` is cheap; what is cheaper still is folded in by `sources`."""

    def __init__(self) -> None:
        self._sums: Counter[tuple[str, ...]] = Counter()
        self._upstreams: set[str] = set()
        self._sources: list[Callable[[], Iterable[tuple[tuple[str, ...], float]]]] = []

    def add(self, *key: str, amount: float = 1) -> None:
        """Count under (name, label values…)."""
        self._sums[key] += amount  # type: ignore[assignment]  # Counter is typed for int only

    def response(self, rcode: int, source: Source) -> None:
        """One answer left."""
        self.add(RESPONSES, rcode_label(rcode), source)

    def upstream(self, address: str) -> str:
        """The label of an upstream: its address while there are few, then "other"."""
        if address not in self._upstreams:
            if len(self._upstreams) >= MOST_UPSTREAMS:
                return "other"
            self._upstreams.add(address)
        return address

    def took(self, upstream: str, seconds: float) -> None:
        """One exchange with an upstream: into every bucket that holds it, as Prometheus wants."""
        for bound in BUCKETS_S:
            if seconds <= bound:
                self.add(UPSTREAM_SECONDS, upstream, f"{bound:g}")
        self.add(UPSTREAM_SECONDS, upstream, "+Inf")
        self.add(UPSTREAM_SECONDS, upstream, "sum", amount=seconds)

    def fold(self, source: Callable[[], Iterable[tuple[tuple[str, ...], float]]]) -> None:
        """Add what `source` gives at every reading: gauges, and counts kept elsewhere."""
        self._sources.append(source)

    def sums(self) -> list[tuple[list[str], float]]:
        """All series, as `protocol.Counted` carries them."""
        folded = [each for source in self._sources for each in source()]  # may add to our sums
        total = Counter(self._sums)
        for key, amount in folded:
            total[key] += amount  # type: ignore[assignment]  # as above
        return [(list(key), float(value)) for key, value in sorted(total.items())]
