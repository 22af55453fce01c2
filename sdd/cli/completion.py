"""sdctl completion SHELL: the script that makes the shell ask us at each TAB."""

import click
from click.shell_completion import get_completion_class

from sdd.cli.command import Verb


@click.command(cls=Verb)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print it; use it with: source <(sdctl completion bash)."""
    from sdd.cli import root

    found = get_completion_class(shell)
    assert found is not None  # click knows the three shells of the choice
    click.echo(found(root.sdctl, {}, "sdctl", "_SDCTL_COMPLETE").source())
