"""/v1/sandboxes: create or adopt, list, inspect, remove."""

from sdd.api import body, cautions, render
from sdd.api.call import Call, Reply
from sdd.api.context import Context
from sdd.control import lookup
from sdd.model import request


async def listing(context: Context, _call: Call) -> Reply:
    """Every sandbox, by name."""
    state, root = context.state(), context.about.data_root
    boxes = sorted(state.sandboxes.values(), key=lambda each: each.name)
    return Reply(value=[render.sandbox_of(state, each, root) for each in boxes])


async def create(context: Context, call: Call) -> Reply:
    """The sandbox that was made or adopted."""
    made = await context.commands.create_sandbox(body.decode(request.SandboxCreate, call.body))
    state = context.state()
    value = render.sandbox_of(state, made, context.about.data_root)
    return Reply(value={**value, "Warning": cautions.of_box(state, made)}, status=201)


async def inspect(context: Context, call: Call) -> Reply:
    """One sandbox, with those of its files that somebody changed, or put in the place of ours."""
    state = context.state()
    box = lookup.sandbox(state, call.path["ref"])
    value = render.sandbox_of(state, box, context.about.data_root)
    files = {
        "EditedFiles": list(await context.trace.edited(box)),
        "ForeignFiles": list(await context.trace.foreign(box)),
    }
    return Reply(value={**value, "Warning": cautions.of_box(state, box), **files})


async def remove(context: Context, call: Call) -> Reply:
    """Id and name of the sandbox that is gone."""
    gone = await context.commands.remove_sandbox(call.path["ref"])
    return Reply(value={"Id": gone.id, "Name": gone.name})
