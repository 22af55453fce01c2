"""Families of balancing: all names there from the start, never too many series."""

from lb.growth import Growth
from metrics import balancing, bounded

EMPTY = balancing.Rows(traffic={}, connections={}, checks={}, suspicions={})


def values(rows: balancing.Rows) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in balancing.families(rows)
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def test_traffic_is_by_service_and_protocol() -> None:
    grown = Growth(connections=1, in_packets=2, out_packets=3, in_bytes=4, out_bytes=5)
    found = values(
        balancing.Rows(traffic={("web", "tcp"): grown}, connections={}, checks={}, suspicions={})
    )
    assert found == {
        ("sdd_lb_connections_total", "web", "tcp"): 1,
        ("sdd_lb_incoming_packets_total", "web", "tcp"): 2,
        ("sdd_lb_outgoing_packets_total", "web", "tcp"): 3,
        ("sdd_lb_incoming_bytes_total", "web", "tcp"): 4,
        ("sdd_lb_outgoing_bytes_total", "web", "tcp"): 5,
    }


def test_connections_are_by_backend_and_checks_by_service() -> None:
    rows = balancing.Rows(
        traffic={},
        connections={("web", "web1", "active"): 7, ("web", "web1", "inactive"): 2},
        checks={"web": balancing.Checks(10, 1.5, 3, 2)},
        suspicions={"web": 1},
    )
    assert values(rows) == {
        ("sdd_lb_backend_connections_active", "web", "web1"): 7,
        ("sdd_lb_backend_connections_inactive", "web", "web1"): 2,
        ("sdd_lb_healthcheck_duration_seconds_count", "web"): 10,
        ("sdd_lb_healthcheck_duration_seconds_sum", "web"): 1.5,
        ("sdd_lb_healthcheck_failures_total", "web"): 3,
        ("sdd_lb_healthcheck_unmade_total", "web"): 2,
        ("sdd_lb_suspicions_total", "web"): 1,
    }


def test_a_page_stays_small() -> None:
    many = {(f"s{number:05}", "tcp"): Growth() for number in range(bounded.MOST_SERIES + 5)}
    rows = balancing.Rows(traffic=many, connections={}, checks={}, suspicions={})
    family = next(iter(balancing.families(rows)))
    assert len(family.samples) == bounded.MOST_SERIES


async def test_a_source_reads_at_every_scrape() -> None:
    found = await balancing.source(lambda: EMPTY)()
    assert len(found) == 11
