"""Ports that every node opens: who reaches whom, and whom the member sees."""

from collections.abc import Iterator

import pytest

from tests.e2e import mesh
from tests.e2e.appliance import Appliance, run
from tests.e2e.mesh import (
    CLIENT,
    HERE,
    HERE6,
    HOST,
    HOST6,
    MASKED,
    ROUTER,
    SERVICES,
    ask,
    get,
    on_host,
    visits,
)


@pytest.fixture(scope="module", autouse=True)
def world(daemon: Appliance) -> Iterator[None]:
    with mesh.served(daemon, *SERVICES):
        yield


@pytest.mark.parametrize("service", list(SERVICES))
def test_38_U1_U11_the_member_sees_the_client_by_tcp(service: str) -> None:
    _, number, members = SERVICES[service]
    assert visits(number) == {f"hello from {name}, you are {HERE}" for name in members}


@pytest.mark.parametrize("service", list(SERVICES))
def test_38_U2_and_by_ipv6_whatever_its_own_network_has(service: str) -> None:
    _, number, members = SERVICES[service]
    found = {get(f"http://[{HOST6}]:{number}/") for _ in members}
    assert found == {f"hello from {name}, you are {HERE6}" for name in members}


@pytest.mark.parametrize("service", list(SERVICES))
def test_38_the_member_sees_the_client_by_udp(service: str) -> None:
    _, number, members = SERVICES[service]
    hexed = "[::ffff:c633:6409]"  # as socat writes 198.51.100.9
    assert {ask(number + 1) for _ in members} <= {f"{name} {HERE}" for name in members}
    assert {ask(number + 2) for _ in members} <= {f"{name} {hexed}" for name in members}


def test_50_the_host_itself_is_balanced_as_well(daemon: Appliance) -> None:
    for url, seen in (
        (f"http://{HOST}:8440/", HOST),
        (f"http://[{HOST6}]:8440/", HOST6),
    ):
        found = {on_host(daemon, url) for _ in range(2)}
        assert found == {f"hello from shop{at}, you are {seen}" for at in (1, 2)}, url


def test_U10_neighbours_other_sandboxes_and_members_themselves_reach_it(
    daemon: Appliance,
) -> None:
    for name, network in (("near", "front"), ("far", "back")):
        (box,) = daemon.json("sandbox", "inspect", daemon.name(name))
        own = box["Networks"][network]["IPAddress"]
        for number, members in ((8440, ("shop1", "shop2")), (8470, ("away1",))):
            url = f"http://{HOST}:{number}/"
            found = {get(url, daemon.name(name)) for _ in members}
            assert found == {f"hello from {each}, you are {own}" for each in members}
        assert ask(8471, daemon.name(name)) == f"away1 {own}"
        assert ask(8472, daemon.name(name)).startswith("away1 ")
    for name in ("shop1", "shop2"):
        found = {get(f"http://{HOST}:8440/", daemon.name(name)) for _ in range(2)}
        assert found == {f"hello from shop{at}, you are {MASKED}" for at in (1, 2)}


def test_nothing_else_leads_over_ingress(daemon: Appliance) -> None:
    """Neither from member to member, nor out, nor to a port that is not published."""
    (box,) = daemon.json("sandbox", "inspect", daemon.name("shop2"))
    (service,) = daemon.json("service", "inspect", "shop")
    other, vip = box["Networks"]["ingress"]["IPAddress"], service["IngressVIPs"][0]
    assert get(f"http://{other}/", daemon.name("safe1")) == "curl ends 7"
    assert get(f"http://{vip}/", daemon.name("safe1")) == "curl ends 7"
    assert get("http://198.51.100.9/", daemon.name("safe1")) == "curl ends 7"
    assert get(f"http://{vip}/", daemon.name("near")) == "curl ends 28"
    run("ip", "-n", CLIENT, "route", "add", f"{vip}/32", "via", "198.51.100.1")
    run("ip", "-n", ROUTER, "route", "add", f"{vip}/32", "via", HOST)
    assert get(f"http://{vip}/") == "curl ends 28"


def test_names_files_and_links_of_members_are_as_without_it(daemon: Appliance) -> None:
    hosts = daemon.inside("shop1", "cat", "/etc/hosts").stdout
    assert "172.19." not in hosts
    assert daemon.inside("near", "dig", "+short", "shop1").stdout.startswith("10.77.0.")
    for name in ("shop1", "safe1"):
        links = daemon.inside(name, "ls", "/sys/class/net").stdout.split()
        assert sorted(links) == ["eth0", "ing0", "lo"], name
    route = daemon.inside("safe1", "ip", "route", "show", "default").stdout
    assert route == ""
