"""Whom members see, and who reaches them: what each published port of one service says for itself."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import mesh
from tests.e2e.appliance import Appliance, run, until
from tests.e2e.mesh import (
    CLIENT,
    HERE,
    HERE6,
    HOST,
    HOST6,
    MASKED,
    ROUTER,
    ask,
    get,
    on_host,
    visits,
)

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


def test_an_operator_looks_inside_the_ingress_sandbox(daemon: Appliance) -> None:
    look = ("sandbox", "exec", "ingress-sbox", "--", "ip", "-br", "addr")
    (box,) = daemon.json("sandbox", "inspect", "ingress-sbox")
    seen = daemon.sdctl(*look).stdout
    assert all(each["IPAddress"] in seen for each in box["Networks"].values())


def test_X15_local_keeps_the_client_and_refuses_without_a_member_here(daemon: Appliance) -> None:
    publish = ("--publish", "published=8450,target=80,policy=local")
    daemon.sdctl("service", "create", "nearby", "--network", "front", *publish)
    assert get(f"http://{HOST}:8450/") == "curl ends 7"
    daemon.sdctl("service", "join", "nearby", daemon.name("shop1"))
    assert visits(8450) == {f"hello from shop1, you are {HERE}"}
    daemon.sdctl("service", "leave", "nearby", daemon.name("shop1"), "--drain", "0s")
    assert get(f"http://{HOST}:8450/") == "curl ends 7"
    daemon.sdctl("service", "rm", "nearby")


def test_B9_41_a_strict_reverse_path_filter_on_the_way_drops_nothing(daemon: Appliance) -> None:
    """The router's own count of what it dropped, which a forged packet shows to work."""
    for link in ("all", "c0", "h0"):
        on_router = run("ip", "netns", "exec", ROUTER, "sysctl", f"net.ipv4.conf.{link}.rp_filter")
        assert on_router.stdout.split()[-1] == "1"
    before = filtered()
    for _ in range(6):
        assert HERE in get(f"http://{HOST}:8440/")
        assert ask(8441).endswith(f" {HERE}")
    strict = daemon.inside("shop1", "sysctl", "net.ipv4.conf.ing0.rp_filter").stdout.split()[-1]
    assert (filtered(), strict) == (before, "1")
    run("ip", "-n", CLIENT, "addr", "add", "203.0.113.7/32", "dev", "lo")
    forged = ("ip", "netns", "exec", CLIENT, "ping", "-c1", "-W1", "-I", "203.0.113.7", HOST)
    assert run(*forged, check=False).returncode != 0
    assert filtered() > before


def filtered() -> int:
    """IPReversePathFilter of the router, in all."""
    text = run("ip", "netns", "exec", ROUTER, "cat", "/proc/net/netstat").stdout
    head, values = [line.split() for line in text.splitlines() if line.startswith("TcpExt:")]
    return int(values[head.index("IPReversePathFilter")])


def test_B9_43_three_megabytes_each_way_arrive_whole_over_a_narrow_link(
    daemon: Appliance, tmp_path: Path
) -> None:
    """The router's link to the client takes less than the networks of the members."""
    daemon.sdctl("service", "update", "shop", "--publish-add", "8451:7000")
    for name in ("shop1", "shop2"):
        # All of it first: an echo would wait for a reader that waits for it.
        keep = "SYSTEM:f=$(mktemp); cat >$f; cat $f; rm $f"
        command = ("socat", "-t60", "TCP6-LISTEN:7000,fork,reuseaddr,ipv6only=0", keep)
        process = subprocess.Popen(
            ["ip", "netns", "exec", daemon.name(name), *command],
            env=os.environ | {"SDD_E2E": str(daemon.root)},
        )
        daemon.served.append(process)
        until(
            lambda name=name: ":7000 " in daemon.inside(name, "ss", "-Hltn").stdout,
            60,
            "it listens",
        )
    for where, link in ((ROUTER, "c0"), (CLIENT, "eth0")):
        run("ip", "-n", where, "link", "set", link, "mtu", "1280")
    sent = tmp_path / "sent"
    sent.write_bytes(os.urandom(3 << 20))
    for to in (f"TCP4:{HOST}:8451", f"TCP6:[{HOST6}]:8451"):
        with sent.open("rb") as source:
            done = subprocess.run(
                ["ip", "netns", "exec", CLIENT, "socat", "-t60", "-", to],
                stdin=source,
                capture_output=True,
                timeout=180,
                check=True,
            )
        assert done.stdout == sent.read_bytes(), to
