"""/v1/dns/records: what people added to the names of networks."""

from collections.abc import Mapping, Sequence

from sdd.api import body, cautions, render
from sdd.api.call import Call, Reply
from sdd.api.context import Context
from sdd.control import lookup, records
from sdd.model import network, record, request
from sdd.state import ClusterState

ACTIVE, SHADOWED = "active", "shadowed"


async def listing(context: Context, call: Call) -> Reply:
    """The records of one network, or of all; by network, name, type and data."""
    state = context.state()
    wanted = call.text("network", "")
    nets = [lookup.network(state, wanted)] if wanted else list(state.networks.values())
    found = [state.records_by_network.get(each.id, ()) for each in sorted(nets, key=_name)]
    return Reply(value=[row for each in found for row in rows(state, each)])


async def add(context: Context, call: Call) -> Reply:
    """The record that was added."""
    made = await context.commands.add_record(body.decode(request.RecordAdd, call.body))
    (row,) = rows(context.state(), (made,))
    return Reply(value=row, status=201)


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
    return Reply(value=rows(before, gone))


def _name(net: network.Network) -> str:
    return net.name


def rows(state: ClusterState, of: Sequence[record.Record]) -> list[render.Json]:
    """Records of one network."""
    held = records.holders(state, of[0].network) if of else {}
    warnings = cautions.of_records(state, of)
    return [
        {**_row(render.network_name(state, each.network), each, held), "Warning": warning}
        for each, warning in zip(of, warnings, strict=True)
    ]


def _row(net: str, of: record.Record, held: Mapping[str, str]) -> render.Json:
    return {
        "Id": of.id,
        "Network": net,
        "Name": of.name,
        "Type": of.kind.value,
        "Data": of.shown,
        "State": SHADOWED if records.is_shadowed(of, held) else ACTIVE,
        "Created": render.when(of.created),
    }
