"""/v1/events: what happened, one JSON object per line; with `follow` also what happens next."""

from typing import Any

from sdd import errors
from sdd.api import render, streams
from sdd.api.call import Call, Reply
from sdd.api.context import Context
from sdd.model.event import Event


async def listing(context: Context, call: Call) -> Reply:
    """The events since `since` (seconds since the epoch), as a stream of lines."""
    journal = context.journal
    if journal is None:
        raise errors.Unavailable("this daemon keeps no events", code="SDD-EVENTS-OFF")
    return streams.reply(call, journal.after(0), journal.follow, journal.followers, event)


def event(one: Event) -> dict[str, Any]:
    """The line of one event, in the shape of Docker's."""
    return {
        "Type": one.kind.value,
        "Action": one.action.value,
        "Actor": {"ID": one.subject, "Attributes": dict(one.attributes)},
        "Time": render.when(one.at),
        "Number": one.number,
    }
