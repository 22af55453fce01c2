"""Words that have no place in what we ship."""

import re
from pathlib import Path

import pytest

from tests.meta import tracked

HERE = Path(__file__)
# Each means one machine or one day: a path that only its author has, a note that outlives its reason.
UNWANTED = {
    "a note of work left": re.compile(r"\b(TODO|FIXME|XXX|HACK)\b(?! rules)"),
    "a path of one machine": re.compile(
        r"(?<![\w.$}\"'/-])/(work|home|Users)/\w|(?<![\w$}])/root/\.?\w"
    ),
    "a conflict that was not solved": re.compile(r"^(<{7}|>{7}) ", re.MULTILINE),
}


@pytest.mark.parametrize("what", UNWANTED)
def test_no_tracked_file_has(what: str) -> None:
    found = [
        f"{tracked.name(path)}: {match[0]}"
        for path in tracked.files()
        if path != HERE
        for match in UNWANTED[what].finditer(path.read_text(errors="replace"))
    ]
    assert found == []


def test_an_exception_from_a_check_says_why() -> None:
    """`noqa` and `type: ignore` name their rule and give a reason after it."""
    bare = re.compile(r"#\s*(noqa(?!: [A-Z]+\d+)|type:\s*ignore(?!\[))")
    unexplained = re.compile(r"#\s*(?:noqa: [A-Z0-9, ]+|type:\s*ignore\[[\w, -]+\])\s*$")
    found = [
        f"{tracked.name(path)}:{number}: {line.strip()}"
        for path in tracked.product()
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if bare.search(line) or unexplained.search(line)
    ]
    assert found == []
