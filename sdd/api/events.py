"""/v1/events: what happened, one JSON object per line; with `follow` also what happens next."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from sdd import errors
from sdd.api import render
from sdd.api.call import Call, Reply
from sdd.api.context import Context
from sdd.control.journal import Journal
from sdd.model.event import Event

HEARTBEAT_S = 15.0  # an empty line: finds clients that are gone, tells the others we are not
MOST_FOLLOWERS = 64
FOREVER = 4e9  # seconds since the epoch, in 2096


async def listing(context: Context, call: Call) -> Reply:
    """The events since `since` (seconds since the epoch), as a stream of lines."""
    if context.journal is None:
        raise errors.Unavailable("this daemon keeps no events", code="SDD-EVENTS-OFF")
    since = call.number("since", 0.0, 0.0, FOREVER)
    if call.flag("follow"):
        if context.journal.followers >= MOST_FOLLOWERS:
            raise errors.Unavailable(
                f"{MOST_FOLLOWERS} clients follow the events already",
                hint="end one of them, or ask without --follow",
                code="SDD-EVENTS-FULL",
            )
        return Reply(stream=_follow(context.journal, since))
    return Reply(stream=_kept(context.journal, since))


async def _kept(journal: Journal, since: float) -> AsyncGenerator[dict[str, Any] | None, None]:
    for each in journal.after(0):
        if each.at >= since:
            yield event(each)


async def _follow(journal: Journal, since: float) -> AsyncGenerator[dict[str, Any] | None, None]:
    async with aclosing(journal.follow(0, HEARTBEAT_S)) as events:
        async for each in events:
            if each is None:
                yield None
            elif each.at >= since:
                yield event(each)


def event(one: Event) -> dict[str, Any]:
    """The line of one event, in the shape of Docker's."""
    return {
        "Type": one.kind.value,
        "Action": one.action.value,
        "Actor": {"ID": one.subject, "Attributes": dict(one.attributes)},
        "Time": render.when(one.at),
        "Number": one.number,
    }
