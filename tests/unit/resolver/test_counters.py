"""Labels are bounded, and what does not fit is still counted."""

from resolver import counters
from resolver.counters import Counters, Source


def test_A8_100_networks_beyond_the_bound_are_counted_together() -> None:
    counts = Counters()
    many = counters.MOST_NETWORKS + 5
    for number in range(many):
        counts.request(f"net{number}", "udp", "A")
        counts.response(f"net{number}", "NOERROR", Source.OWNED)
    counts.request("net0", "udp", "A", amount=3)
    found = {tuple(key): value for key, value in counts.sums()}
    assert len(found) == 2 * (counters.MOST_NETWORKS + 1)
    assert found[counters.REQUESTS, "net0", "udp", "ipv4", "A"] == 4
    assert found[counters.REQUESTS, counters.OTHER, "udp", "ipv4", "A"] == 5
    assert found[counters.RESPONSES, counters.OTHER, "NOERROR", "owned"] == 5


def test_upstreams_beyond_the_bound_are_counted_together() -> None:
    counts = Counters()
    labels = {counts.upstream(f"192.0.2.{number}") for number in range(100)}
    assert len(labels) == counters.MOST_UPSTREAMS + 1
    assert counters.OTHER in labels


def test_labels_of_servers_that_are_gone_are_free_again() -> None:
    counts = Counters()
    for number in range(counters.MOST_UPSTREAMS):
        label = counts.upstream(f"10.0.0.{number}")
        counts.add(counters.UPSTREAM_FAILURES, label, "timeout")
        counts.took(label, "udp", 0.1)
    assert counts.upstream("10.0.1.1") == counters.OTHER
    counts.add(counters.UPSTREAM_FAILURES, counters.OTHER, "timeout")
    counts.keep_upstreams({"10.0.0.1"})
    assert counts.upstream("10.0.1.1") == "10.0.1.1"
    assert {key[1] for key, _ in counts.sums()} == {"10.0.0.1", counters.OTHER}


def test_labels_of_networks_on_which_nobody_is_any_more_are_free_again() -> None:
    """A host that makes a network for each job and removes it with its end."""
    counts = Counters()
    counts.request("", "udp", "A")
    for number in range(2 * counters.MOST_NETWORKS):
        counts.request(f"job{number}", "udp", "A")
        counts.response(f"job{number}", "NOERROR", Source.OWNED)
        counts.request("lab", "udp", "A")
        counts.keep_networks({"lab"})
    counts.request("new", "udp", "A")
    told = {tuple(key): value for key, value in counts.sums()}
    assert {key[1] for key in told} == {"", "lab", "new"}
    assert told[counters.REQUESTS, "lab", "udp", "ipv4", "A"] == 2 * counters.MOST_NETWORKS
