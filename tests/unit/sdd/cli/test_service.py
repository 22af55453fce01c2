import pytest

from sdd.model import health
from tests.unit.sdd.cli.typed import Shell


@pytest.fixture
def web(shell: Shell) -> Shell:
    shell.ok("network", "create", "lab")
    for name in ("w1", "w2"):
        shell.ok("sandbox", "create", name, "--network", "lab")
    return shell


async def test_a_service_and_its_backends(web: Shell) -> None:
    made = web.ok(
        *("service", "create", "web", "--network", "lab", "--vip", "10.200.0.99"),
        *("--scheduler", "rr", "--health", "tcp:80", "--health-interval", "0.5s"),
        *("--health-timeout", "250ms", "--health-rise", "1", "--health-fall", "5"),
        *("--drain", "1m", "--persistence", "2m", "--alias", "www", "--label", "k=v"),
    ).out.strip()
    (seen,) = web.ok("service", "inspect", "web").json()
    assert seen["Id"] == made
    assert seen["Health"] == {
        "Kind": "tcp",
        "Port": 80,
        "Interval": 0.5,
        "Timeout": 0.25,
        "Rise": 1,
        "Fall": 5,
    }
    assert (seen["VIPs"], seen["Aliases"]) == (["10.200.0.99"], ["www"])
    web.ok("service", "join", "web", "w1", "--weight", "3")
    web.ok("service", "join", "web", "w2")
    desk = web.appliance.desk
    (svc,) = desk.state.services.values()
    first = desk.state.members_by_service[svc.id][0]
    await desk.record_verdict(svc.id, first.endpoint, health.Status.UP, "")
    head, row = web.ok("service", "ls").out.splitlines()
    assert head.split() == ["ID", "NAME", "MODE", "REPLICAS", "VIP", "PORTS"]
    assert row.split() == [made[:12], "web", "vip", "1/2", "10.200.0.99"]
    assert web.ok("service", "ls", "-o", "json").json()[0]["Replicas"] == "1/2"
    assert web.ok("service", "ps", "web").out.count("starting") == 1
    web.ok("service", "set-weight", "web", "w2", "0")
    weights = {
        row["Sandbox"]: row["Weight"] for row in web.ok("service", "ps", "web", "-o", "json").json()
    }
    assert weights == {"w1": 3, "w2": 0}
    web.ok("service", "leave", "web", "w1")
    web.ok("service", "leave", "web", "w2", "--drain", "90s")
    assert desk.patience == [10.0, 90.0]
    assert web("service", "leave", "web", "w1").code == 1
    assert web.ok("service", "rm", "web").out == "web\n"


@pytest.mark.parametrize(
    ("argv", "word"),
    [
        ((), "--network"),
        (("--network", "lab", "--scheduler", "best"), "best"),
        (("--network", "lab", "--health", "tcp:0"), "tcp:0"),
        (("--network", "lab", "--health", "tcp:65536"), "65536"),
        (("--network", "lab", "--health", "http://:80/"), "not built yet"),
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
