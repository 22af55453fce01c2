"""Services on real traffic: spread, health, the client's address, a backend's own call."""

import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.appliance import BIN, Appliance, until

SELDOM = ("--health-interval", "1h", "--health-timeout", "30s")


@pytest.fixture(scope="module", autouse=True)
def web(daemon: Appliance) -> None:
    daemon.sdctl("network", "create", "front")
    for name in ("web1", "web2", "web3", "client"):
        daemon.sandbox(name, "--network", "front")
    daemon.sdctl(
        "service",
        "create",
        "web",
        "--network",
        "front",
        "--scheduler",
        "rr",
        "--health",
        "tcp:80",
        "--health-interval",
        "0.3s",
        "--health-timeout",
        "10s",
    )
    for name in ("web1", "web2", "web3"):
        daemon.serve(name)
        daemon.sdctl("service", "join", "web", daemon.name(name))
    daemon.until_replicas("web", "3/3", 60)


def calls(daemon: Appliance, count: int, sandbox: str = "client") -> list[str]:
    loop = f"for i in $(seq {count}); do curl -s --max-time 10 http://web/ || exit 1; done"
    return daemon.inside(sandbox, "sh", "-c", loop).stdout.splitlines()


def addresses(daemon: Appliance, name: str, sandbox: str = "client") -> set[str]:
    out = daemon.sdctl("dns", "query", name, "--from", daemon.name(sandbox), "--short", check=False)
    return set(out.stdout.split())


def test_B9_01_round_robin_gives_each_backend_its_share(daemon: Appliance) -> None:
    answers = calls(daemon, 30)
    shares = {
        name: sum(f"from {name}," in line for line in answers) for name in ("web1", "web2", "web3")
    }
    assert sum(shares.values()) == 30
    assert all(share >= 3 for share in shares.values()), shares


def test_the_backend_sees_the_clients_own_address(daemon: Appliance) -> None:
    (client,) = daemon.json("sandbox", "inspect", daemon.name("client"))
    own = next(iter(client["Networks"].values()))["IPAddress"]
    assert all(
        re.search(rf"you are (::ffff:)?{re.escape(own)}$", line) for line in calls(daemon, 6)
    )


def test_a_backend_calls_its_own_virtual_ip(daemon: Appliance) -> None:
    answers = calls(daemon, 12, "web1")
    assert len(answers) == 12
    assert any("from web1," in line for line in answers)
    assert any("from web1," not in line for line in answers)


def test_the_name_is_the_vip_and_tasks_are_the_backends(daemon: Appliance) -> None:
    (service,) = daemon.json("service", "inspect", "web")
    assert addresses(daemon, "web") == {service["VIPs"][0]}
    assert len(addresses(daemon, "tasks.web")) == 3


def test_ping_to_the_vip_answers(daemon: Appliance) -> None:
    assert daemon.inside("client", "ping", "-c1", "-W20", "web").returncode == 0


def test_B9_17_A8_11_a_dead_backend_leaves_the_vip_and_the_names(daemon: Appliance) -> None:
    daemon.sandbox("web4", "--network", "front")
    process = daemon.serve("web4")
    daemon.sdctl("service", "join", "web", daemon.name("web4"))
    daemon.until_replicas("web", "4/4", 60)
    process.kill()
    daemon.until_replicas("web", "3/4", 60)
    assert len(addresses(daemon, "tasks.web")) == 3
    answers = calls(daemon, 24)
    assert len(answers) == 24
    assert not any("from web4," in line for line in answers)
    daemon.sdctl("service", "leave", "web", daemon.name("web4"))
    daemon.until_replicas("web", "3/3", 60)


def test_removing_the_service_frees_its_vip_and_its_name(daemon: Appliance) -> None:
    daemon.sdctl("service", "create", "brief", "--network", "front")
    assert addresses(daemon, "brief")
    (service,) = daemon.json("service", "inspect", "brief")
    daemon.sdctl("service", "rm", "brief")
    assert not addresses(daemon, "brief")
    daemon.sdctl("service", "create", "brief2", "--network", "front", "--vip", service["VIPs"][0])
    daemon.sdctl("service", "rm", "brief2")


def test_B9_05_leaving_waits_for_live_connections_and_no_longer(daemon: Appliance) -> None:
    daemon.sandbox("web5", "--network", "front")
    daemon.sdctl("service", "create", "calm", "--network", "front", "--drain", "10m")
    daemon.serve("web5")
    daemon.sdctl("service", "join", "calm", daemon.name("web5"))
    (calm,) = daemon.json("service", "inspect", "calm")
    enter = ("ip", "netns", "exec", daemon.name("client"))
    with subprocess.Popen([*enter, "nc", calm["VIPs"][0], "80"], stdin=subprocess.PIPE) as client:
        until(lambda: connections(daemon, "calm") == [1], 60, "the client is connected")
        leave = (str(BIN / "sdctl"), "-H", daemon.url, "service", "leave", "calm")
        with subprocess.Popen([*leave, daemon.name("web5")]) as leaving:
            until(lambda: states(daemon, "calm") == ["draining"], 60, "the member drains")
            assert connections(daemon, "calm") == [1]
            assert leaving.poll() is None
            client.terminate()
            assert leaving.wait(60) == 0
    assert states(daemon, "calm") == []
    daemon.sdctl("service", "rm", "calm")


def states(daemon: Appliance, name: str) -> list[str]:
    return [str(each["State"]) for each in daemon.json("service", "ps", name)]


def connections(daemon: Appliance, name: str) -> list[int]:
    rows = daemon.json("lb", "ls", "--from", daemon.name("client"))
    return [row["Active"] for row in rows if row["Service"] == name and row["Protocol"] != "udp"]


def test_B9_29_an_update_touches_no_live_connection(daemon: Appliance) -> None:
    daemon.sdctl("service", "create", "live", "--network", "front", "--scheduler", "rr")
    for name in ("web1", "web2"):
        daemon.sdctl("service", "join", "live", daemon.name(name))
    (live,) = daemon.json("service", "inspect", "live")
    with (
        talking(daemon, "web1"),
        talking(daemon, "web2"),
        dialled(daemon, live["VIPs"][0]) as said,
    ):
        who = said()
        assert who in (b"web1\n", b"web2\n")
        daemon.sdctl("service", "update", "live", "--scheduler", "mh", "--alias-add", "alive")
        assert said() == who
        daemon.sdctl("service", "update", "live", "--health", "tcp:80", "--persistence", "60s")
        assert said() == who
        assert addresses(daemon, "alive") == {live["VIPs"][0]}
        rows = daemon.json("lb", "ls", "--from", daemon.name("client"))
        assert {row["Scheduler"] for row in rows if row["Service"] == "live"} == {"mh"}
    daemon.sdctl("service", "rm", "live")


@contextmanager
def talking(daemon: Appliance, sandbox: str) -> Iterator[None]:
    """`sandbox` says its name for every line it hears on port 7000, for as long as it lasts."""
    command = f"while read line; do echo {sandbox}; done"
    with subprocess.Popen(
        [
            *("ip", "netns", "exec", daemon.name(sandbox)),
            *("socat", "TCP-LISTEN:7000,fork,reuseaddr", f"SYSTEM:{command}"),
        ]
    ) as server:
        until(lambda: ":7000 " in daemon.inside(sandbox, "ss", "-Hltn").stdout, 60, "it listens")
        try:
            yield
        finally:
            server.terminate()


@contextmanager
def dialled(daemon: Appliance, vip: str) -> Iterator[Callable[[], bytes]]:
    """Says a line over one connection, open until the end; gives the line it hears back."""
    with subprocess.Popen(
        ["ip", "netns", "exec", daemon.name("client"), "nc", vip, "7000"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        hears, says = client.stdout, client.stdin

        def said() -> bytes:
            says.write(b"who?\n")
            says.flush()
            return hears.readline()

        try:
            yield said
        finally:
            client.kill()


def test_a_member_whose_link_goes_down_is_down_before_any_check(daemon: Appliance) -> None:
    daemon.sandbox("web6", "--network", "front")
    daemon.serve("web6")
    check = ("--health", "http://:80/", "--health-expect", "web6", *SELDOM)
    daemon.sdctl("service", "create", "far", "--network", "front", *check)
    daemon.sdctl("service", "join", "far", daemon.name("web6"))
    until(lambda: states(daemon, "far") == ["up"], 60, "the member is up")

    def is_cut() -> bool:
        # Again and again: sdd sets the link up at once, maybe before anybody looked at its carrier.
        daemon.inside("web6", "ip", "link", "set", "eth0", "down")
        (row,) = daemon.json("service", "ps", "far")
        return row["State"] == "down" and "link" in row["Reason"]

    until(is_cut, 60, "the cut cable is noticed")
    daemon.sdctl("service", "rm", "far")


def test_why_a_member_is_down_is_told_as_it_is_now(daemon: Appliance) -> None:
    daemon.sandbox("web7", "--network", "front")
    program = daemon.serve("web7")
    check = ("--health", "http://:80/", *SELDOM)
    daemon.sdctl("service", "create", "mended", "--network", "front", *check)
    daemon.sdctl("service", "join", "mended", daemon.name("web7"))
    until(lambda: states(daemon, "mended") == ["up"], 60, "the member is up")
    program.kill()

    def is_cut() -> bool:
        daemon.inside("web7", "ip", "link", "set", "eth0", "down")
        return states(daemon, "mended") == ["down"]

    until(is_cut, 60, "the cut cable is noticed")
    (row,) = daemon.json("service", "ps", "mended")

    def reason() -> str:
        (now,) = daemon.json("service", "ps", "mended")
        assert (now["State"], now["Since"]) == ("down", row["Since"])
        return str(now["Reason"])

    until(lambda: reason() == "connection refused", 60, "the cable is mended, the program is not")
    vip = daemon.json("service", "inspect", "mended")[0]["VIPs"][0]
    traced = daemon.sdctl("lb", "trace", vip, "--from", daemon.name("client")).stdout
    assert "down, connection refused" in traced
    told = daemon.sdctl("events", "--since", "1h", "-f", "event=health_status")
    assert "its link is down or gone" in told.stdout
    daemon.sdctl("service", "rm", "mended")


def test_lb_trace_tells_the_decisions_and_where_a_connection_goes(daemon: Appliance) -> None:
    daemon.sdctl("service", "create", "traced", "--network", "front", "--scheduler", "rr")
    for name in ("web1", "web2"):
        daemon.sdctl("service", "join", "traced", daemon.name(name))
    (seen,) = daemon.json("service", "inspect", "traced")
    vip = seen["VIPs"][0]
    led = set()
    for target in (f"{vip}:80", "traced:80"):
        said = daemon.sdctl("lb", "trace", target, "--from", daemon.name("client")).stdout
        assert f"{vip} is a virtual address of service traced" in said
        assert "50 %" in said
        assert "80/tcp from port" in said
        assert ": connected in" in said
        led.add(said.partition("led to ")[2].split()[0])
    assert led == {daemon.name("web1"), daemon.name("web2")}
    assert "tried" not in daemon.sdctl("lb", "trace", vip, "--from", daemon.name("client")).stdout
    for name in ("web1", "web2"):
        daemon.sdctl("service", "leave", "traced", daemon.name(name), "--drain", "0s")
    for target in (f"{vip}:80", f"{vip}:53/udp"):
        said = daemon.sdctl("lb", "trace", target, "--from", daemon.name("client")).stdout
        assert "connection refused" in said
        assert "led to nobody" in said
        assert "way:" not in said
    wrong = daemon.sdctl("lb", "trace", "10.9.9.9", "--from", daemon.name("client"), check=False)
    assert "[SDD-LB-VIP]" in wrong.stderr
    assert "traced" in wrong.stderr
    daemon.sdctl("service", "rm", "traced")


def test_a_command_beside_the_member_says_how_it_is(daemon: Appliance) -> None:
    asks = 'exec:curl -sf -m20 http://$SDD_ADDRESS/ && test -z "$(find /proc/self/root/etc/shadow -readable)"'
    paces = ("--health-interval", "0.3s", "--health-fall", "1", "--health-timeout", "30s")
    daemon.sdctl("service", "create", "asked", "--network", "front", "--health", asks, *paces)
    daemon.sdctl("service", "join", "asked", daemon.name("web1"))
    until(lambda: states(daemon, "asked") == ["up"], 60, "the command passes")
    daemon.sdctl("service", "update", "asked", "--health", "exec:echo tired; exit 3")
    until(lambda: states(daemon, "asked") == ["down"], 60, "another command fails")
    assert "exit status 3: tired" in daemon.sdctl("service", "ps", "asked").stdout
    daemon.sdctl("service", "rm", "asked")


def test_a_member_with_a_ttl_speaks_for_itself(daemon: Appliance) -> None:
    daemon.sdctl("service", "create", "own", "--network", "front", "--health", "ttl:1h")
    daemon.sdctl("service", "join", "own", daemon.name("web1"))
    assert states(daemon, "own") == ["starting"]
    daemon.sdctl("service", "report", "own", daemon.name("web1"), "pass")
    until(lambda: states(daemon, "own") == ["up"], 60, "the report counts")
    daemon.sdctl("service", "report", "own", daemon.name("web1"), "fail", "--reason", "busy")
    until(lambda: states(daemon, "own") == ["down"], 60, "the report counts")
    daemon.sdctl("service", "rm", "own")
