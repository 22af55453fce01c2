"""/v1/dns/…: questions asked from inside a sandbox, and what the DNS server knows and remembers."""

import itertools
from collections.abc import Iterator, Sequence

from resolver.files import upstreams as forwarding
from resolver.message import wire
from resolver.names import records
from resolver.protocol import FORWARD_ZONE, OWN_ZONE
from sdd.api import render
from sdd.api.call import Call, Reply
from sdd.api.context import Attempt, Context, Step
from sdd.control import lookup
from sdd.model import ids, sandbox
from sdd.state import ClusterState

TIMEOUT_S = 5.0
MAX_TIMEOUT_S = 60.0
NETWORK = "network "  # a step's stage, with an id behind it
THEN = ", then "  # between two sources of one answer


async def query(context: Context, call: Call) -> Reply:
    """The answer as the sandbox's processes would get it."""
    box = lookup.sandbox(context.state(), call.text("from"))
    name, rdtype, tcp = call.text("name"), call.text("type", "A"), call.flag("tcp")
    timeout_s = call.number("timeout", TIMEOUT_S, 0.001, MAX_TIMEOUT_S)
    if call.flag("search"):
        way = context.trace.trace(box, name, rdtype, tcp=tcp, timeout_s=timeout_s)
        found = _decisive(await way)
        name = found.name
    else:
        found = await context.trace.ask(box, name, rdtype, tcp=tcp, timeout_s=timeout_s)
    return Reply(value={"Name": name, **_told(context.state(), box, found)})


async def trace(context: Context, call: Call) -> Reply:
    """Every question that a look-up leads to, each with the decisions of the server."""
    state = context.state()
    box = lookup.sandbox(state, call.text("from"))
    found = await context.trace.trace(
        box,
        call.text("name"),
        call.text("type", "A"),
        timeout_s=call.number("timeout", TIMEOUT_S, 0.001, MAX_TIMEOUT_S),
    )
    return Reply(
        value=[
            {
                "Name": each.name,
                **_told(state, box, each),
                "Steps": [_step(state, box, step) for step in each.steps],
            }
            for each in found
        ]
    )


async def cached(context: Context, call: Call) -> Reply:
    """What forwarded answers are remembered."""
    del call
    state = context.state()
    return Reply(
        value=[
            {
                "Name": each.name,
                "Type": each.rdtype,
                "Rcode": each.rcode,
                "Records": each.records,
                "Left": each.left_s,
                "Sandbox": _box(state, each.sandbox),
                "Servers": list(each.servers),
                "Flags": list(each.flags),
            }
            for each in await context.names.cached()
        ]
    )


async def flush(context: Context, call: Call) -> Reply:
    """Forgets the answers for a name and all below it; without a name, everything."""
    return Reply(value={"Flushed": await context.names.flush(call.text("name", "."))})


async def upstreams(context: Context, call: Call) -> Reply:
    """The servers that names of others are asked of, and how they did."""
    del call
    state = context.state()
    return Reply(
        value=[
            {
                "Address": each.address,
                "Port": each.port,
                "From": _box(state, each.sandbox) or "host",
                "Zones": list(each.zones),
                "State": each.state,
                "Silent": each.silent,
                "RttMs": each.rtt_ms or None,
                "Edns": each.edns,
                "KeepsCase": each.keeps_case,
                "LastError": each.error,
                "LastErrorSeconds": each.error_s if each.error else None,
            }
            for each in await context.names.upstreams()
        ]
    )


def _decisive(found: Sequence[Attempt]) -> Attempt:
    """Of the questions of one look-up the one that programs go by, as glibc's res_search has it.

    An answer is always the last. Without one a name that exists counts most, then one of which
    nobody could tell.
    """
    if found[-1].is_found:
        return found[-1]
    existing = (each for each in found if each.reply.rcode == "NOERROR")
    unknown = (each for each in found if each.reply.rcode != "NXDOMAIN")
    return next(existing, next(unknown, found[-1]))


def _told(state: ClusterState, box: sandbox.Sandbox, found: Attempt) -> render.Json:
    return {
        "Type": found.rdtype,
        "From": box.name,
        "Rcode": found.reply.rcode,
        "Answers": [render.record(each) for each in found.reply.answers],
        "Truncated": found.reply.is_cut,
        "Authority": [render.record(each) for each in found.reply.authority],
        "Milliseconds": round(found.reply.milliseconds, 3),
        "Server": found.reply.server,
        "Explained": [{"Code": code, "Text": text} for code, text in found.why],
        "Source": _named(state, box, found.source),
    }


def _step(state: ClusterState, box: sandbox.Sandbox, step: Step) -> render.Json:
    """A decision; with a zone the network whose it is: several may have one of that name.

    It is the first one's, as for the servers that are asked (`forwarding.zones`).
    """
    having = _having(state, box, step.stage, step.text)
    text = " of network ".join((step.text, *itertools.islice(having, 1)))
    return {"Stage": _named(state, box, step.stage), "Text": text}


def _having(state: ClusterState, box: sandbox.Sandbox, stage: str, zone: str) -> Iterator[str]:
    """The sandbox's networks that have the `zone` of a step of that `stage`, by name."""
    if stage in (FORWARD_ZONE, OWN_ZONE):
        for net in forwarding.networks(state, box):
            forward = (f"{each.zone}." for each in net.dns_zones)
            own = map(wire.to_text, records.zones(net, is_alone=True))
            if zone in (forward if stage == FORWARD_ZONE else own):
                yield net.name


def _named(state: ClusterState, box: sandbox.Sandbox, stage: str) -> str:
    """A network's id in a stage → its name, which people know; a zone → that of its network."""
    stage, then, rest = stage.partition(THEN)
    if stage.startswith(f"{OWN_ZONE} "):
        having = _having(state, box, OWN_ZONE, stage.removeprefix(f"{OWN_ZONE} "))
        stage = next((f"{NETWORK}{name}" for name in having), stage)
    net = state.networks.get(ids.NetworkId(stage.removeprefix(NETWORK)))
    shown = f"{NETWORK}{net.name}" if net and stage.startswith(NETWORK) else stage
    return f"{shown}{then}{rest}"


def _box(state: ClusterState, identity: str) -> str:
    box = state.sandboxes.get(ids.SandboxId(identity))
    return box.name if box else identity
