"""What a TAB offers: names of objects, asked from the daemon; nothing when it is silent."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from sdd import errors
from sdd.cli.settings import of

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

PATIENCE_S = 0.5  # a TAB that hangs is worse than one that offers nothing

Complete = Callable[[click.Context, click.Parameter, str], "list[CompletionItem]"]


def _names(path: str) -> Complete:
    def complete(
        ctx: click.Context,
        param: click.Parameter,  # noqa: ARG001 - click's signature
        incomplete: str,
    ) -> "list[CompletionItem]":
        from click.shell_completion import CompletionItem

        client = of(ctx)._replace(timeout_s=PATIENCE_S).client()
        try:
            rows = client.get(path)
        except errors.SddError:
            return []
        return [CompletionItem(row["Name"]) for row in rows if row["Name"].startswith(incomplete)]

    return complete


networks = _names("/v1/networks")
sandboxes = _names("/v1/sandboxes")
services = _names("/v1/services")


def schedulers(
    ctx: click.Context,  # noqa: ARG001 - click's signature
    param: click.Parameter,  # noqa: ARG001 - the same
    incomplete: str,
) -> "list[CompletionItem]":
    """All there are; the daemon knows which of them its kernel has."""
    from click.shell_completion import CompletionItem

    from sdd.model.service import Scheduler

    return [CompletionItem(each) for each in Scheduler if each.startswith(incomplete)]
