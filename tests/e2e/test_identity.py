"""A host that gets another name is the same node: what runs on it stays."""

from collections.abc import Iterator

import pytest

from tests.e2e.appliance import Appliance, appliance, run


@pytest.fixture(scope="module")
def daemon() -> Iterator[Appliance]:
    with appliance("rename") as one:
        one.sdctl("network", "create", "front", "--subnet", "10.74.0.0/24")
        one.sandbox("web", "--network", "front")
        one.sandbox("client", "--network", "front")
        one.serve("web")
        one.sdctl("service", "create", "shop", "--network", "front", "--publish", "8474:80")
        one.sdctl("service", "join", "shop", one.name("web"))
        yield one


def named(hostname: str) -> tuple[str, ...]:
    """Words that start a program on a host of that name; the machine keeps its own."""
    return ("unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', hostname)


def namespaces(one: Appliance) -> list[str]:
    words = ("sh", "-c", "readlink /proc/self/ns/net; ip -br address")
    return [one.inside(name, *words).stdout for name in ("web", "client")]


def works(one: Appliance) -> bool:
    said = one.inside("client", "curl", "-sm30", "http://shop/").stdout
    return "from web" in said


def test_a_host_with_another_name_keeps_what_runs_on_it(daemon: Appliance) -> None:
    before, own = namespaces(daemon), run("uname", "-n").stdout.strip()
    daemon.kill()
    daemon.start(behind=named("another-name"))
    assert namespaces(daemon) == before
    assert works(daemon)
    assert f"node={own} host=another-name" in daemon.log()
    (status,) = daemon.json("status")
    assert status["Node"] == own
    daemon.sdctl("verify")
    daemon.sandbox("late", "--network", "front")
    daemon.sdctl("service", "join", "shop", daemon.name("late"))
    daemon.kill()
    daemon.start()
    assert namespaces(daemon) == before
    daemon.sdctl("service", "leave", "shop", daemon.name("late"))
    daemon.sdctl("sandbox", "rm", daemon.name("late"))


def test_another_node_name_is_refused_and_touches_nothing(daemon: Appliance) -> None:
    before = namespaces(daemon)
    daemon.kill()
    refused = daemon.on_host(*daemon.command(), "--node-name", "mine", check=False)
    assert refused.returncode == 1
    assert 'not of "mine"' in refused.stderr
    assert "[SDD-NODE-NAME]" in refused.stderr
    assert namespaces(daemon) == before
    daemon.start()
    assert namespaces(daemon) == before
    assert works(daemon)
