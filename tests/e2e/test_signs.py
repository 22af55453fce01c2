"""Signs that a member does not answer bring its checks forward; the page counts what flows."""

import re

import pytest

from tests.e2e.appliance import Appliance, until

SELDOM = ("--health-interval", "1h", "--health-fast", "100ms")


def states(daemon: Appliance, service: str) -> list[str]:
    return sorted(str(each["State"]) for each in daemon.json("service", "ps", service))


def page(daemon: Appliance) -> dict[str, float]:
    socket = daemon.url.removeprefix("unix://")
    text = daemon.on_host("curl", "-s", "--unix-socket", socket, "http://sdd/metrics").stdout
    return {
        name: float(value) for name, value in re.findall(r"^(sdd_lb\S+) (\S+)$", text, re.MULTILINE)
    }


@pytest.fixture(scope="module", autouse=True)
def town(daemon: Appliance) -> None:
    daemon.sdctl("network", "create", "front")
    for name in ("one", "two", "three", "client"):
        daemon.sandbox(name, "--network", "front")
    daemon.serve("three")


def test_refused_connections_bring_the_next_check_forward(daemon: Appliance) -> None:
    servers = [daemon.serve(name) for name in ("one", "two")]
    options = ("--scheduler", "rr", "--health", "tcp:80", *SELDOM)
    daemon.sdctl("service", "create", "web", "--network", "front", *options)
    for name in ("one", "two"):
        daemon.sdctl("service", "join", "web", daemon.name(name))
    until(lambda: states(daemon, "web") == ["up", "up"], 60, "both are up")
    servers[0].kill()
    servers[0].wait(60)

    def is_found() -> bool:
        daemon.inside("client", "curl", "-s", "--max-time", "1", "http://web/", check=False)
        return states(daemon, "web") == ["down", "up"]

    until(is_found, 120, "long before the next regular check")
    assert page(daemon)['sdd_lb_suspicions_total{service="web"}'] >= 1


def test_the_page_counts_connections_packets_bytes_and_checks(daemon: Appliance) -> None:
    daemon.sdctl("service", "create", "counted", "--network", "front", "--health", "tcp:80")
    daemon.sdctl("service", "join", "counted", daemon.name("three"))
    until(lambda: states(daemon, "counted") == ["up"], 60, "it is up")
    for _ in range(10):
        daemon.inside("client", "curl", "-s", "--max-time", "20", "http://counted/")
    labels = '{proto="tcp",service="counted"}'
    until(
        lambda: page(daemon).get(f"sdd_lb_connections_total{labels}", 0) >= 10,
        60,
        "ten connections",
    )
    found = page(daemon)
    assert found[f"sdd_lb_connections_total{labels}"] == 10
    for way in ("incoming", "outgoing"):
        assert found[f"sdd_lb_{way}_packets_total{labels}"] >= 10 * 4
        assert found[f"sdd_lb_{way}_bytes_total{labels}"] >= 10 * 4 * 52
    assert found['sdd_lb_connections_total{proto="udp",service="counted"}'] == 0
    assert found['sdd_lb_healthcheck_duration_seconds_count{service="counted"}'] >= 2
    backend = f'{{backend="{daemon.name("three")}",service="counted"}}'
    assert f"sdd_lb_backend_connections_active{backend}" in found
    assert f"sdd_lb_backend_connections_inactive{backend}" in found
    assert_listed(daemon)


def test_what_sandboxes_count_just_before_they_end_is_on_the_page(daemon: Appliance) -> None:
    daemon.sdctl("service", "create", "brief", "--network", "front")
    daemon.sdctl("service", "join", "brief", daemon.name("three"))
    for number in range(3):
        name = f"guest{number}"
        daemon.sandbox(name, "--network", "front")
        for _ in range(5):
            daemon.inside(name, "curl", "-s", "--max-time", "20", "http://brief/")
        daemon.sdctl("sandbox", "rm", daemon.name(name))
    labels = '{proto="tcp",service="brief"}'
    until(lambda: page(daemon).get(f"sdd_lb_connections_total{labels}", 0) >= 15, 60, "all fifteen")
    assert page(daemon)[f"sdd_lb_connections_total{labels}"] == 15


def assert_listed(daemon: Appliance) -> None:
    """`lb ls` shows the same numbers, and rates in the words of ipvsadm."""
    rows = daemon.json("lb", "ls", "--stats", "--from", daemon.name("client"))
    (tcp,) = [row for row in rows if row["Service"] == "counted" and row["Protocol"] == "tcp"]
    assert tcp["Connections"] == 10
    assert min(tcp["InPackets"], tcp["OutPackets"], tcp["InBytes"], tcp["OutBytes"]) >= 40
    said = daemon.sdctl("lb", "ls", "--rate", "--from", daemon.name("client")).stdout
    head, *lines = said.splitlines()
    assert head.split()[-5:] == ["CPS", "INPPS", "OUTPPS", "INBPS", "OUTBPS"]
    (line,) = [each for each in lines if " counted " in each and " tcp " in each]
    assert all(word.isdigit() for word in line.split()[-5:]), line
