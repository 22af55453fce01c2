from tests.unit.sdd.api.desk import LbRow
from tests.unit.sdd.cli.conftest import Shell


def test_the_kernels_rows(shell: Shell) -> None:
    for name in ("a", "b"):
        shell.ok("sandbox", "create", name)
    shell.appliance.rows = {"a": [LbRow()], "b": [LbRow(service="db")]}
    head, *rows = shell.ok("lb", "ls").out.splitlines()
    assert head.split()[:3] == ["SANDBOX", "SERVICE", "PROT"]
    assert [row.split()[:2] for row in rows] == [["a", "web"], ["b", "db"]]
    assert shell.ok("lb", "ls", "--from", "b").out.count("\n") == 2
    assert shell("lb", "ls", "--from", "nobody").code == 1
