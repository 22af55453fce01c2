import json
import threading

import pytest

from sdd.model.event import Action, Kind
from tests.support import eventually
from tests.unit.sdd.cli.typed import Shell


@pytest.fixture
def lived(shell: Shell) -> Shell:
    shell.ok("network", "create", "lab")
    shell.ok("sandbox", "create", "c", "--network", "lab")
    shell.ok("service", "create", "web", "--network", "lab")
    return shell


def test_a_line_per_event_in_dockers_form(lived: Shell) -> None:
    lines = lived.ok("events").out.splitlines()
    assert [line.split()[1:3] for line in lines] == [
        ["network", "create"],
        ["sandbox", "create"],
        ["network", "connect"],
        ["service", "create"],
    ]
    assert lines[0].startswith("1970-01-12T13:46:40Z network create ")
    assert "(name=lab, sandbox=c, address=" in lines[2]


def test_filters_and_times(lived: Shell) -> None:
    def told(*argv: str) -> list[str]:
        return [
            json.loads(line)["Action"]
            for line in lived.ok("events", "-o", "jsonl", *argv).out.splitlines()
        ]

    assert told("-f", "type=network") == ["create", "connect"]
    assert told("-f", "type=network", "-f", "event=connect") == ["connect"]
    assert told("-f", "type=network", "-f", "type=sandbox") == ["create", "create", "connect"]
    assert told("-f", "name=we") == ["create"]
    assert told("--since", "1000002") == ["create"]
    assert told("--until", "1000000") == ["create"]
    assert told("--since", "5m") == []
    assert (
        lived.ok("events", "--format", "{{.Type}}/{{.Action}}").out.splitlines()[0]
        == "network/create"
    )
    assert lived("events", "-f", "colour=red").code == 2
    assert lived("events", "--since", "yesterday").code == 2


def test_follow_goes_on_until_the_time_given(lived: Shell) -> None:
    def later() -> None:
        eventually(lambda: lived.appliance.desk.journal.followers, 60, "somebody follows")
        lived.appliance.desk.state  # noqa: B018 - the desk is reached by the API only
        from sdd.client import Client

        Client(lived.url, 60).post("/v1/networks", {"name": "late"})
        Client(lived.url, 60).post("/v1/networks", {"name": "later"})

    thread = threading.Thread(target=later)
    thread.start()
    done = lived.ok("events", "--follow", "-f", "event=create", "--until", "1000003")
    thread.join(60)
    assert "name=late," in done.out
    assert "name=later," not in done.out


def test_by_name_what_has_none_is_left_out(lived: Shell) -> None:
    lived.appliance.desk.journal.tell(Kind.DAEMON, Action.RELOAD)
    assert lived.ok("events", "-o", "name").out.split("\n") == ["lab", "c", "lab", "web", ""]
