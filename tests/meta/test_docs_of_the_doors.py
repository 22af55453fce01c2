"""What people are told of commands, routes, settings and metrics is what there is."""

import re
from pathlib import Path

import click
import pytest

from metrics import addresses, balancing, defects, dns, exposition
from metrics.registry import Registry
from sdd import keys, options
from sdd.api.openapi import DESCRIPTION
from sdd.api.routes import PROBES, ROUTES
from sdd.cli import root
from sdd.defects import OF_SDD
from sdd.state import EMPTY

DOCS = Path(__file__).parents[2] / "docs"
GLOBAL = {"-H", "--host", "-o", "--output", "--format", "-q", "--quiet", "--timeout", "--help"}


def rows(page: str, pattern: str) -> set[tuple[str, ...]]:
    text = (DOCS / page).read_text()
    return {match.groups() for match in re.finditer(pattern, text, re.MULTILINE)}


def test_every_route_has_its_row() -> None:
    told = rows("api.md", r"^\| ([A-Z]+) \| `([^`]+)` \| (\w+) \|")
    assert told == {
        (row.method, row.path, row.access.value) for row in (*ROUTES, *PROBES, DESCRIPTION)
    }


def test_every_setting_has_its_row_with_its_flag() -> None:
    told = rows("configuration.md", r"^\| `([a-z-]+)` \| (?:`(--[a-z-]+)`)?")
    flags = {key: flag for flag, key, _, _ in options.FLAGS} | {"debug": "--debug"}
    assert told == {(key, flags.get(key)) for key in keys.KEYS}


async def test_every_family_has_its_row_with_kind_and_labels() -> None:
    registry = Registry("x", clock=lambda: 0.0)
    registry.behind(dict)
    registry.add(exposition.objects(lambda: EMPTY))
    balanced = balancing.Rows(traffic={}, connections={}, checks={}, suspicions={})
    registry.add(balancing.source(lambda: balanced))

    async def nothing() -> list[list[tuple[list[str], float]]]:
        return []

    registry.add(dns.source(nothing))
    registry.add(addresses.source(lambda: ()))
    registry.add(defects.source(lambda _: 0, OF_SDD))
    page = (await registry.render(""))[0].decode()
    kinds = dict(re.findall(r"^# TYPE (sdd_\w+) (\w+)$", page, re.MULTILINE))
    created = {name for name in kinds if name.endswith("_created")}
    told = {(name, kind) for name, kind in rows("metrics.md", r"^\| `(sdd_\w+)` \| (\w+) \|")}
    assert told == {(name, kind) for name, kind in kinds.items() if name not in created}


def verbs() -> dict[str, click.Command]:
    """Every command without verbs of its own, by what people type."""
    found: dict[str, click.Command] = {}
    for name in root.COMMANDS:
        command = root.sdctl.get_command(click.Context(root.sdctl), name)
        assert command is not None
        found |= _below(name, command)
    return found


def _below(name: str, command: click.Command) -> dict[str, click.Command]:
    if not isinstance(command, click.Group):
        return {name: command}
    return {
        typed: each
        for verb, below in command.commands.items()
        for typed, each in _below(f"{name} {verb}", below).items()
    }


@pytest.mark.parametrize("name", verbs())
def test_every_command_and_each_of_its_options_is_told(name: str) -> None:
    text = (DOCS / "cli.md").read_text()
    (line,) = (each for each in text.splitlines() if re.match(rf"\| `{name}[ `]", each))
    # An option that several commands share is told once, at the first of them.
    told = text if "the same options" in line else line
    for each in verbs()[name].params:
        flags = [flag for flag in each.opts if flag.startswith("-") and flag not in GLOBAL]
        assert not flags or any(flag in told for flag in flags), flags


def test_every_option_of_a_global_kind_is_told() -> None:
    text = (DOCS / "cli.md").read_text()
    assert all(flag in text for flag in GLOBAL - {"--help"})
