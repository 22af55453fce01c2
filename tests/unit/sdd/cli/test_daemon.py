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
    assert "\n            x: link eth0 is gone [SDD-KERNEL]\n" in done.out
    assert "nftables (this kernel has no IPVS)" in done.out


def test_status_says_once_what_is_wrong_with_many_and_of_whom(shell: Shell) -> None:
    shell.ok("network", "create", "lab")
    for number in range(4):
        shell.ok("sandbox", "create", f"web{number}", "--network", "lab")
    ends = sorted(each.id for each in shell.appliance.desk.state.endpoints.values())
    taken = [
        progress.Failure(subject=each, sentence="br0 is not ours", hint="remove it", code="SDD-X")
        for each in ends
    ]
    whole = progress.Failure(subject=progress.EVERYTHING, sentence="no table", code="SDD-Y")
    shell.appliance.desk.realised(*taken, whole)
    lines = [each.strip() for each in shell.ok("status").out.splitlines()]
    (at,) = (at for at, each in enumerate(lines) if each.startswith("netns       5 failed"))
    assert lines[at + 1].startswith("endpoint web")
    assert lines[at + 1].endswith(" on lab and 1 more: br0 is not ours [SDD-X]")
    assert lines[at + 2 : at + 4] == ["remove it", "host: no table [SDD-Y]"]


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
