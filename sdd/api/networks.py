"""/v1/networks: create, list, inspect, remove, connect, disconnect."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address

from sdd.api import body, cautions, ports, render
from sdd.api.call import Call, Reply
from sdd.api.context import Context
from sdd.control import lookup
from sdd.model import request
from sdd.model.network import EMPTY
from sdd.model.template import Template


@dataclass(frozen=True, slots=True, kw_only=True)
class Connect:
    """Body of connect: a sandbox ref and the fields of an attachment but the network."""

    sandbox: str
    ip: IPv4Address | None = None
    ip6: IPv6Address | None = None
    aliases: tuple[str, ...] = ()
    mac: str = ""
    gw_priority: int = 0
    driver_opts: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    link_local: tuple[IPv4Address | IPv6Address, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnect:
    """Body of disconnect."""

    sandbox: str


async def listing(context: Context, _call: Call) -> Reply:
    """Every network and configuration, by name."""
    state, asked = context.state(), context.nameservers()
    rows = [render.network_of(state, each, asked) for each in state.networks.values()]
    rows += [render.template_of(each) for each in state.templates.values()]
    return Reply(value=sorted(rows, key=lambda row: str(row["Name"])))


async def create(context: Context, call: Call) -> Reply:
    """The network or configuration that was made."""
    asked = body.decode(request.NetworkCreate, call.body)
    if asked.config_only:
        template = await context.commands.create_template(asked)
        return Reply(value=render.template_of(template), status=201)
    made = await context.commands.create_network(asked)
    told = render.network_made(context.state(), made, context.nameservers(), asked.options)
    return Reply(value=told, status=201)


async def inspect(context: Context, call: Call) -> Reply:
    """One network or configuration."""
    state = context.state()
    found = lookup.any_network(state, call.path["ref"])
    if isinstance(found, Template):
        return Reply(value=render.template_of(found))
    return Reply(value=render.network_of(state, found, context.nameservers()))


async def remove(context: Context, call: Call) -> Reply:
    """Id and name of the network or configuration that is gone."""
    ref = call.path["ref"]
    lookup.check_ours(ref)
    if isinstance(lookup.any_network(context.state(), ref), Template):
        template = await context.commands.remove_template(ref)
        return Reply(value={"Id": template.id, "Name": template.name})
    gone = await context.commands.remove_network(ref)
    return Reply(value={"Id": gone.id, "Name": gone.name})


async def update(context: Context, call: Call) -> Reply:
    """The network with its new DNS settings."""
    asked = body.decode(request.NetworkUpdate, call.body)
    changed = await context.commands.update_network(call.path["ref"], asked)
    told = render.network_of(context.state(), changed, context.nameservers())
    heard = (told["Warning"], cautions.unread(changed.dns_search))
    return Reply(value={**told, "Warning": " ".join(filter(None, heard))})


async def connect(context: Context, call: Call) -> Reply:
    """The new endpoint."""
    asked = body.decode(Connect, call.body)
    attachment = request.Attachment(
        network=call.path["ref"],
        ip=asked.ip,
        ip6=asked.ip6,
        aliases=asked.aliases,
        mac=asked.mac,
        gw_priority=asked.gw_priority,
        driver_opts=asked.driver_opts,
        link_local=asked.link_local,
    )
    made = await context.commands.connect(asked.sandbox, attachment)
    state = context.state()
    value = render.endpoint_of(state, made)
    return Reply(value={**value, "Warning": cautions.of_endpoint(state, made)}, status=201)


async def disconnect(context: Context, call: Call) -> Reply:
    """Ids of the endpoint that is gone and of its two ends."""
    asked = body.decode(Disconnect, call.body)
    gone = await context.commands.disconnect(call.path["ref"], asked.sandbox)
    box = context.state().sandboxes.get(gone.sandbox)
    return Reply(
        value={
            "EndpointID": gone.id,
            "NetworkID": gone.network,
            "SandboxID": gone.sandbox,
            "Warning": ports.lost(context.state(), box) if box else "",
        }
    )
