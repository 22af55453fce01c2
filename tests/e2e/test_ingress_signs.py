"""Ports through the ingress sandbox: what flows is on the page, and who is silent is checked."""

from collections.abc import Iterator

import pytest

from tests.e2e import mesh
from tests.e2e.appliance import PATIENCE_S, Appliance, until
from tests.e2e.mesh import CLIENT, HOST, get, serve
from tests.e2e.test_signs import page, states

SELDOM = ("--health-interval", "10m", "--health-fast", "100ms")


@pytest.fixture(scope="module", autouse=True)
def world(daemon: Appliance) -> Iterator[None]:
    with mesh.outside(daemon):
        daemon.sdctl("network", "create", "front", "--subnet", "10.77.0.0/24")
        yield


@pytest.mark.parametrize(
    ("mode", "port", "how"),
    [
        ("vip", 8500, ""),
        ("dnsrr", 8501, ""),
        ("vip", 8502, ",policy=snat"),
        ("vip", 8503, ",policy=local"),
        ("vip", 8504, ",mode=host"),
        ("dnsrr", 8505, ",mode=host"),
    ],
)
def test_the_page_counts_what_comes_to_published_ports(
    daemon: Appliance, mode: str, port: int, how: str
) -> None:
    box = f"counted-{port}"
    options = ("--publish", f"published={port},target=80{how}", "--endpoint-mode", mode)
    daemon.sdctl("service", "create", box, "--network", "front", *options)
    daemon.sandbox(box, "--network", "front", "--service", box)
    serve(daemon, box)
    for _ in range(10):
        assert get(f"http://{HOST}:{port}/").startswith("hello from")
    labels = f'{{proto="tcp",service="{box}"}}'
    counter = f"sdd_lb_connections_total{labels}"
    until(lambda: page(daemon).get(counter, 0) >= 10, 120, "ten connections")
    found = page(daemon)
    assert found[counter] == 10
    for way in ("incoming", "outgoing"):
        assert found[f"sdd_lb_{way}_packets_total{labels}"] >= 10 * 4
    backend = f'{{backend="{daemon.name(box)}",service="{box}"}}'
    assert f"sdd_lb_backend_connections_active{backend}" in found


def test_refusals_from_outside_bring_the_next_check_forward(daemon: Appliance) -> None:
    options = ("--scheduler", "rr", "--health", "tcp:80", *SELDOM)
    servers = {}
    for name in ("one", "two"):
        daemon.sandbox(name, "--network", "front")
        servers[name] = serve(daemon, name)
    daemon.sdctl("service", "create", "web", "--network", "front", "--publish", "8510:80", *options)
    for name in servers:
        daemon.sdctl("service", "join", "web", daemon.name(name))
    daemon.until_replicas("web", "2/2")  # on ingress too: until then checks come quickly
    servers["one"].kill()
    servers["one"].wait(PATIENCE_S)

    def is_found() -> bool:
        get(f"http://{HOST}:8510/", CLIENT)
        return states(daemon, "web") == ["down", "up"]

    until(is_found, 120, "long before the next regular check")
    assert page(daemon)['sdd_lb_suspicions_total{service="web"}'] >= 1
