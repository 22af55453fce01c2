import pytest

from sdd.cli import lb
from tests.unit.sdd.cli.typed import Shell


@pytest.fixture
def balanced(shell: Shell) -> Shell:
    for name in ("a", "b"):
        shell.ok("sandbox", "create", name)
    shell.appliance.rows = {"a": ["web"], "b": ["db"]}
    return shell


def test_the_kernels_rows_in_ipvsadms_columns(balanced: Shell) -> None:
    head, *rows = balanced.ok("lb", "ls").out.splitlines()
    words = "SANDBOX SERVICE PROT LOCAL ADDRESS SCHEDULER REMOTE ADDRESS FORWARD WEIGHT"
    assert head.split() == f"{words} ACTIVECONN INACTCONN".split()
    assert [row.split() for row in rows] == [
        ["a", "web", "tcp", "10.1.0.2", "rr", "10.1.0.3", "Masq", "1", "0", "2"],
        ["b", "db", "tcp", "10.1.0.2", "rr", "10.1.0.3", "Masq", "1", "0", "2"],
    ]


def test_one_sandbox(balanced: Shell) -> None:
    assert balanced.ok("lb", "ls", "--from", "b").out.count("\n") == 2
    assert balanced("lb", "ls", "--from", "nobody").code == 1


def test_one_service(balanced: Shell) -> None:
    balanced.ok("network", "create", "front")
    for name in ("web", "db"):
        balanced.ok("service", "create", name, "--network", "front")
    (row,) = balanced.ok("lb", "ls", "db").out.splitlines()[1:]
    assert row.split()[:2] == ["b", "db"]
    assert balanced("lb", "ls", "nobody").code == 1


def test_who_serves_stands_by_the_service_where_it_differs() -> None:
    row = {"Service": "web", "Serving": "backups"}
    assert lb._service(row) == "web (backups)"
    assert lb._service(row | {"Serving": ""}) == "web"
    assert lb._service({"Service": "", "Serving": ""}) == "-"


def test_counts_and_rates_and_a_dash_where_nobody_counts(balanced: Shell) -> None:
    stats = balanced.ok("lb", "ls", "--from", "a", "--stats").out.splitlines()
    assert stats[0].split()[-5:] == ["CONNS", "INPKTS", "OUTPKTS", "INBYTES", "OUTBYTES"]
    assert stats[1].split()[-5:] == ["4", "40", "-", "400", "-"]
    rates = balanced.ok("lb", "ls", "--from", "a", "--rate").out.splitlines()
    assert rates[0].split()[-5:] == ["CPS", "INPPS", "OUTPPS", "INBPS", "OUTBPS"]
    assert rates[1].split()[-5:] == ["7"] * 5
    assert balanced("lb", "ls", "--rate", "--stats").code == 2
