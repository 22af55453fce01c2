"""/v1/logs: the last lines of the daemon's own log, one JSON object per line."""

from typing import Any

from sdd import errors
from sdd.api import render, streams
from sdd.api.call import Call, Reply
from sdd.api.context import Context
from sdd.logbook import Line


async def listing(context: Context, call: Call) -> Reply:
    """The lines since `since`, the last `tail` of them, with `follow` what comes next."""
    book = context.logbook
    if book is None:
        raise errors.Unavailable("this daemon keeps no lines", code="SDD-LOGS-OFF")
    return streams.reply(call, book.lines(), book.follow, book.followers, line)


def line(one: Line) -> dict[str, Any]:
    """One line, the fields apart from what every line has."""
    return {
        "Time": render.when(one.at),
        "Level": one.level,
        "Message": one.message,
        "Fields": dict(one.fields),
        "Number": one.number,
    }
