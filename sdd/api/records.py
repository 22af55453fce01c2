"""/v1/dns/records: what people added to the names of networks."""

from sdd.api import body, render
from sdd.api.call import Call, Reply
from sdd.api.context import Context
from sdd.control import lookup, records
from sdd.model import record, request
from sdd.state import ClusterState

ACTIVE, SHADOWED = "active", "shadowed"


async def listing(context: Context, call: Call) -> Reply:
    """The records of one network, or of all; by network, name, type and data."""
    state = context.state()
    wanted = call.text("network", "")
    nets = [lookup.network(state, wanted)] if wanted else list(state.networks.values())
    return Reply(
        value=[
            _row(state, each)
            for net in sorted(nets, key=lambda one: one.name)
            for each in state.records_by_network.get(net.id, ())
        ]
    )


async def add(context: Context, call: Call) -> Reply:
    """The record that was added."""
    made = await context.commands.add_record(body.decode(request.RecordAdd, call.body))
    return Reply(value=_row(context.state(), made), status=201)


async def remove(context: Context, call: Call) -> Reply:
    """The records that are gone."""
    asked = request.RecordRemove(
        network=call.text("network"),
        name=call.text("name"),
        type=call.text("type", ""),
        data=call.text("data", ""),
    )
    before = context.state()
    gone = await context.commands.remove_records(asked)
    return Reply(value=[_row(before, each) for each in gone])


def _row(state: ClusterState, of: record.Record) -> render.Json:
    return {
        "Id": of.id,
        "Network": state.networks[of.network].name,
        "Name": of.name,
        "Type": of.kind.value,
        "Data": of.data,
        "State": SHADOWED if records.is_shadowed(state, of) else ACTIVE,
        "Created": render.when(of.created),
    }
