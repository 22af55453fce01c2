import os
from collections.abc import Sequence

import pytest
from click.shell_completion import ShellComplete

from sdd.cli import root, settings
from tests.unit.sdd.cli.typed import Shell


def offered(url: str, words: Sequence[str], incomplete: str) -> list[str]:
    start = settings.Settings(host=url)
    asked = ShellComplete(root.sdctl, {"obj": start}, "sdctl", "_SDCTL_COMPLETE")
    return [item.value for item in asked.get_completions(list(words), incomplete)]


@pytest.fixture
def town(shell: Shell) -> Shell:
    for name in ("front", "back"):
        shell.ok("network", "create", name)
    shell.ok("sandbox", "create", "web1", "--network", "front")
    shell.ok("service", "create", "web", "--network", "front")
    return shell


def test_names_of_objects_are_offered(town: Shell) -> None:
    assert offered(town.url, ["network", "inspect"], "") == ["back", "front"]
    assert offered(town.url, ["network", "rm"], "f") == ["front"]
    assert offered(town.url, ["network", "connect", "front"], "") == ["web1"]
    assert offered(town.url, ["service", "ps"], "w") == ["web"]
    assert offered(town.url, ["sandbox", "exec"], "") == ["web1"]
    assert offered(town.url, ["dns", "query", "x", "--from"], "") == ["web1"]
    assert offered(town.url, ["dns", "trace", "x", "--from"], "") == ["web1"]
    assert offered(town.url, ["service", "create", "s", "--network"], "b") == ["back"]


def test_verbs_and_choices_are_offered() -> None:
    assert offered("unix:///run/nobody/s", ["network"], "in") == ["inspect"]
    assert offered("unix:///run/nobody/s", ["network", "create", "-d"], "m") == ["macvlan"]
    words = ["service", "create", "s", "--scheduler"]
    assert offered("unix:///run/nobody/s", words, "w") == ["wrr", "wlc"]


def test_without_a_daemon_nothing_is_offered() -> None:
    assert offered("unix:///run/nobody/s", ["network", "inspect"], "") == []
    assert "SDD_HOST" not in os.environ
