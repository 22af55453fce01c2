import re
from pathlib import Path

from prometheus_client import Metric

from metrics import dns
from resolver.counters import Counters, Source
from resolver.listen import respond
from resolver.message import wire
from resolver.upstream import cache
from resolver.upstream.sockets import Why


def samples(found: tuple[Metric, ...] | list[Metric]) -> dict[tuple[str, tuple[str, ...]], float]:
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in found
        for sample in family.samples
    }


def test_workers_are_summed() -> None:
    one = [
        (["sdd_dns_requests_total", "lan", "udp", "ipv4", "A"], 3.0),
        (["sdd_dns_cache_entries", "success"], 5.0),
    ]
    two = [
        (["sdd_dns_requests_total", "lan", "udp", "ipv4", "A"], 4.0),
        (["sdd_dns_cache_entries", "success"], 1.0),
    ]
    found = samples(list(dns.families([one, two])))
    assert found["sdd_dns_requests_total", ("lan", "udp", "ipv4", "A")] == 7
    assert found["sdd_dns_cache_entries", ("success",)] == 6
    assert found["sdd_dns_coalesced_total", ()] == 0


def test_a_histogram_is_cumulative_with_sum_and_count() -> None:
    counted = Counters()
    for seconds in (0.0001, 0.003, 100.0):
        counted.took("10.0.0.53", "udp", seconds)
    found = samples(list(dns.families([[(key, value) for key, value in counted.sums()]])))
    name = "sdd_upstream_request_duration_seconds"
    assert found[f"{name}_bucket", ("10.0.0.53", "udp", "0.00025")] == 1
    assert found[f"{name}_bucket", ("10.0.0.53", "udp", "0.004")] == 2
    assert found[f"{name}_bucket", ("10.0.0.53", "udp", "+Inf")] == 3
    assert found[f"{name}_count", ("10.0.0.53", "udp")] == 3
    assert found[f"{name}_sum", ("10.0.0.53", "udp")] == 100.0031


def test_every_name_that_workers_count_has_a_family() -> None:
    import resolver.counters as counted

    names = {value for value in vars(counted).values() if str(value).startswith("sdd_")}
    assert names == dns.FAMILIES.keys()


def test_what_a_worker_counts_fits_its_family() -> None:
    counted = Counters()
    counted.response("lan", "NOERROR", Source.OWNED)
    found = samples(list(dns.families([counted.sums()])))
    assert found["sdd_dns_responses_total", ("lan", "NOERROR", "owned")] == 1


def test_every_bounded_label_value_is_there_from_the_start() -> None:
    found = samples(list(dns.families([])))
    for name, shape in dns.FAMILIES.items():
        ending = "_count" if shape.kind == "histogram" else ""
        rows = [key for key in found if key[0] == name + ending]
        assert bool(rows) != ("upstream" in shape.labels), name
    assert set(found.values()) == {0.0}
    for key in (
        ("sdd_dns_requests_total", ("", "tcp", "ipv4", "HTTPS")),
        ("sdd_dns_responses_total", ("", "SERVFAIL", "error")),
        ("sdd_dns_malformed_total", ("framing",)),
        ("sdd_dns_dropped_total", ("late",)),
        ("sdd_dns_tcp_rejected_total", ("source",)),
        ("sdd_dns_cache_hits_total", ("denial",)),
        ("sdd_dns_cache_evictions_total", ("failure",)),
        ("sdd_dns_request_duration_seconds_count", ("owned",)),
        ("sdd_dns_response_size_bytes_count", ("tcp",)),
    ):
        assert key in found, key


def test_an_upstream_that_is_known_has_all_its_reasons() -> None:
    counted = Counters()
    counted.add("sdd_upstream_responses_total", "192.0.2.1", "NOERROR")
    found = samples(list(dns.families([counted.sums()])))
    assert found["sdd_upstream_responses_total", ("192.0.2.1", "NOERROR")] == 1
    assert found["sdd_upstream_responses_total", ("192.0.2.1", "SERVFAIL")] == 0
    assert not [key for key in found if key[0] == "sdd_upstream_up"]  # 0 would be an alert
    for why in Why:
        assert found["sdd_upstream_failures_total", ("192.0.2.1", why.value)] == 0


def test_the_label_values_are_those_that_workers_count() -> None:
    import resolver.counters as counted

    assert set(dns.KNOWN["source"]) == set(Source)
    assert set(dns.KNOWN["type"]) == {*counted.TYPES.values(), counted.OTHER}
    assert set(dns.KNOWN["rcode"]) <= {each.name for each in wire.Rcode}
    assert dns.KNOWN["family"] == (counted.FAMILY,)
    assert dns.CACHED == cache.KINDS
    reasons = dns.REASONS
    assert set(reasons[counted.UPSTREAM_FAILURES]) == set(Why)
    assert set(reasons[counted.SUSPECT]) == set(counted.Suspect)
    assert {*respond.REASONS.values(), "short", "response", "framing", "long"} == set(
        reasons[counted.MALFORMED]
    )
    source = "".join(path.read_text() for path in Path(counted.__file__).parent.rglob("*.py"))
    told = {name: set(re.findall(rf'{name}, "(\w+)"', source)) for name in ("DROPPED", "MALFORMED")}
    assert told["DROPPED"] == set(reasons[counted.DROPPED])
    assert told["MALFORMED"] <= set(reasons[counted.MALFORMED])


def test_an_unknown_name_is_left_out() -> None:
    assert not any("bogus" in key[0] for key in samples(list(dns.families([[(["bogus"], 1.0)]]))))


async def test_the_source_reads_every_worker() -> None:
    async def read() -> list[list[tuple[list[str], float]]]:
        return [[(["sdd_dns_cache_bytes"], 10.0)], [(["sdd_dns_cache_bytes"], 1.0)]]

    assert samples(list(await dns.source(read)()))["sdd_dns_cache_bytes", ()] == 11
