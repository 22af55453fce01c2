import pytest

from tests.unit.sdd.api.desk import Answer
from tests.unit.sdd.cli.typed import Shell


@pytest.fixture
def asking(shell: Shell) -> Shell:
    shell.ok("sandbox", "create", "c")
    two = (("web.", 5, "A", "10.0.0.2"), ("web.", 5, "A", "10.0.0.3"))
    shell.appliance.resolver.names |= {
        ("web", "A"): Answer(answers=two),
        ("web", "AAAA"): Answer(),
        ("bad", "A"): Answer(rcode="SERVFAIL"),
        ("slow", "A"): Answer(rcode="TIMEOUT"),
    }
    return shell


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (("web",), 0),
        (("nothing",), 3),
        (("web", "AAAA"), 4),
        (("bad",), 5),
        (("slow",), 5),
    ],
)
def test_exit_codes_tell_why_there_is_no_answer(
    asking: Shell, argv: tuple[str, ...], code: int
) -> None:
    assert asking("dns", "query", *argv, "--from", "c").code == code


def test_answers_are_a_table_and_short_is_data_only(asking: Shell) -> None:
    done = asking.ok("dns", "query", "web", "--from", "c", "--tcp")
    head, *rows = done.out.splitlines()
    assert head.split() == ["NAME", "TTL", "TYPE", "DATA"]
    assert [row.split()[-1] for row in rows] == ["10.0.0.2", "10.0.0.3"]
    assert "NOERROR from 127.0.0.11 in 0.2 ms, owned" in done.err
    assert asking.appliance.resolver.asked[-1][-1] is True
    assert asking.ok("dns", "query", "web", "--from", "c", "--short").out == "10.0.0.2\n10.0.0.3\n"
    (found,) = asking.ok("dns", "query", "web", "--from", "c", "-o", "json").json()
    assert found["Rcode"] == "NOERROR"


def test_without_from_it_says_what_is_missing(asking: Shell) -> None:
    done = asking("dns", "query", "web")
    assert done.code == 2
    assert "--from SANDBOX" in done.err
    assert asking("dns", "query", "web", "--from", "nobody").code == 1
