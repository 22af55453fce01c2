"""What every command knows: where the daemon is, how to print, how long to wait."""

from dataclasses import dataclass, replace
from typing import Any

import click

from sdd.client import DEFAULT_HOST, Client

TIMEOUT_S = 60.0  # longer than the daemon's own patience, so that its sentence arrives


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """`output` is table, json, jsonl, name, or a template such as "{{.Name}}"."""

    host: str = DEFAULT_HOST
    output: str = "table"
    quiet: bool = False
    timeout_s: float = TIMEOUT_S

    def client(self) -> Client:
        """A client for the daemon that was named."""
        return Client(self.host, self.timeout_s)


def current() -> Settings:
    """The settings of the running command, wherever on the line they were given."""
    found = click.get_current_context().find_root().obj
    return found if isinstance(found, Settings) else Settings()


def change(context: click.Context, **values: Any) -> None:
    """Settings given at any level hold for the whole command."""
    root = context.find_root()
    before = root.obj if isinstance(root.obj, Settings) else Settings()
    root.obj = replace(before, **values)
