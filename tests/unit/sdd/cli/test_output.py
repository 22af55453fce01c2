from datetime import UTC, datetime

import pytest

from sdd import errors
from sdd.cli import output


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "now"),
        (1, "1 second ago"),
        (59, "59 seconds ago"),
        (61, "1 minute ago"),
        (7300, "2 hours ago"),
        (200000, "2 days ago"),
    ],
)
def test_ago(seconds: int, text: str) -> None:
    now = datetime.fromtimestamp(1_000_000 + seconds, UTC)
    assert output.ago("1970-01-12T13:46:40Z", now) == text


def test_a_cell_is_one_printable_line(capsys: pytest.CaptureFixture[str]) -> None:
    column = output.Column("X", lambda row: row["x"])
    output.table([{"x": "a\nb\x1b[31m"}, {"x": ["p", "q"]}, {"x": False}], [column])
    assert capsys.readouterr().out == "X\na\\x0ab\\x1b[31m\np, q\nfalse\n"


def test_numbers_stand_right(capsys: pytest.CaptureFixture[str]) -> None:
    columns = [
        output.Column("N", lambda row: row["n"], right=True),
        output.Column("M", lambda _: "m"),
    ]
    output.table([{"n": 5}, {"n": 100}], columns)
    assert capsys.readouterr().out == "  N   M\n  5   m\n100   m\n"


def test_templates() -> None:
    row = {"Name": "a", "In": {"Deep": [1, 2]}}
    assert output.fill("{{.Name}}:{{.In.Deep}}", row) == "a:[1, 2]"
    assert output.fill("table {{ .Name }}", row) == "a"
    assert output.fill("{{json .Name}}", row) == '"a"'
    with pytest.raises(errors.Usage, match="Nope"):
        output.fill("{{.Nope}}", row)
    with pytest.raises(errors.Usage, match="cannot be read"):
        output.fill("{{range .In}}", row)
