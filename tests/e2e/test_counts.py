"""The page of metrics tells all connections, soon, also of members that left."""

from collections.abc import Iterator

import pytest

from tests.e2e.appliance import Appliance, appliance, until

EACH = 60
SOON_S = 40  # the machine may be busy; it was minutes, and for ever


@pytest.fixture
def daemon() -> Iterator[Appliance]:
    with appliance("counts", "--metrics-addr", "127.0.0.1:9653") as one:
        one.sdctl("network", "create", "front")
        one.sdctl("service", "create", "shop", "--network", "front", "--scheduler", "rr")
        for name in ("shop1", "shop2", "shop3", "client"):
            one.sandbox(name, "--network", "front")
        for name in ("shop1", "shop2", "shop3"):
            one.serve(name)
            one.sdctl("service", "join", "shop", one.name(name))
        yield one


def connect(daemon: Appliance) -> None:
    (shop,) = daemon.json("service", "inspect", "shop")
    url = f"http://{shop['VIPs'][0]}/"
    daemon.inside("client", "sh", "-c", f"for _ in $(seq {EACH}); do curl -sS {url}; done")


def total(daemon: Appliance) -> int:
    page = daemon.on_host("curl", "-s", "http://127.0.0.1:9653/metrics").stdout
    lines = [each for each in page.splitlines() if each.startswith("sdd_lb_connections_total{")]
    return sum(int(float(each.split()[-1])) for each in lines if 'proto="tcp"' in each)


def test_B9_52_every_connection_is_told_soon_whoever_leaves(daemon: Appliance) -> None:
    connect(daemon)
    until(lambda: total(daemon) == EACH, SOON_S, lambda: f"{total(daemon)} of {EACH}")
    connect(daemon)
    daemon.sdctl("service", "leave", "--drain", "0s", "shop", daemon.name("shop1"))
    daemon.sdctl("sandbox", "rm", daemon.name("shop2"))
    until(lambda: total(daemon) == 2 * EACH, SOON_S, lambda: f"{total(daemon)} of {2 * EACH}")
    connect(daemon)
    daemon.sdctl("sandbox", "rm", daemon.name("client"))
    until(lambda: total(daemon) == 3 * EACH, SOON_S, lambda: f"{total(daemon)} of {3 * EACH}")
