"""Docker's options of which one value makes sense here: that one is taken, others are refused.

So a command line written for Docker works where it means what happens anyway, and where it does
not, it is told what to do instead.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from sdd import errors

F = TypeVar("F", bound=Callable[..., Any])
CODE = "SDD-NET-OPTION"
SERIAL = "com.docker.network.ipam.serial"


def of_networks(command: F) -> F:
    """Adds those of `network create`."""
    for each in (
        click.option(
            "--scope",
            expose_value=False,
            callback=_scope,
            metavar="SCOPE",
            help="Only local: a network is one host's.",
        ),
        click.option(
            "--ipam-driver",
            expose_value=False,
            callback=_ipam_driver,
            metavar="DRIVER",
            help="Only default.",
        ),
        click.option(
            "--ipam-opt",
            expose_value=False,
            callback=_ipam_options,
            multiple=True,
            metavar="K=V",
            help="Only what is so anyway.",
        ),
        click.option(
            "--ingress",
            is_flag=True,
            expose_value=False,
            callback=_ingress,
            help="Refused: that network comes by itself.",
        ),
    )[::-1]:
        command = each(command)
    return command


def of_connections(command: F) -> F:
    """Adds those of `network connect`."""
    link = click.option(
        "--link",
        multiple=True,
        expose_value=False,
        callback=_link,
        metavar="SANDBOX",
        help="Refused: names are found without it.",
    )
    return link(command)


def _refused(sentence: str, hint: str) -> errors.Invalid:
    return errors.Invalid(sentence, hint=hint, code=CODE)


def _scope(_ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
    if value not in (None, "", "local"):
        raise _refused(
            f"the scope cannot be {errors.quoted(value)}: every network there is so far belongs to"
            " one host",
            "leave --scope out, or say local",
        )


def _ipam_driver(_ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
    if value not in (None, "", "default"):
        raise _refused(
            f"there is no IPAM driver {errors.quoted(value)}: sdd chooses all addresses itself",
            "leave --ipam-driver out, and say what must be with --subnet, --ip-range,"
            " --aux-address and --ip",
        )


def _ipam_options(_ctx: click.Context, _param: click.Parameter, value: tuple[str, ...]) -> None:
    from sdd.cli.params import OPTION
    from sdd.model import options

    for each in value:
        key, text = OPTION.convert(each, _param, _ctx)
        if key != SERIAL:
            raise _refused(
                f"there is no IPAM option {errors.quoted(key)}",
                f"leave --ipam-opt out; {SERIAL}=true is so anyway",
            )
        try:
            is_serial = options.to_bool(text)
        except ValueError as exc:
            raise click.BadParameter(f'"{each}" {exc}', param=_param) from None
        if not is_serial:
            raise _refused(
                f"{SERIAL} cannot be {text}: the next address is always the one after the last,"
                " so that a freed one rests",
                "leave it out, and give addresses that must be with --ip",
            )


def _ingress(_ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value:
        raise _refused(
            "the network ingress is not made by hand: it comes with the first service that has a"
            " port with mode=ingress, and goes with the last one",
            "leave --ingress out, and publish: sdctl service create NAME --network NET"
            " --publish 8080:80",
        )


def _link(_ctx: click.Context, _param: click.Parameter, value: tuple[str, ...]) -> None:
    if value:
        raise _refused(
            f"--link {value[0]} is not needed and not taken: sandboxes on one network find each"
            " other by name without links",
            "use the other's name; one more name for it is given where it is connected: --alias",
        )
