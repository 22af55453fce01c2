"""Repairs in a person's words: which sandbox, and what of it had been changed. Pure."""

from collections.abc import Iterable
from pathlib import PurePath

from netns import steps, words, world
from netns.desired import Want
from sdd.model import ids, progress
from sdd.state import ClusterState

MOST = 3  # things of one sandbox that are named


def of(
    state: ClusterState, want: Want, undone: Iterable[steps.Step]
) -> tuple[progress.Repair, ...]:
    """One for each sandbox, and one without for the host, in the order of the steps."""
    said: dict[str, list[str]] = {}
    for step in undone:
        path = step.inside if isinstance(step, steps.AddPair | steps.AddChild) else step.space
        said.setdefault(path, []).append(_told(words.said(step)))
    return tuple(
        progress.Repair(sandbox=_name(state, want, path), what=_what(those))
        for path, those in said.items()
    )


def _name(state: ClusterState, want: Want, path: str) -> str:
    if path == world.HOST:
        return ""
    space = want.spaces.get(path)
    box = state.sandboxes.get(ids.SandboxId(space.subject)) if space else None
    return box.name if box else PurePath(path).name


def _told(said: str) -> str:
    spare = said.removeprefix("to remove ")
    return said if spare == said else f"{spare}, which should not be there"


def _what(said: list[str]) -> str:
    more = f" and {len(said) - MOST} more" if len(said) > MOST else ""
    return ", ".join(said[:MOST]) + more
