from importlib.metadata import version
from pathlib import Path

import pytest

from sdd.cli import doctor
from sdd.cli.probes import daemon, host, kernel
from sdd.cli.probes.finding import TOPICS, Finding, Verdict, passed
from sdd.model import progress
from tests.unit.sdd.cli.typed import Shell

BROKEN = Finding(
    "kernel.ipvs",
    Verdict.WARN,
    "IPVS is missing",
    "why\x1b",
    "now",
    "fix",
    ("true", "modprobe-not"),
)


@pytest.fixture
def quiet(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """No kernel and no host: what they find is told by the test."""
    monkeypatch.setattr(kernel, "findings", lambda: iter([BROKEN]))
    monkeypatch.setattr(host, "findings", lambda: iter([passed("host.files", "enough")]))
    shell.appliance.desk.realised()
    return shell


def test_each_finding_is_a_line_with_what_follows(quiet: Shell) -> None:
    done = quiet.ok("doctor")
    assert done.out.splitlines()[:5] == [
        "WARN  kernel.ipvs       IPVS is missing",
        "      why  why\\x1b",
        "      now  now",
        "      fix  fix",
        "PASS  host.files        enough",
    ]
    assert "daemon.socket" in done.out


def test_only_chooses_by_area(quiet: Shell) -> None:
    assert quiet.ok("doctor", "--only", "host").out.count("\n") == 1
    assert "kernel" not in quiet.ok("doctor", "--only", "daemon").out
    assert quiet("doctor", "--only", "weather").code == 2


def test_only_chooses_by_topic_wherever_it_is_looked_for(quiet: Shell) -> None:
    def names(topic: str) -> set[str]:
        return {row["Name"] for row in quiet.ok("doctor", "--only", topic, "-o", "json").json()}

    assert names("lb") == {"kernel.ipvs", "daemon.refusals"}
    assert names("dns") == {
        f"daemon.{each}"
        for each in ("search", "files", "hiding", "records", "servers", "upstreams")
    }


def test_every_name_of_a_topic_is_one_of_a_finding() -> None:
    named = {name for names in TOPICS.values() for name in names}
    here = {each.name for each in kernel.FACILITIES}
    source = Path(daemon.__file__).read_text() + Path(host.__file__).read_text()
    assert all(name in here or f'"{name}"' in source for name in named)


def test_for_programs(quiet: Shell) -> None:
    rows = {row["Name"]: row for row in quiet.ok("doctor", "-o", "json").json()}
    assert rows["kernel.ipvs"]["Commands"] == ["true", "modprobe-not"]
    assert rows["daemon.state"]["Verdict"] == "PASS"
    expected = "PASS" if version("sdd") == "0.0-test" else "WARN"
    assert rows["daemon.version"]["Verdict"] == expected


def test_fix_prints_and_with_yes_runs(quiet: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    assert quiet.ok("doctor", "--only", "kernel", "--fix").out == "true\nmodprobe-not\n"
    ran = BROKEN._replace(commands=("true", "false", "true"))
    monkeypatch.setattr(kernel, "findings", lambda: iter([ran]))
    done = quiet("doctor", "--only", "kernel", "--fix", "--yes")
    assert (done.code, done.out) == (1, "true\nfalse\n")
    assert '"false" failed' in done.err


def test_a_failure_is_exit_1(quiet: Shell) -> None:
    failure = progress.Failure(subject="x", sentence="link is gone", hint="look", code="SDD-X")
    quiet.appliance.desk.realised(failure)
    done = quiet("doctor", "--only", "daemon")
    assert done.code == 1
    assert "link is gone" in done.out


def test_no_daemon_is_one_failure(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from sdd.cli import root

    assert root.run(["-H", "unix:///run/nobody/s", "doctor", "--only", "daemon"]) == 1
    out = capsys.readouterr().out
    assert out.startswith("FAIL  daemon.socket")
    assert doctor.AREAS[-1] == "daemon"


def test_A8_113_a_search_list_with_ndots_0_is_told_for_musl(quiet: Shell) -> None:
    def finding() -> dict[str, str]:
        rows = quiet.ok("doctor", "--only", "daemon", "-o", "json").json()
        return next(row for row in rows if row["Name"] == "daemon.search")

    quiet.ok("network", "create", "plain")
    quiet.ok("sandbox", "create", "none", "--network", "plain", "--dns-search", ".")
    search = ("--network", "plain", "--dns-search", "corp.example")
    quiet.ok("sandbox", "create", "dots", *search, "--dns-opt", "ndots:2")
    assert finding()["Verdict"] == "PASS"
    quiet.ok("sandbox", "create", "zero", *search)
    assert (finding()["Verdict"], "zero" in finding()["Says"]) == ("WARN", True)
    assert "musl" in finding()["Why"]
    quiet.ok("sandbox", "rm", "zero")
    quiet.ok("network", "create", "searching", "--dns-search", "corp.example")
    quiet.ok("sandbox", "create", "joined", "--network", "searching")
    assert "joined" in finding()["Says"]


def test_records_that_lead_nowhere_are_found(quiet: Shell) -> None:
    def lines() -> list[str]:
        return quiet.ok("doctor", "--only", "daemon").out.splitlines()

    quiet.ok("network", "create", "lab")
    quiet.ok("dns", "record", "add", "lab", "db", "A", "192.0.2.9")
    quiet.ok("dns", "record", "add", "lab", "www", "CNAME", "db")
    assert "PASS  daemon.records    every record leads to a name that its network has" in lines()
    quiet.ok("dns", "record", "rm", "lab", "db")
    assert (
        "WARN  daemon.records    1 records lead to names that their networks do not have;"
        " the first: www CNAME db of network lab"
    ) in lines()
    (row,) = quiet.ok("dns", "record", "ls", "-o", "json").json()
    assert row["Warning"].startswith("db is no name of network lab")


def test_a_network_called_like_a_public_domain_is_found(quiet: Shell) -> None:
    made = quiet.ok("network", "create", "dev")
    assert made.err.startswith("Warning: dev is also a public top-level domain")
    assert len(made.out.strip()) == 64
    assert "WARN  daemon.hiding     networks are in the way of names of others: dev" in (
        quiet.ok("doctor", "--only", "daemon").out
    )
