"""docs/errors.md tells every error code of the source, and no other."""

import re

from tests.meta import tracked
from tools import error_codes

ROW = re.compile(r"^\| `(SDD-[^`]+)` \| ([^|]*) \|", re.MULTILINE)
LITERAL = re.compile(r"""f?(?P<quote>["'])(SDD-[A-Z0-9-]+(?:\{[^}"']*\})?[A-Z0-9-]*)(?P=quote)""")


def told() -> str:
    return error_codes.PAGE.read_text().split(error_codes.BEGIN)[1].split(error_codes.END)[0]


def test_the_table_is_the_one_that_the_source_gives() -> None:
    assert told() == error_codes.table(error_codes.found()), "run: python tools/error_codes.py"


def test_no_code_is_written_where_the_table_does_not_look() -> None:
    """Found as text, not as a tree: what the tool cannot see is noticed here."""
    areas = {pattern for code, _ in ROW.findall(told()) if "…" in (pattern := code)}
    codes = {code for code, _ in ROW.findall(told())} - areas
    written = {
        re.sub(r"\{.*\}", "…", match[2])
        for path in tracked.product()
        for match in LITERAL.finditer(path.read_text())
    }
    assert len(written) > 100
    assert written - codes - areas == set()


def test_every_code_has_its_kind_and_a_code_of_its_own() -> None:
    rows = ROW.findall(told())
    assert len({code for code, _ in rows}) == len(rows)
    assert [code for code, kinds in rows if not re.fullmatch(r"[A-Z]\w+(, [A-Z]\w+)*", kinds)] == []
