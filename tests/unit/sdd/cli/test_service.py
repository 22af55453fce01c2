from dataclasses import replace
from ipaddress import ip_network

import pytest

from sdd.model import health, network
from sdd.state import Put
from tests.unit.sdd.cli.typed import Shell


@pytest.fixture
def web(shell: Shell) -> Shell:
    shell.ok("network", "create", "lab")
    for name in ("w1", "w2"):
        shell.ok("sandbox", "create", name, "--network", "lab")
    return shell


async def test_a_service_and_its_backends(web: Shell) -> None:
    made = web.ok(
        *(
            "service",
            "create",
            "web",
            "--network",
            "lab",
            "--vip",
            "10.200.0.99",
            "--vip",
            "fd00::99",
        ),
        *("--scheduler", "rr", "--health", "tcp:80", "--health-interval", "0.5s"),
        *("--health-timeout", "250ms", "--health-rise", "1", "--health-fall", "5"),
        *("--drain", "1m", "--persistence", "120", "--alias", "www", "--label", "k=v"),
    ).out.strip()
    (seen,) = web.ok("service", "inspect", "web").json()
    assert seen["Id"] == made
    assert seen["Health"] == {
        "Kind": "tcp",
        "Port": 80,
        "Interval": 0.5,
        "FastInterval": 0.25,
        "Timeout": 0.25,
        "Rise": 1,
        "Fall": 5,
    }
    assert (seen["VIPs"], seen["Aliases"]) == (["10.200.0.99", "fd00::99"], ["www"])
    assert seen["Persistence"] == 120
    web.ok("service", "join", "web", "w1", "--weight", "3")
    web.ok("service", "join", "web", "w2")
    desk = web.appliance.desk
    (svc,) = desk.state.services.values()
    first = desk.state.members_by_service[svc.id][0]
    await desk.record_verdict(svc.id, first.endpoint, health.Said(health.Status.UP, ""))
    head, row = web.ok("service", "ls").out.splitlines()
    assert head.split() == ["ID", "NAME", "MODE", "REPLICAS", "VIP", "PORTS"]
    assert row.split() == [made[:12], "web", "vip", "1/2", "10.200.0.99,", "fd00::99"]
    assert web.ok("service", "ls", "-o", "json").json()[0]["Replicas"] == "1/2"
    assert web.ok("service", "ps", "web").out.count("starting") == 1
    web.ok("service", "set-weight", "web", "w2", "0")
    weights = {
        row["Sandbox"]: row["Weight"] for row in web.ok("service", "ps", "web", "-o", "json").json()
    }
    assert weights == {"w1": 3, "w2": 0}
    web.ok("service", "leave", "web", "w1")
    web.ok("service", "leave", "web", "w2", "--drain", "90s")
    assert desk.patience == [60.0, 90.0]
    assert web("service", "leave", "web", "w1").code == 1
    assert web.ok("service", "rm", "web").out == "web\n"


async def test_a_member_that_is_up_and_fails_somewhere_says_where(web: Shell) -> None:
    web.ok("service", "create", "web", "--network", "lab", "--health", "tcp:80")
    web.ok("service", "join", "web", "w1")
    desk = web.appliance.desk
    ((of, end),) = desk.state.members
    reason = "published ports, IPv6: connection refused"
    await desk.record_verdict(of, end, health.Said(health.Status.UP, reason, (), (6,)))
    assert reason in web.ok("service", "ps", "web").out
    (row,) = web.ok("service", "ps", "web", "-o", "json").json()
    assert (row["State"], row["Failing"], row["IngressFailing"]) == ("up", [], [6])
    await desk.record_verdict(of, end, health.Said(health.Status.UP, "connected"))
    assert "connected" not in web.ok("service", "ps", "web").out


async def test_a_member_that_cannot_be_checked_says_why(web: Shell) -> None:
    web.ok("service", "create", "web", "--network", "lab", "--health", "tcp:80")
    web.ok("service", "join", "web", "w1")
    desk = web.appliance.desk
    ((of, end),) = desk.state.members
    await desk.record_verdict(of, end, health.Said(health.Status.UP, "connected"))
    web.appliance.unchecked[of, end] = "too many open files"
    shown = web.ok("service", "ps", "web").out
    assert "cannot be checked: too many open files" in shown
    assert "connected" not in shown
    ((row,), (svc,)) = (
        web.ok("service", *verb, "-o", "json").json()
        for verb in (("ps", "web"), ("inspect", "web"))
    )
    assert row == svc["Members"][0]
    assert (row["State"], row["Unchecked"]) == ("up", "too many open files")
    await desk.record_verdict(of, end, health.Said(health.Status.DOWN, "refused"))
    assert "refused; cannot be checked: too many" in web.ok("service", "ps", "web").out


async def test_a_service_that_nobody_reaches_is_made_with_a_warning(web: Shell) -> None:
    web.ok("network", "create", "alone", "-o", "com.docker.network.bridge.enable_icc=false")
    assert "enable_icc=false" in web.ok("service", "create", "api", "--network", "alone").err
    assert web.ok("service", "create", "plain", "--network", "lab").err == ""


async def test_who_serves_is_told_by_ip_version_where_that_differs(web: Shell) -> None:
    web.ok("service", "create", "web", "--network", "lab", "--health", "tcp:80")
    web.ok("service", "join", "web", "w1")
    web.ok("service", "join", "web", "w2", "--backup")
    desk = web.appliance.desk
    (lab,) = (each for each in desk.state.networks.values() if each.name == "lab")
    both = map(ip_network, ("10.200.0.0/24", "fd21::/64"))
    pools = tuple(network.Pool(subnet=each) for each in both)
    desk.state = desk.state.apply(desk.state.revision, [Put(replace(lab, pools=pools))])
    for failing, by, roles in (
        ((6,), {"IPv4": "members", "IPv6": "backups"}, ["member (IPv4)", "backup (IPv6)"]),
        ((), {}, ["member ", "backup "]),
    ):
        for (of, end), one in desk.state.members.items():
            said = health.Said(health.Status.UP, "", () if one.backup else failing)
            await desk.record_verdict(of, end, said)
        (seen,) = web.ok("service", "inspect", "web").json()
        assert (seen["Serving"], seen["ServingBy"]) == ("members", by)
        lines = web.ok("service", "ps", "web").out.splitlines()[1:]
        assert [role in line for line, role in zip(lines, roles, strict=True)] == [True, True]
        assert [" (IPv" in line for line in lines] == [bool(by)] * 2


async def test_an_update_sends_what_was_given_and_no_more(web: Shell) -> None:
    health = ("--health", "http://:80/ok", "--health-rise", "4")
    web.ok("service", "create", "web", "--network", "lab", *health, "--label", "a=1")
    done = web.ok(
        *("service", "update", "web", "--scheduler", "rr", "--health-interval", "5s"),
        *("--alias-add", "www", "--label-add", "b=2", "--label-rm", "a", "--weight", "8"),
        *("--drain", "0s"),
    )
    assert done.out == "web\n"
    (seen,) = web.ok("service", "inspect", "web").json()
    assert (seen["Scheduler"], seen["Aliases"], seen["Labels"]) == ("rr", ["www"], {"b": "2"})
    assert (seen["Drain"], seen["Weight"]) == (0.0, 8)
    check = seen["Health"]
    found = (check["Kind"], check["Path"], check["Rise"], check["Interval"])
    assert found == ("http", "/ok", 4, 5.0)
    web.ok("service", "update", "web", "--health", "none")
    assert web.ok("service", "inspect", "web").json()[0]["Health"]["Kind"] == "none"
    web.ok("service", "join", "web", "w1")
    assert web.ok("service", "ps", "web", "-o", "json").json()[0]["Weight"] == 8


def test_an_update_of_nothing_is_exit_2(web: Shell) -> None:
    web.ok("service", "create", "web", "--network", "lab")
    done = web("service", "update", "web")
    assert (done.code, done.out) == (2, "")
    assert "nothing to change" in done.err


@pytest.mark.parametrize(
    ("argv", "word"),
    [
        ((), "--network"),
        (("--network", "lab", "--health", "tcp:0"), "tcp:0"),
        (("--network", "lab", "--health", "tcp:65536"), "65536"),
        (("--network", "lab", "--health", "http://:0/"), "http://:0/"),
        (("--network", "lab", "--health", "http://web/"), "http://web/"),
        (("--network", "lab", "--health", "gopher:70"), "gopher:70"),
        (("--network", "lab", "--health", "dns:53"), "dns:53"),
        (("--network", "lab", "--health", "tcp:80/x"), "tcp:80/x"),
        (("--network", "lab", "--health", "ttl:soon"), "soon"),
        (("--network", "lab", "--health-status", "ok"), '"ok"'),
        (("--network", "lab", "--vip", "300.1.1.1"), "300.1.1.1"),
        (("--network", "lab", "--drain", "10"), '"10"'),
        (("--network", "lab", "--endpoint-mode", "mesh"), "mesh"),
        (("--network", "lab", "--health-rise", "0"), "0"),
    ],
)
def test_a_wrong_option_is_exit_2(web: Shell, argv: tuple[str, ...], word: str) -> None:
    done = web("service", "create", "s", *argv)
    assert (done.code, done.out) == (2, "")
    assert word in done.err


def test_a_weight_out_of_range_is_exit_2(web: Shell) -> None:
    web.ok("service", "create", "web", "--network", "lab")
    assert web("service", "join", "web", "w1", "--weight", "65536").code == 2
    assert web("service", "set-weight", "web", "w1", "-1").code == 2


@pytest.mark.parametrize(
    ("word", "shown"),
    [
        ("http://:8080/ready", {"Kind": "http", "Port": 8080, "Path": "/ready"}),
        ("https://web.test:443", {"Kind": "https", "Port": 443, "Host": "web.test", "Path": "/"}),
        ("tls:853/dns.test", {"Kind": "tls", "Port": 853, "Host": "dns.test"}),
        ("tls:853", {"Kind": "tls", "Port": 853}),
        ("udp:123", {"Kind": "udp", "Port": 123}),
        ("dns:53/web.test", {"Kind": "dns", "Port": 53, "Host": "web.test"}),
        ("ttl:30s", {"Kind": "ttl", "TTL": 30.0}),
        ("exec:test -e /run/ok", {"Kind": "exec", "Command": "test -e /run/ok"}),
        ("none", {"Kind": "none"}),
    ],
)
def test_a_check_in_one_word_is_kind_port_and_the_rest(
    web: Shell, word: str, shown: dict[str, object]
) -> None:
    web.ok("service", "create", "s", "--network", "lab", "--health", word)
    (seen,) = web.ok("service", "inspect", "s").json()
    times = {"Interval", "FastInterval", "Timeout", "Rise", "Fall"}
    assert {key: value for key, value in seen["Health"].items() if key not in times} == shown


def test_a_member_reports_its_health(web: Shell) -> None:
    web.ok("service", "create", "web", "--network", "lab", "--health", "ttl:30s")
    web.ok("service", "join", "web", "w1")
    web.ok("service", "report", "web", "w1", "fail", "--reason", "queue full")
    ((_, passed, reason),) = web.appliance.reports
    assert (passed, reason) == (False, "queue full")
    assert web("service", "report", "web", "w2", "pass").code == 1
    assert web("service", "report", "web", "w1", "maybe").code == 2
