from typing import Any

import click
import pytest

from sdd import errors
from sdd.cli import output

NETWORK: dict[str, Any] = {
    "Id": "0123456789abcdef",
    "Name": "lab",
    "Internal": False,
    "IPAM": {"Config": [{"Subnet": "10.1.0.0/24"}, {"Subnet": "fd00::/64"}]},
    "Containers": {"b": {"Name": "two"}, "a": {"Name": "one"}},
    "Options": {"com.docker.network.bridge.name": "br0", "odd": 'a\\tb"'},
    "Empty": [],
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{.Name}}", "lab"),
        (
            "{{$.Name}} {{ .IPAM.Config }}",
            'lab [{"Subnet": "10.1.0.0/24"}, {"Subnet": "fd00::/64"}]',
        ),
        ("{{range .IPAM.Config}}{{.Subnet}};{{end}}", "10.1.0.0/24;fd00::/64;"),
        ("{{(index .IPAM.Config 0).Subnet}}", "10.1.0.0/24"),
        ('{{index .Options "com.docker.network.bridge.name"}}', "br0"),
        ('{{index .Options "nope"}}', ""),
        ("{{range .Containers}}{{.Name}} {{end}}", "one two "),
        (
            "{{range $id, $box := .Containers}}{{$id}}={{$box.Name}} {{$.Name}};{{end}}",
            "a=one lab;b=two lab;",
        ),
        ("{{range .Empty}}x{{else}}none{{end}}", "none"),
        ("{{if .Internal}}in{{else}}out{{end}}", "out"),
        ('{{if .Internal}}a{{else if eq .Name "lab" "web"}}b{{else}}c{{end}}', "b"),
        ("{{with .Name}}{{.}}{{end}}", "lab"),
        ("{{.Name | upper | printf}}", None),
        ("{{.Name | upper}} {{len .Containers}}", "LAB 2"),
        ("{{json .Empty | len}}", "2"),
        ('{{join (split "a/b" "/") "-"}}', "a-b"),
        ("{{println .Name}}{{print .Name 3}}", "lab\nlab 3"),
        ("a {{- .Name -}} b\\t", "alabb\t"),
        ("{{.Options.odd}}", 'a\\tb"'),
        ("{{if and .Name (not .Internal)}}yes{{end}}", "yes"),
        ("{{.ID}}", "0123456789ab"),
        ("{{`raw`}}{{true}}{{-1}}", "rawtrue-1"),
        ("{{.Nope}}", None),
        ("{{.Name.More}}", None),
        ("{{.CreatedAt}}", None),
        ("{{range .Name}}{{end}}", None),
        ("{{range .Empty}}", None),
        ("{{end}}", None),
        ("{{nope .Name}}", None),
        ("{{}}", None),
        ("{{.Name", None),
        ("{{.Name}} {{", None),
        ("{{join .Name}}", None),
        ("{{index .IPAM.Config 2}}", None),
        ("{{and}}", None),
        ("{{$x}}", None),
        ("{{(len .Name}}", None),
        ("{{$x := .Name}}", None),
        ('{{"a}}', None),
    ],
)
def test_templates_are_gos(template: str, text: str | None) -> None:
    if text is not None:
        with click.Context(click.Command("sdctl")):
            assert output.fill(template, NETWORK) == text
        return
    with pytest.raises(errors.Usage, match="the template"):
        output.fill(template, NETWORK)


def test_values_cannot_write_to_the_terminal() -> None:
    row = {"Name": "a\x1b[31m\nb"}
    assert output.fill("{{.Name}}", row) == "a\\x1b[31m\\x0ab"
    assert output.fill("{{println .Name}}", row) == "a\\x1b[31m\nb\n"
