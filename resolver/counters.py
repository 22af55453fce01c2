"""What a worker counts: sums since its start, by name and label values.

In: increments from the servers and the forwarder. Out: `sums`, which sdd asks for at each scrape.
Names are those of the page (docs/metrics.md); no query name and no sandbox ever becomes a label.
"""

import bisect
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from resolver.message import wire

REQUESTS: Final = "sdd_dns_requests_total"  # network, proto, family, type
RESPONSES: Final = "sdd_dns_responses_total"  # network, rcode, source
MALFORMED: Final = "sdd_dns_malformed_total"  # reason
DROPPED: Final = "sdd_dns_dropped_total"  # reason
UPSTREAM_RESPONSES: Final = "sdd_upstream_responses_total"  # upstream, rcode
UPSTREAM_FAILURES: Final = "sdd_upstream_failures_total"  # upstream, reason
UPSTREAM_SECONDS: Final = "sdd_upstream_request_duration_seconds"  # upstream, proto, le
COALESCED: Final = "sdd_dns_coalesced_total"
SECONDS: Final = "sdd_dns_request_duration_seconds"  # source, le
SIZES: Final = "sdd_dns_response_size_bytes"  # proto, le
IN_FLIGHT: Final = "sdd_dns_inflight_requests"
UPSTREAM_UP: Final = "sdd_upstream_up"  # upstream
SUSPECT: Final = "sdd_upstream_spoof_suspect_total"  # reason
CACHE_REQUESTS: Final = "sdd_dns_cache_requests_total"
CACHE_HITS: Final = "sdd_dns_cache_hits_total"  # type
CACHE_STALE: Final = "sdd_dns_cache_stale_served_total"  # type
CACHE_EVICTED: Final = "sdd_dns_cache_evictions_total"  # type
CACHE_ENTRIES: Final = "sdd_dns_cache_entries"  # type
CACHE_BYTES: Final = "sdd_dns_cache_bytes"
DEFECTS: Final = "sdd_dns_defects_total"  # unit
TCP_REJECTED: Final = "sdd_dns_tcp_rejected_total"  # reason
TCP_CONNECTIONS: Final = "sdd_dns_tcp_connections"

MOST_UPSTREAMS: Final = 32  # label values; what comes later is "other"
MOST_NETWORKS: Final = 100  # the same; each may have some twenty series
OTHER: Final = "other"
_OF_UPSTREAMS: Final = frozenset({UPSTREAM_RESPONSES, UPSTREAM_FAILURES, UPSTREAM_SECONDS})
_OF_NETWORKS: Final = frozenset({REQUESTS, RESPONSES})
FAMILY: Final = "ipv4"  # of the listeners: 127.0.0.11
BUCKETS_S: Final = tuple(0.00025 * 2**n for n in range(16))
BUCKETS_BYTES: Final = (100, 200, 300, 400, 511, 1023, 1232, 2047, 4095, 16383, 65535)
BOUNDS: Final[dict[str, tuple[float, ...]]] = {
    UPSTREAM_SECONDS: BUCKETS_S,
    SECONDS: BUCKETS_S,
    SIZES: BUCKETS_BYTES,
}

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


_RCODES: Final = {int(each): each.name for each in wire.Rcode}


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
    return _RCODES.get(rcode, "other")


class Suspect(StrEnum):
    """What is wrong with a reply that came where the right one was awaited."""

    ID = "id"
    QUESTION = "question"
    CASE = "case"
    COOKIE = "cookie"


@dataclass(slots=True)
class _Observed:
    """How many values fell between each two bounds, and their sum."""

    counts: list[float]
    total: float = 0.0


class Counters:
    """Sums of one worker. `add` is cheap; what is cheaper still is folded in by `sources`."""

    def __init__(self) -> None:
        self._sums: Counter[tuple[str, ...]] = Counter()
        self._observed: dict[tuple[str, ...], _Observed] = {}
        self._upstreams: set[str] = set()
        self._networks: set[str] = set()
        self._sources: list[Callable[[], Iterable[tuple[tuple[str, ...], float]]]] = []

    def add(self, *key: str, amount: float = 1) -> None:
        """Count under (name, label values…)."""
        self._sums[key] += amount  # type: ignore[assignment]  # Counter is typed for int only

    def request(self, network: str, proto: str, kind: str, amount: float = 1) -> None:
        """Questions from sandboxes whose first network is `network`."""
        self.add(REQUESTS, self.network(network), proto, FAMILY, kind, amount=amount)

    def response(self, network: str, rcode: str, source: Source, amount: float = 1) -> None:
        """Answers that left; `rcode` is a label."""
        self.add(RESPONSES, self.network(network), rcode, source, amount=amount)

    def network(self, name: str) -> str:
        """The label of a network: its name while there are few, then "other"."""
        return _known(name, self._networks, MOST_NETWORKS)

    def upstream(self, address: str) -> str:
        """The label of an upstream: its address while there are few, then "other"."""
        return _known(address, self._upstreams, MOST_UPSTREAMS)

    def keep_upstreams(self, labels: AbstractSet[str]) -> None:
        """Nobody asks any others: their labels are free, and their series over."""
        self._upstreams = self._kept(self._upstreams, labels, _OF_UPSTREAMS)

    def keep_networks(self, labels: AbstractSet[str]) -> None:
        """The same of networks on which nobody is; the label of who is on none is never free."""
        self._networks = self._kept(self._networks, labels | {""}, _OF_NETWORKS)

    def _kept(self, seen: set[str], labels: AbstractSet[str], names: AbstractSet[str]) -> set[str]:
        """Those of `seen` that stay; the series of the others, called one of `names`, are over."""
        gone = seen - labels
        sums: tuple[dict[tuple[str, ...], Any], ...] = (self._sums, self._observed)
        for series in sums if gone else ():
            for key in [each for each in series if each[0] in names and each[1] in gone]:
                del series[key]
        return seen - gone

    def took(self, upstream: str, proto: str, seconds: float) -> None:
        """One exchange with an upstream."""
        self._observe((UPSTREAM_SECONDS, upstream, proto), seconds)

    def hit(self, kind: str, amount: float = 1) -> None:
        """The cache knew an answer of this `kind`."""
        self.add(CACHE_REQUESTS, amount=amount)
        self.add(CACHE_HITS, kind, amount=amount)

    def observe(self, name: str, label: str, value: float, amount: float = 1) -> None:
        """`amount` times the value `value` of the histogram `name`."""
        self._observe((name, label), value, amount)

    def _observe(self, key: tuple[str, ...], value: float, amount: float = 1) -> None:
        bounds = BOUNDS[key[0]]
        found = self._observed.get(key)
        if found is None:
            found = self._observed[key] = _Observed([0.0] * (len(bounds) + 1))
        found.counts[bisect.bisect_left(bounds, value)] += amount
        found.total += value * amount

    def _histograms(self) -> Iterator[tuple[tuple[str, ...], float]]:
        """Each bucket with all below it, as Prometheus wants."""
        for key, found in self._observed.items():
            below = itertools.accumulate(found.counts)
            for bound, upto in zip(BOUNDS[key[0]], below, strict=False):
                if upto:
                    yield (*key, f"{bound:g}"), upto
            yield (*key, "+Inf"), sum(found.counts)
            yield (*key, "sum"), found.total

    def fold(self, source: Callable[[], Iterable[tuple[tuple[str, ...], float]]]) -> None:
        """Add what `source` gives at every reading: gauges, and counts kept elsewhere."""
        self._sources.append(source)

    def sums(self) -> list[tuple[list[str], float]]:
        """All series, as `protocol.Counted` carries them."""
        folded = [each for source in self._sources for each in source()]  # may add to our sums
        folded += self._histograms()
        total = Counter(self._sums)
        for key, amount in folded:
            total[key] += amount  # type: ignore[assignment]  # as above
        return [(list(key), float(value)) for key, value in sorted(total.items())]


def _known(value: str, seen: set[str], most: int) -> str:
    """`value` when it is one of the first `most`, else "other": labels are bounded."""
    if value not in seen:
        if len(seen) >= most:
            return OTHER
        seen.add(value)
    return value
