"""Joining a sandbox that is there to one more network, and leaving it.

In: refs, an attachment, the Ground. Out: plans. Leaving a network ends what depends on it.
"""

from dataclasses import replace

from sdd import errors
from sdd.control import endpoints, ingress, lookup, members, sandbox_checks
from sdd.control.ground import Draft, Ground, Plan
from sdd.model import endpoint, network, request, sandbox, service


def connect(
    ground: Ground, ref: str, asked: request.Attachment, inside: endpoints.Inside
) -> Plan[endpoint.Endpoint]:
    """A new endpoint of the sandbox.

    Refused: SDD-NET-CONNECTED, SDD-SANDBOX-PREDEFINED, -LEAVING, and what endpoints.py refuses.
    """
    box = lookup.sandbox(ground.now, ref)
    sandbox_checks.check_staying(box)
    net = lookup.network(ground.now, asked.network)
    endpoints.check_open(net)
    if lookup.endpoint_on(ground.now, box.id, net.id):
        raise errors.Conflict(
            f"endpoint with name {box.name} already exists in network {net.name}",
            hint=f"disconnect it first: sdctl network disconnect {net.name} {box.name}",
            code="SDD-NET-CONNECTED",
        )
    mine = {each.ifname for each in ground.now.endpoints_by_sandbox.get(box.id, ())}
    draft = Draft(ground)
    made = endpoints.attach(ground, draft, box, asked, replace(inside, links=inside.links | mine))
    draft.touch(box)
    return draft.plan(made, {made.id, box.id})


def withdraw(
    ground: Ground, network_ref: str, sandbox_ref: str
) -> Plan[tuple[service.Member, ...]] | None:
    """Before it is disconnected: nothing new goes to it there. None when nothing does.

    Refused as `disconnect` is.
    """
    net = lookup.network(ground.now, network_ref)
    box = lookup.sandbox(ground.now, sandbox_ref)
    end = _connected(ground, net, box)
    return members.withdraw(ground, endpoints.memberships(ground.now, (end,)), end)


def disconnect(ground: Ground, network_ref: str, sandbox_ref: str) -> Plan[endpoint.Endpoint]:
    """The endpoint is gone, with its memberships; the sandbox's DNS server stays (docker.md D7).

    Refused: SDD-NET-NOTCONNECTED, -PREDEFINED.
    """
    net = lookup.network(ground.now, network_ref)
    box = lookup.sandbox(ground.now, sandbox_ref)
    kept = replace(box, keeps_server=box.keeps_server or net.has_names)
    return _left(ground, net, box, kept)


def undone(ground: Ground, made: endpoint.Endpoint) -> Plan[endpoint.Endpoint]:
    """As if the endpoint had never been there."""
    box = lookup.sandbox(ground.now, made.sandbox)
    return _left(ground, lookup.network(ground.now, made.network), box, box)


def _left(
    ground: Ground, net: network.Network, box: sandbox.Sandbox, after: sandbox.Sandbox
) -> Plan[endpoint.Endpoint]:
    """`box` is not on `net` any more and becomes `after`."""
    end = _connected(ground, net, box)
    draft = Draft(ground)
    gone = {(svc.id, end.id) for svc in ground.now.services_by_network.get(net.id, ())}
    ingress.left(ground, draft, box.id, gone)
    endpoints.detach(ground, draft, end)
    draft.replace(box, after)
    return draft.plan(end, {end.id, box.id})


def _connected(ground: Ground, net: network.Network, box: sandbox.Sandbox) -> endpoint.Endpoint:
    endpoints.check_open(net)
    sandbox_checks.check_open(box)
    end = lookup.endpoint_on(ground.now, box.id, net.id)
    if end is None:
        raise errors.NotFound(
            f"sandbox {box.name} is not connected to network {net.name}",
            hint=f"its networks: sdctl sandbox inspect {box.name}",
            code="SDD-NET-NOTCONNECTED",
        )
    return end
