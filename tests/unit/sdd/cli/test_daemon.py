from sdd.model import progress
from tests.unit.sdd.cli.typed import Shell


def test_status_is_1_until_every_backend_made_a_pass(shell: Shell) -> None:
    assert shell("-o", "name", "status").code == 1
    shell.appliance.desk.realised()
    assert shell.ok("-o", "name", "status").out == "ready\n"
    failure = progress.Failure(subject="x", sentence="link eth0 is gone", code="SDD-KERNEL")
    shell.appliance.desk.realised(failure)
    done = shell.ok("status")
    assert "degraded" in done.out
    assert "link eth0 is gone [SDD-KERNEL]" in done.out
    assert "nftables (this kernel has no IPVS)" in done.out


def test_status_for_programs(shell: Shell) -> None:
    shell.appliance.desk.realised()
    (found,) = shell.ok("status", "-o", "json").json()
    assert (found["State"], found["Revision"], found["Node"]) == ("ready", 0, "here")
    assert [each["Name"] for each in found["Backends"]] == ["netns", "lb", "ports", "resolver"]


def test_status_counts_what_each_backend_repaired(shell: Shell) -> None:
    shell.appliance.desk.realised()
    assert "repaired" not in shell.ok("status").out
    shell.appliance.desk.repaired = {progress.Backend.LB: 3}
    assert "\nlb          ok, at revision 0, 3 repaired since the start\n" in shell.ok("status").out
    (found,) = shell.ok("status", "-o", "json").json()
    assert [each["Repaired"] for each in found["Backends"]] == [0, 3, 0, 0]


def test_version_tells_both_sides(shell: Shell) -> None:
    done = shell.ok("version", "-o", "json").json()
    assert done["Server"]["Version"] == "0.0-test"
    assert "Client: Version" in shell.ok("version").out


def test_status_shows_the_labels_of_the_node_that_hold_now(shell: Shell) -> None:
    shell.appliance.desk.realised()
    assert "\nlabels " not in shell.ok("status").out
    shell.appliance.labels = ("rack=4", "row=b")
    assert "\nlabels      rack=4, row=b\n" in shell.ok("status").out
    assert shell.ok("status", "-o", "json").json()[0]["Labels"] == ["rack=4", "row=b"]
