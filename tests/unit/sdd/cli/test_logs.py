import json
import threading

import pytest

from tests.support import eventually
from tests.unit.sdd.cli.typed import Shell


@pytest.fixture
def lived(shell: Shell) -> Shell:
    shell.ok("network", "create", "lab")
    shell.ok("sandbox", "create", "c", "--network", "lab")
    shell.ok("service", "create", "web", "--network", "lab")
    for row in (
        {"level": "info", "msg": "other", "subject": "nobody"},
        {
            "level": "warn",
            "msg": "failed",
            "subject": shell.ok("sandbox", "inspect", "c").json()[0]["Id"],
        },
        {"level": "error", "msg": "broke", "service": "web", "why": "a b"},
    ):
        shell.appliance.logbook.keep(row)
    return shell


def messages(shell: Shell, *argv: str) -> list[str]:
    return [
        json.loads(line)["Message"]
        for line in shell.ok("logs", "-o", "jsonl", *argv).out.splitlines()
    ]


def test_lines_are_printed_as_the_daemon_writes_them(lived: Shell) -> None:
    lines = lived.ok("logs").out.splitlines()
    assert lines[-1] == 'error broke service=web why="a b"'
    assert lived.ok("logs", "-t", "--tail", "1").out.startswith("1970-01-")


def test_tail_levels_and_times(lived: Shell) -> None:
    assert messages(lived, "--tail", "2") == ["failed", "broke"]
    assert messages(lived, "--level", "warn") == ["failed", "broke"]
    assert messages(lived, "--level", "warn", "-n", "1") == ["broke"]
    assert messages(lived, "-n", "0") == []
    assert messages(lived, "--tail", "all") == messages(lived)
    assert messages(lived, "--since", "1m") == []
    assert lived("logs", "--tail", "few").code == 2


def test_what_concerns_one_object(lived: Shell) -> None:
    assert "failed" in messages(lived, "c")
    assert "broke" not in messages(lived, "c")
    assert messages(lived, "--service", "web")[-1] == "broke"
    assert "other" not in messages(lived, "c", "--service", "web")
    assert lived("logs", "nobody").code == 1
    assert lived("logs", "--service", "nothing").code == 1


def test_follow_goes_on_after_the_tail(lived: Shell) -> None:
    def later() -> None:
        eventually(lambda: lived.appliance.logbook.followers, 60, "somebody follows")
        for name in ("next", "last"):
            lived.appliance.logbook.keep({"level": "info", "msg": name})

    until = lived.appliance.now[0] + 1
    thread = threading.Thread(target=later)
    thread.start()
    done = lived.ok("logs", "--follow", "--tail", "1", "--until", str(until))
    thread.join(60)
    assert [line.split()[1] for line in done.out.splitlines()] == ["broke", "next"]
