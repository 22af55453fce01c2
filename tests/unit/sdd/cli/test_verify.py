from collections.abc import Sequence
from dataclasses import replace

from sdd.api import subjects
from sdd.model.difference import Difference
from sdd.model.progress import Backend
from tests.unit.sdd.cli.typed import Shell


def answering(shell: Shell, *found: Difference) -> None:
    """The daemon's verifier says `found` from now on."""

    async def differences() -> Sequence[Difference]:
        return found

    shell.appliance.checks = differences


def test_nothing_is_exit_0_and_no_data(shell: Shell) -> None:
    answering(shell)
    done = shell.ok("verify")
    assert (done.out, done.err) == ("", "everything is as it should be\n")
    assert shell.ok("verify", "-o", "json").json() == []


def test_each_difference_names_its_object(shell: Shell) -> None:
    full = shell.ok("network", "create", "lab").out.strip()
    one = Difference(backend=Backend.NETNS, subject=full, says="the link 'br0' is missing")
    answering(shell, one, replace(one, subject="", says="the table is missing"))
    done = shell("verify")
    assert done.code == 1
    head, first, second = done.out.splitlines()
    assert head.split() == ["BACKEND", "KIND", "NAME", "DIFFERENCE"]
    assert first.split(maxsplit=3) == ["netns", "network", "lab", "the link 'br0' is missing"]
    assert second.split(maxsplit=3) == ["netns", "host", "-", "the table is missing"]
    assert shell("verify", "-o", "json").json()[0]["Subject"] == full


def test_a_daemon_without_a_verifier_says_so(shell: Shell) -> None:
    done = shell("verify")
    assert (done.code, "[SDD-VERIFY-OFF]" in done.err) == (1, True)


def test_objects_are_called_by_name(shell: Shell) -> None:
    shell.ok("network", "create", "lab")
    shell.ok("sandbox", "create", "c", "--network", "lab")
    shell.ok("service", "create", "web", "--network", "lab")
    state = shell.appliance.desk.state
    for table, words in (
        (state.networks, ("network", "lab")),
        (state.sandboxes, ("sandbox", "c")),
        (state.services, ("service", "web")),
        (state.endpoints, ("endpoint", "c on lab")),
    ):
        assert subjects.named(state, next(iter(table))) == words
    assert subjects.named(state, "abc") == ("", "abc")
