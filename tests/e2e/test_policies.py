"""Whom members see, and who reaches them: what each published port of one service says for itself."""

from collections.abc import Iterator

import pytest

from tests.e2e import mesh
from tests.e2e.appliance import Appliance
from tests.e2e.mesh import HERE, HERE6, HOST, HOST6, MASKED, get, on_host, visits

LOCALHOST = "127.0.0.1"


@pytest.fixture(scope="module", autouse=True)
def world(daemon: Appliance) -> Iterator[None]:
    with mesh.served(daemon, "shop"):
        yield


def policies(daemon: Appliance) -> dict[int, str]:
    (found,) = daemon.json("service", "inspect", "shop")
    return {each["PublishedPort"]: each["Policy"] for each in found["Ports"]}


def test_B9_38_each_port_keeps_its_own_policy_through_the_ingress_sandbox(
    daemon: Appliance,
) -> None:
    more = "published=8445,target=80,policy=snat"
    daemon.sdctl("service", "update", "shop", "--publish-add", more)
    shown = policies(daemon)
    assert (shown[8440], shown[8445]) == ("preserve", "snat")
    assert visits(8440) == {f"hello from shop{at}, you are {HERE}" for at in (1, 2)}
    assert visits(8445) == {f"hello from shop{at}, you are {MASKED}" for at in (1, 2)}
    assert HERE6 in get(f"http://[{HOST6}]:8440/")
    assert HERE6 not in get(f"http://[{HOST6}]:8445/")


def test_each_port_with_mode_host_keeps_its_own_policy(daemon: Appliance) -> None:
    ports = ("mode=host", "mode=host,policy=snat", f"mode=host,host-ip={HOST}")
    words = [f"published={at},target=80,{port}" for at, port in enumerate(ports, 8446)]
    publish = [word for each in words for word in ("--publish-add", each)]
    daemon.sdctl("service", "update", "shop", *publish)
    assert [policies(daemon)[at] for at in (8446, 8447, 8448)] == ["preserve", "snat", "preserve"]
    assert visits(8446) == visits(8448) == visits(8440)
    assert {each.rsplit(" ", 1)[1] for each in visits(8447)} == {"10.77.0.1"}


def test_127_0_0_1_answers_a_port_that_every_node_opens_only_if_asked(daemon: Appliance) -> None:
    asked = f"published=8440,target=80,host-ip={LOCALHOST}"
    for url in (f"http://{LOCALHOST}:8440/", "http://localhost:8440/"):
        assert on_host(daemon, url) == "curl ends 7"
    daemon.sdctl("service", "update", "shop", "--publish-add", asked)
    for url in (f"http://{LOCALHOST}:8440/", "http://localhost:8440/"):
        found = {on_host(daemon, url) for _ in range(2)}
        assert found == {f"hello from shop{at}, you are {MASKED}" for at in (1, 2)}
    assert visits(8440) == {f"hello from shop{at}, you are {HERE}" for at in (1, 2)}
    assert "curl ends" in get(f"http://{LOCALHOST}:8440/")
    daemon.sdctl("service", "update", "shop", "--publish-rm", f"{LOCALHOST}:8440:80")
    assert on_host(daemon, f"http://{LOCALHOST}:8440/") == "curl ends 7"
    assert visits(8440, 1) < {f"hello from shop{at}, you are {HERE}" for at in (1, 2)}
    # mode=host is a program on this machine, as Docker's users expect.
    near = "published=8449,target=80,mode=host"
    daemon.sdctl("service", "update", "shop", "--publish-add", near)
    assert "hello from shop" in on_host(daemon, f"http://{LOCALHOST}:8449/")
    daemon.sdctl("service", "update", "shop", "--publish-rm", "8449:80")
