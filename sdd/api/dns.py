"""/v1/dns/query: one question, asked from inside a sandbox."""

from sdd.api import render
from sdd.api.call import Call, Reply
from sdd.api.context import Context
from sdd.control import lookup

TIMEOUT_S = 5.0
MAX_TIMEOUT_S = 60.0


async def query(context: Context, call: Call) -> Reply:
    """The answer as the sandbox's processes would get it."""
    box = lookup.sandbox(context.state(), call.text("from"))
    asked = await context.ask.ask(
        box.netns,
        call.text("name"),
        call.text("type", "A"),
        tcp=call.flag("tcp"),
        search=call.flag("search"),
        timeout_s=call.number("timeout", TIMEOUT_S, 0.001, MAX_TIMEOUT_S),
    )
    return Reply(
        value={
            "Name": call.text("name"),
            "Type": call.text("type", "A").upper(),
            "From": box.name,
            "Rcode": asked.rcode,
            "Answers": [render.record(each) for each in asked.answers],
            "Authority": [render.record(each) for each in asked.authority],
            "Milliseconds": round(asked.milliseconds, 3),
            "Server": asked.server,
            "Source": asked.source,
        }
    )
