"""Ports that every node opens: what comes and goes, is changed, broken, drained and killed."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import mesh
from tests.e2e.appliance import BIN, PATIENCE_S, Appliance, appliance, run, until
from tests.e2e.mesh import CLIENT, HERE, HOST, HOST6, ask, get, serve, visits
from tests.e2e.retries import asked_again
from tests.e2e.test_ports import ASK, SLOW

DRAIN = "15s"  # within which a connection is used that was there before


@pytest.fixture(scope="module", autouse=True)
def world(daemon: Appliance) -> Iterator[None]:
    with mesh.served(daemon, "shop"):
        yield


def test_C125_what_is_predefined_is_not_peoples_to_change(daemon: Appliance) -> None:
    box = daemon.name("near")
    for command, code in (
        (("network", "connect", "ingress", box), "SDD-NET-PREDEFINED"),
        (("network", "connect", "gwbridge", box), "SDD-NET-PREDEFINED"),
        (("network", "disconnect", "ingress", daemon.name("shop1")), "SDD-NET-PREDEFINED"),
        (("network", "rm", "ingress"), "SDD-NET-PREDEFINED"),
        (("network", "create", "ingress"), "SDD-NET-PREDEFINED"),
        (("sandbox", "create", "x", "--network", "ingress"), "SDD-NET-PREDEFINED"),
        (("sandbox", "create", "ingress-sbox"), "SDD-SANDBOX-PREDEFINED"),
        (("sandbox", "rm", "ingress-sbox"), "SDD-SANDBOX-PREDEFINED"),
        (("network", "connect", "front", "ingress-sbox"), "SDD-SANDBOX-PREDEFINED"),
        (("service", "join", "shop", "ingress-sbox"), "SDD-SANDBOX-PREDEFINED"),
        (("service", "create", "x", "--network", "ingress"), "SDD-SERVICE-NETWORK"),
    ):
        done = daemon.sdctl(*command, check=False)
        assert done.returncode == 1, command
        assert f"[{code}]" in done.stderr, command


def test_what_hands_delete_comes_back(daemon: Appliance) -> None:
    member, sandbox = daemon.name("shop1"), ("sandbox", "exec", "ingress-sbox", "--")
    for where, command in (
        (member, "nft delete table inet sdd-ingress"),
        (member, "nft flush chain inet sdd-ingress answering"),
        (member, "ip rule del pref 24000"),
        (member, "ip -6 rule del pref 24000"),
        (member, "ip link set ing0 down"),
        ("", "nft delete table inet sdd-lb"),
        ("", "sysctl -qw net.ipv4.ip_forward=0"),
        ("host", "ip route del 172.19.0.0/16"),
        ("host", "nft delete table inet sdd-ports"),
    ):
        words = command.split()
        if where == member:
            run("ip", "netns", "exec", member, *words)
        elif where:
            daemon.on_host(*words)
        else:
            daemon.sdctl(*sandbox, *words)
        until(lambda: daemon.sdctl("verify", check=False).returncode == 0, 120, command)
        for number in (HOST, f"[{HOST6}]"):
            # A first packet that is lost on a way that is just there is counted as a turn.
            found = {get(f"http://{number}:8440/").split(",")[0] for _ in range(4)}
            assert found == {"hello from shop1", "hello from shop2"}, (command, found)


def test_lb_tells_what_the_ingress_sandbox_does(daemon: Appliance) -> None:
    (service,) = daemon.json("service", "inspect", "shop")
    (net,) = daemon.json("network", "inspect", "ingress")
    assert net["Ingress"]
    assert "shop" in net["Services"]
    rows = daemon.json("lb", "ls", "--from", "ingress-sbox")
    assert {row["Vip"] for row in rows if row["Service"] == "shop"} == {*service["IngressVIPs"]}
    told = daemon.sdctl("lb", "trace", "shop:80", "--from", "ingress-sbox").stdout
    assert "as it should be" in told
    assert "connected" in told
    assert "answers by way of this sandbox" in told


def test_lb_trace_follows_a_published_port_through_every_hop(daemon: Appliance) -> None:
    near = daemon.name("near")
    told = daemon.sdctl("lb", "trace", f"{HOST}:8440", "--from", near).stdout
    (service,) = daemon.json("service", "inspect", "shop")
    four = next(each for each in service["IngressVIPs"] if "." in each)
    assert "port 8440/tcp: published by service shop: mode=ingress, policy=preserve" in told
    assert f"{HOST}:8440 is rewritten to {four}:80" in told
    assert "ingress-sbox: kernel: " in told
    assert "as it should be" in told
    assert f"tried: 8440/tcp from {near}" in told
    members = [line for line in told.splitlines() if "ingress-sbox: member" in line]
    assert members == sorted(members)
    udp = daemon.sdctl("lb", "trace", f"{HOST}:8441/udp", "--from", near).stdout
    assert "port 8441/udp" in udp
    assert ": answered in" in udp
    assert f"led to {daemon.name('shop')}" in udp
    straight = ("published=8449,target=80,mode=host",)
    daemon.sdctl("service", "create", "straight", "--network", "front", "--publish", *straight)
    daemon.sdctl("service", "join", "straight", daemon.name("shop1"))
    host = daemon.sdctl("lb", "trace", f"{HOST}:8449", "--from", near).stdout
    assert f"leads to port 80 of {daemon.name('shop1')}" in host
    assert "connected in" in host
    daemon.sdctl("service", "rm", "straight")
    wrong = daemon.sdctl("lb", "trace", f"{HOST}:9", "--from", near, check=False)
    assert "[SDD-LB-VIP]" in wrong.stderr
    wrong = daemon.sdctl("lb", "trace", "shop:80/icmp", "--from", near, check=False)
    assert wrong.returncode == 2


def test_foreign_rules_and_tables_stay(daemon: Appliance) -> None:
    box = daemon.sandbox("guest", "--network", "front")
    run("ip", "-n", box, "rule", "add", "pref", "77", "fwmark", "7", "lookup", "77")
    run("ip", "-n", box, "route", "add", "10.99.0.0/24", "dev", "eth0", "table", "77")
    run("ip", "netns", "exec", box, "nft", "add", "table", "inet", "theirs")

    def foreign() -> str:
        rules = run("ip", "-n", box, "rule").stdout
        tables = run("ip", "netns", "exec", box, "nft", "list", "tables").stdout
        return rules + run("ip", "-n", box, "route", "show", "table", "77").stdout + tables

    before = foreign()
    daemon.sdctl("service", "join", "shop", box)
    assert "24000" in foreign()
    assert "77" in foreign()
    daemon.sdctl("service", "leave", "shop", box, "--drain", "0s")
    assert foreign() == before
    assert "ing0" not in run("ip", "-n", box, "link").stdout
    daemon.sdctl("sandbox", "rm", box)


def test_an_adopted_namespace_without_ipv6_is_reached_all_the_same(daemon: Appliance) -> None:
    """As Docker makes them for containers on IPv4 networks."""
    name = f"{daemon.host}-guest"
    run("ip", "netns", "add", name)
    try:
        off = [f"net.ipv6.conf.{each}.disable_ipv6=1" for each in ("all", "default")]
        run("ip", "netns", "exec", name, "sysctl", "-qw", *off)
        box, path = daemon.name("docked"), f"/run/netns/{name}"
        daemon.sdctl("service", "create", "docked", "--network", "front", "--publish", "8650:80")
        daemon.sdctl("sandbox", "attach", box, "--netns", path, "--service", "docked")
        command = ("ip", "netns", "exec", name, sys.executable, "-m", "http.server", "80")
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as web:
            until(lambda: "Directory listing" in get(f"http://{HOST}:8650/"), 60, "it answers")
            web.kill()
        daemon.sdctl("sandbox", "rm", box)
        daemon.sdctl("service", "rm", "docked")
        left = run("ip", "-n", name, "-br", "link").stdout + run("ip", "-n", name, "rule").stdout
        assert "ing0" not in left
        assert "24000" not in left
        assert "sdd" not in run("ip", "netns", "exec", name, "nft", "list", "tables").stdout
    finally:
        run("ip", "netns", "del", name)


def test_kill_9_under_load_loses_nothing(daemon: Appliance) -> None:
    loop = f"for i in $(seq 60); do curl -sf -m60 http://{HOST}:8440/ || echo lost; done"
    long = ("ip", "netns", "exec", CLIENT, sys.executable, "-c", SLOW, HOST, "8440")
    command, lost = ("ip", "netns", "exec", CLIENT, "sh", "-c", loop), asked_again(CLIENT)
    with subprocess.Popen(long, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as live:
        assert live.stdout is not None
        assert live.stdout.readline() == "connected\n"
        with subprocess.Popen(command, text=True, stdout=subprocess.PIPE) as load:
            daemon.kill()
            daemon.start()
            said, _ = load.communicate(timeout=600)
        answer, _ = live.communicate("go on\n", timeout=PATIENCE_S)
    assert said.count("hello from") == 60
    assert "lost" not in said
    assert asked_again(CLIENT) == lost
    assert "hello from" in answer
    assert daemon.sdctl("verify").returncode == 0


def test_live_updates_health_weights_and_drain(daemon: Appliance) -> None:
    check = ("--health", "tcp:80", "--health-interval", "0.2s", "--health-timeout", "2s")
    daemon.sdctl("service", "create", "live", "--network", "front", "--scheduler", "wrr", *check)
    servers = {}
    for name in ("live1", "live2"):
        daemon.sandbox(name, "--network", "front", "--service", "live")
        servers[name] = serve(daemon, name)
    daemon.until_replicas("live", "2/2")
    assert visits(8600) == {"curl ends 7"}
    add = ("--publish-add", "8600:80", "--publish-add", "8601:53/udp")
    daemon.sdctl("service", "update", "live", *add)
    assert visits(8600, 6) == {f"hello from {name}, you are {HERE}" for name in servers}
    daemon.sdctl("service", "set-weight", "live", daemon.name("live1"), "5")
    many = [get(f"http://{HOST}:8600/").split()[2] for _ in range(12)]
    assert many.count("live1,") == 10
    servers["live1"].kill()
    daemon.until_replicas("live", "1/2")
    assert visits(8600) == {f"hello from live2, you are {HERE}"}
    servers["live2"].kill()
    daemon.until_replicas("live", "0/2")
    assert visits(8600, 2) == {"curl ends 7"}
    remove = ("--publish-rm", "80/tcp", "--publish-rm", "53/udp", "--drain", "0s")
    daemon.sdctl("service", "update", "live", *remove)
    for name in servers:
        assert "ing0" not in daemon.inside(name, "ls", "/sys/class/net").stdout
        assert "sdd-ingress" not in daemon.inside(name, "nft", "list", "tables").stdout
        assert "2400" not in daemon.inside(name, "ip", "rule").stdout
        daemon.sdctl("sandbox", "rm", daemon.name(name))
    daemon.sdctl("service", "rm", "live")
    assert daemon.sdctl("verify").returncode == 0


def test_U6_a_drained_member_keeps_its_connection_and_gets_no_new_one(daemon: Appliance) -> None:
    box = daemon.sandbox("leaver", "--network", "front")
    daemon.serve("leaver")
    daemon.sdctl("service", "create", "drainy", "--network", "front", "--publish", "8610:80")
    daemon.sdctl("service", "join", "drainy", box)
    long = ("ip", "netns", "exec", CLIENT, sys.executable, "-c", SLOW, HOST, "8610")
    with subprocess.Popen(long, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as live:
        assert live.stdout is not None
        assert live.stdout.readline() == "connected\n"
        leave = ("service", "leave", "drainy", box, "--drain", "10m")
        leaving = subprocess.Popen([str(BIN / "sdctl"), "-H", daemon.url, *leave])
        until(lambda: visits(8610, 1) == {"curl ends 7"}, PATIENCE_S, "it takes nothing new")
        assert visits(8610, 20) == {"curl ends 7"}
        assert leaving.poll() is None
        answer, _ = live.communicate("go on\n", timeout=PATIENCE_S)
        assert "hello from leaver" in answer
        assert leaving.wait(PATIENCE_S) == 0
    daemon.sdctl("service", "rm", "drainy")
    daemon.sdctl("sandbox", "rm", box)


@pytest.mark.parametrize("change", ["removed", "led straight"])
def test_U6_whoever_is_connected_stays_when_the_last_port_goes(
    daemon: Appliance, change: str
) -> None:
    name = "keeper" if change == "removed" else "mover"
    box = daemon.sandbox(name, "--network", "front")
    daemon.serve(name)
    options = ("--network", "front", "--publish", "8620:80", "--drain", DRAIN)
    daemon.sdctl("service", "create", "kept", *options)
    daemon.sdctl("service", "join", "kept", box)
    only = ("service", "update", "kept", "--publish-rm", "8620:80")
    local = ("--publish-add", "published=8620,target=80,policy=local")
    long = ("ip", "netns", "exec", CLIENT, sys.executable, "-c", SLOW, HOST, "8620")
    with (
        subprocess.Popen(long, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as live,
        subprocess.Popen(
            long,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as late,
    ):
        for each in (live, late):
            assert each.stdout is not None
            assert each.stdout.readline() == "connected\n"
        daemon.sdctl(*only, *(local if change == "led straight" else ()))
        answer, _ = live.communicate("go on\n", timeout=PATIENCE_S)
        assert f"hello from {name}" in answer
        news = {"curl ends 7"} if change == "removed" else {f"hello from {name}, you are {HERE}"}
        assert visits(8620) == news
        until(
            lambda: "ing0" not in daemon.inside(name, "ls", "/sys/class/net").stdout,
            PATIENCE_S,
            "the way through ingress is gone",
        )
        _, told = late.communicate("go on\n", timeout=PATIENCE_S)  # who stayed longer is told so
        assert "ConnectionResetError" in told
    assert visits(8620) == news
    assert daemon.sdctl("verify").returncode == 0
    daemon.sdctl("service", "rm", "kept")
    daemon.sdctl("sandbox", "rm", box)


def test_U4_a_flow_that_never_pauses_moves_when_its_backend_goes(daemon: Appliance) -> None:
    daemon.sdctl("service", "create", "talk", "--network", "front", "--publish", "8621:53/udp")
    for name in ("talk1", "talk2"):
        daemon.sandbox(name, "--network", "front", "--service", "talk")
        serve(daemon, name)

    def same() -> str:
        """From the same source port every time."""
        command = ("ip", "netns", "exec", CLIENT, sys.executable, "-c", ASK, HOST, "8621", "60")
        return run(*command).stdout.split()[0]

    first = same()
    assert same() == first
    daemon.sdctl("sandbox", "rm", daemon.name(first))
    (second,) = {"talk1", "talk2"} - {first}
    assert same() == second
    daemon.sdctl("sandbox", "rm", daemon.name(second))
    daemon.sdctl("service", "rm", "talk")


def test_policies_on_one_service(daemon: Appliance) -> None:
    publish = ["--publish", "8630:80"]
    for policy, number, target in (("snat", 8631, 54), ("local", 8632, 80)):
        udp = ",protocol=udp" if policy == "snat" else ""
        publish += ["--publish", f"published={number},target={target},policy={policy}{udp}"]
    daemon.sdctl("service", "create", "mixed", "--network", "front", *publish)
    daemon.sandbox("mixed1", "--network", "front", "--service", "mixed")
    serve(daemon, "mixed1")
    assert visits(8630, 1) == visits(8632, 1) == {f"hello from mixed1, you are {HERE}"}
    assert ask(8631) == "mixed1 [::ffff:ac12:0001]"
    listed = daemon.on_host("nft", "list", "map", "inet", "sdd-ports", "to_any4").stdout
    assert "tcp . 8632 : 10.77.0." in listed  # local: straight to the member
    daemon.sdctl("sandbox", "rm", daemon.name("mixed1"))
    daemon.sdctl("service", "rm", "mixed")


def test_47_44_the_last_port_takes_everything_along() -> None:
    with appliance("lasting") as one:
        one.sdctl("network", "create", "front")
        before = traces(one)
        one.sdctl("service", "create", "web", "--network", "front", "--publish", "8080:80")
        box = one.sandbox("web1", "--network", "front", "--service", "web")
        empty = one.inside("web1", "ip", "rule").stdout
        assert "24000" in empty
        assert traces(one) != before
        one.sdctl("service", "rm", "web")
        assert "24000" not in one.inside("web1", "ip", "rule").stdout
        assert "sdd" not in one.inside("web1", "nft", "list", "tables").stdout.replace(
            "sdd-dns", ""
        )
        one.sdctl("sandbox", "rm", box)
        until(lambda: traces(one) == before, PATIENCE_S, lambda: f"{before}, not {traces(one)}")


def traces(one: Appliance) -> list[str]:
    """What there is of us on the host, and who."""
    links = one.on_host("ls", "/sys/class/net").stdout
    routes = one.on_host("ip", "route").stdout + one.on_host("ip", "-6", "route").stdout
    tables = one.on_host("nft", "list", "tables").stdout
    spaces = sorted(path.name for path in Path(one.root).glob("exec/netns/*"))
    names = one.sdctl("network", "ls", "-o", "name").stdout + one.sdctl("sandbox", "ls").stdout
    return [links, routes.replace(" linkdown", ""), tables, *spaces, names]
