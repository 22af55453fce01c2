"""/v1/lb: the kernel's own view of the virtual servers, per sandbox."""

import asyncio
import dataclasses
from typing import Any

from sdd import errors
from sdd.api.call import Call, Reply
from sdd.api.context import Context
from sdd.control import lookup
from sdd.model import sandbox
from sdd.model.port import LAST, Protocol

_HANGS = "SDD-NETNS-HANGS"  # of sdd.linux.lookups


async def listing(context: Context, call: Call) -> Reply:
    """The rows of one sandbox (`from`) or of all of this node, of one `service` or of all.

    A sandbox that cannot be looked into, for its path hangs, has none among those of all: the
    status says so of it.
    """
    state = context.state()
    asked = lookup.service(state, call.text("service")) if "service" in call.query else None
    rates = call.flag("rates")
    if "from" in call.query:
        found = [await _rows(context, lookup.sandbox(state, call.text("from")), rates)]
    else:
        here = (box for box in state.sandboxes.values() if box.node == context.about.node)
        boxes = sorted(here, key=lambda each: each.name)
        found = await asyncio.gather(*(_rows_if_told(context, box, rates) for box in boxes))
    return Reply(
        value=[
            row for rows in found for row in rows if asked is None or row["Service"] == asked.name
        ]
    )


async def trace(context: Context, call: Call) -> Reply:
    """The decisions about a connection from a sandbox (`from`) to a virtual address (`to`)."""
    box = lookup.sandbox(context.state(), call.text("from"))
    port = int(call.number("port", 0, 0, LAST))
    asked = call.text("protocol", Protocol.TCP)
    if asked not in tuple(Protocol):
        raise errors.Invalid(
            f"{errors.quoted(asked)} is no protocol of a port",
            hint=f"one of {', '.join(Protocol)}",
            code="SDD-API-PROTOCOL",
        )
    found = await context.lb_trace(box, call.text("to"), port, Protocol(asked))
    return Reply(value=[{"Stage": stage, "Text": text} for stage, text in found])


async def _rows(context: Context, box: sandbox.Sandbox, rates: bool) -> list[dict[str, Any]]:
    found = await context.lb_view(box, rates)
    return [{"Sandbox": box.name} | _row(each) for each in found]


async def _rows_if_told(
    context: Context, box: sandbox.Sandbox, rates: bool
) -> list[dict[str, Any]]:
    try:
        return await _rows(context, box, rates)
    except errors.Unavailable as exc:
        if exc.code != _HANGS:
            raise
        return []


def _row(one: Any) -> dict[str, Any]:
    """A frozen row → JSON: `real_port` becomes `RealPort`; addresses and enums become text."""
    return {
        "".join(part.capitalize() for part in each.name.split("_")): _plain(getattr(one, each.name))
        for each in dataclasses.fields(one)
    }


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float) else str(value)
