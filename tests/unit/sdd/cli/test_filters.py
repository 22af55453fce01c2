import time

import pytest

from sdd import errors
from sdd.cli import filters
from tests.unit.sdd.cli.typed import Shell


@pytest.fixture
def three(shell: Shell) -> Shell:
    shell.ok("network", "create", "red", "--label", "a=1", "--label", "b")
    shell.ok("network", "create", "blue", "--label", "a=1")
    shell.ok("network", "create", "red-two", "-d", "macvlan")
    return shell


def names(shell: Shell, *argv: str) -> set[str]:
    return set(shell.ok("network", "ls", "-o", "name", *argv).out.split())


def test_dockers_meaning(three: Shell) -> None:
    assert names(three, "-f", "name=red") == {"red", "red-two"}
    assert names(three, "-f", "driver=macvlan") == {"red-two"}
    assert names(three, "-f", "driver=macvlan", "-f", "driver=bridge") == {"red", "blue", "red-two"}
    assert names(three, "-f", "name=red", "--filter", "driver=bridge") == {"red"}
    assert names(three, "-f", "label=a") == {"red", "blue"}
    assert names(three, "-f", "label=a=1", "-f", "label=b") == {"red"}
    assert names(three, "-f", "label=a=2") == set()
    assert names(three, "-f", "type=builtin") == set()
    assert names(three, "-f", "name=^red$") == {"red"}
    assert names(three, "-f", "name=^(red|blue)$") == {"red", "blue"}
    three.ok("sandbox", "create", "c", "--network", "red")
    assert names(three, "-f", "dangling=true") == {"blue", "red-two"}
    assert names(three, "-f", "dangling=0") == {"red"}
    full = three.ok("network", "inspect", "blue").json()[0]["Id"]
    assert names(three, "-f", f"id={full[:6]}") == {"blue"}


def test_sandboxes_and_services(three: Shell) -> None:
    three.ok("sandbox", "create", "c", "--network", "red")
    three.ok("service", "create", "web", "--network", "blue")
    assert three.ok("sandbox", "ls", "-q", "-f", "network=red").out
    assert not three.ok("sandbox", "ls", "-q", "-f", "network=blue").out
    assert not three.ok("sandbox", "ls", "-q", "-f", "origin=adopted").out
    assert three.ok("service", "ls", "-q", "-f", "network=blue", "-f", "mode=vip").out


@pytest.mark.parametrize("bad", ["name", "=x", "colour=red", ""])
def test_what_is_no_filter_is_exit_2(shell: Shell, bad: str) -> None:
    done = shell("network", "ls", "-f", bad)
    assert done.code == 2
    assert "driver, id, label, name" in done.err


@pytest.mark.parametrize(
    ("bad", "word"), [("name=(", "pattern"), ("dangling=perhaps", "true or false")]
)
def test_a_value_that_cannot_be_is_exit_2(three: Shell, bad: str, word: str) -> None:
    done = three("network", "ls", "-f", bad)
    assert done.code == 2
    assert word in done.err


def test_prune_keeps_what_has_a_label(three: Shell) -> None:
    assert three.ok("network", "prune", "-f", "--filter", "label!=b").out == "blue\nred-two\n"
    assert names(three) == {"red"}


def test_prune_removes_what_nobody_uses(three: Shell) -> None:
    three.ok("sandbox", "create", "c", "--network", "red")
    three.ok("service", "create", "web", "--network", "blue")
    done = three("network", "prune")
    assert done.code == 2
    assert "red-two" in done.err
    assert three.ok("network", "prune", "-f", "--filter", "label=a").out == ""
    assert three.ok("network", "prune", "-f").out == "red-two\n"
    assert names(three) == {"red", "blue"}
    assert three.ok("network", "prune").out == ""


def test_until_keeps_the_young() -> None:
    keep = filters.parse(
        ["until=10m"], {"until": lambda row: [row["Created"]]}, {"until": filters.older}
    )
    young = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    assert keep({"Created": "2020-01-01T00:00:00Z"})
    assert not keep({"Created": young})
    with pytest.raises(errors.Usage):
        filters.parse(["x=y"], {})
