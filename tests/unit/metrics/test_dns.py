from prometheus_client import Metric

from metrics import dns
from resolver.counters import Counters, Source


def samples(found: tuple[Metric, ...] | list[Metric]) -> dict[tuple[str, tuple[str, ...]], float]:
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in found
        for sample in family.samples
    }


def test_workers_are_summed() -> None:
    one = [
        (["sdd_dns_requests_total", "lan", "udp", "A"], 3.0),
        (["sdd_dns_cache_entries", "success"], 5.0),
    ]
    two = [
        (["sdd_dns_requests_total", "lan", "udp", "A"], 4.0),
        (["sdd_dns_cache_entries", "success"], 1.0),
    ]
    found = samples(list(dns.families([one, two])))
    assert found["sdd_dns_requests_total", ("lan", "udp", "A")] == 7
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


def test_an_unknown_name_is_left_out() -> None:
    assert not any("bogus" in key[0] for key in samples(list(dns.families([[(["bogus"], 1.0)]]))))


async def test_the_source_reads_every_worker() -> None:
    async def read() -> list[list[tuple[list[str], float]]]:
        return [[(["sdd_dns_cache_bytes"], 10.0)], [(["sdd_dns_cache_bytes"], 1.0)]]

    assert samples(list(await dns.source(read)()))["sdd_dns_cache_bytes", ()] == 11
