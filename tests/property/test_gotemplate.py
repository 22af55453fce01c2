"""Any template gives text, or the one error that says what a template is."""

import contextlib
from typing import Any

import click
from hypothesis import example, given
from hypothesis import strategies as st

from sdd import errors
from sdd.cli import gotemplate, output

ROW: dict[str, Any] = {
    "Id": "ab" * 32,
    "Name": "lab",
    "Many": [{"Key": 1}, {"Key": None}, 3, "x"],
    "Map": {"a": {"Key": True}, "b.c": []},
    "No": None,
    "Number": 7,
}
WORDS = (
    *("{{", "}}", "{{-", "-}}", " ", ".", "$", "(", ")", "|", ":=", ",", '"', "`", "\\", "end"),
    *("else", "else if", "if", "with", "range", "$x", "$y", ".Name", ".Many", ".Map", ".Map.a"),
    *(".No", ".Nope", ".Number", ".ID", ".Key", "0", "-1", '"a"', "true", "nil", "text"),
    *gotemplate.FUNCTIONS,
)
ACTIONS = st.lists(st.sampled_from(WORDS), max_size=6).map(
    lambda found: f"{{{{{' '.join(found)}}}}}"
)


@given(st.lists(ACTIONS | st.sampled_from(WORDS) | st.text(max_size=4), max_size=8).map("".join))
@example("{{range .Many}}{{.}}{{end}}{{range .Map}}{{.}}{{end}}")
@example("{{range $x, $y := .Map}}{{$x | upper}}{{end}}{{if .No}}{{else if .Name}}{{.}}{{end}}")
def test_any_template_gives_text_or_the_usage_error(template: str) -> None:
    with click.Context(click.Command("sdctl")), contextlib.suppress(errors.Usage):
        assert isinstance(output.fill(template, ROW), str)
