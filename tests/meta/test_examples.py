"""A command that a page names exists, with the options it shows."""

import re
import shlex
from pathlib import Path

import click
import pytest

from sdd.cli.root import sdctl
from tests.meta import tracked

INLINE = re.compile(r"`(sdctl [^`\n]*)`")
BLOCK = re.compile(r"^(?:# |\$ )?(sdctl .*)$", re.MULTILINE)
CONSOLE = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
FENCED = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)


def pages() -> list[Path]:
    return tracked.files("README.md", "docs/**/*.md", "docs/*.md")


def commands() -> list[tuple[str, str]]:
    """(page, command) for every `sdctl …` in text and in fenced blocks."""
    found = []
    for page in pages():
        text = page.read_text()
        blocks = "".join(FENCED.findall(text)).replace("\\\n", " ")
        lines = INLINE.findall(FENCED.sub("", text)) + BLOCK.findall(blocks)
        found += [(tracked.name(page), line) for line in lines]
    return found


# tests/e2e/test_readme.py types what stands in `console` blocks on the machine it runs on, so nothing
# there may change more than the scratch daemon: other programs belong into `sh` blocks.
HARMLESS = {"sdctl", "ip", "curl", "dig", "getent", "nft", "ping"}


def options(command: click.Command) -> set[str]:
    return {name for each in command.params for name in (*each.opts, *each.secondary_opts)}


def unknown(line: str) -> list[str]:
    """The words of `line` that are neither a command nor an option of it."""
    command: click.Command = sdctl
    context = click.Context(sdctl)
    known = options(sdctl) | {"--help", "-h"}
    for word in shlex.split(line, comments=True)[1:]:
        if word == "--" or word in {"|", ">", "&&", ";"}:
            break
        if word.startswith("-"):
            if word.partition("=")[0] not in known:
                return [word]
        elif isinstance(command, click.Group):
            found = command.get_command(context, word)
            if found is None:
                return [word]
            command = found
            known |= options(command)
    return []


@pytest.mark.parametrize(
    "line",
    ["sdctl network make x", "sdctl frobnicate", "sdctl network create x --subnett 10.0.0.0/8"],
)
def test_a_wrong_example_is_found(line: str) -> None:
    assert unknown(line)


def test_the_commands_of_every_page_exist() -> None:
    assert commands()
    wrong = [f"{page}: `{line}`: {words}" for page, line in commands() if (words := unknown(line))]
    assert not wrong


def test_console_blocks_change_nothing_but_the_daemon() -> None:
    harmful = [
        f"{tracked.name(page)}: {line}"
        for page in pages()
        for line in "".join(CONSOLE.findall(page.read_text())).splitlines()
        if line.startswith("# ") and line.split()[1] not in HARMLESS
    ]
    assert not harmful


def test_commands_of_console_blocks_end() -> None:
    endless = [
        f"{tracked.name(page)}: {line}"
        for page in pages()
        for line in "".join(CONSOLE.findall(page.read_text())).splitlines()
        if line.startswith("# ") and "--follow" in line.split()
    ]
    assert not endless
