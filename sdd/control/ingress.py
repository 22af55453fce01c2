"""What ports that every node opens need besides their numbers (docs/ports.md): where they lead.

With the first service that has such ports come two networks and this node's ingress sandbox, with
the last they go. Such a service has virtual addresses on the network `ingress`, and each sandbox
that is a member of one or more has one endpoint there.

In: a Ground, a Draft, and what changes. Out: writes in the draft. Races: whoever adds or removes
such a service touches the network, whoever adds or removes a membership touches the sandbox.
"""

from collections.abc import Collection, Iterator
from dataclasses import replace
from types import MappingProxyType

from sdd import errors
from sdd.alloc import addresses
from sdd.control import endpoints, keys, networks, subnets, taken
from sdd.control.ground import Draft, Ground, Plan
from sdd.model import ids, network, request, sandbox, service
from sdd.state import MemberKey

SANDBOX = "ingress-sbox"
PREFIX = "ing"  # of the links on the network: eth0, eth1, … stay as they would be without it
_OPTIONS = MappingProxyType({"com.docker.network.container_iface_prefix": PREFIX})


def served(ground: Ground, draft: Draft, svc: service.Service) -> service.Service:
    """`svc` with the virtual addresses that its ports need.

    Those that they do not need any more stay as long as a drain, for whoever is connected.
    """
    if not is_wanted(svc):
        return _closing(ground, draft, svc) if svc.ingress_vips else svc
    return replace(svc if svc.ingress_vips else _opened(ground, draft, svc), ingress_leaves_at=0.0)


def is_wanted(svc: service.Service) -> bool:
    """Whether it has ports that every node opens."""
    return any(each.is_ingress for each in svc.ports)


def _closing(ground: Ground, draft: Draft, svc: service.Service) -> service.Service:
    if svc.ingress_leaves_at:
        return svc
    if not svc.drain_s or not ground.now.members_by_service.get(svc.id):
        return closed(ground, draft, svc)
    return replace(svc, ingress_leaves_at=ground.at + svc.drain_s)


def ended(ground: Ground, of: ids.ServiceId) -> Plan[service.Service] | None:
    """The service without addresses that were to leave; None when they are gone, or stay."""
    svc = ground.now.services.get(of)
    if svc is None or not svc.ingress_leaves_at:
        return None
    draft = Draft(ground)
    after = closed(ground, draft, svc)
    draft.replace(svc, after)
    return draft.plan(after, {svc.id})


def closed(ground: Ground, draft: Draft, svc: service.Service) -> service.Service:
    """`svc` as it is without such ports: its members and, as the last one, the ground are free."""
    net = ground.now.ingress
    if net is None or not svc.ingress_vips:
        return svc
    for vip in svc.ingress_vips:
        draft.delete(keys.address(net.id, vip))
    for member in ground.now.members_by_service.get(svc.id, ()):
        left(ground, draft, member.sandbox, {(svc.id, member.endpoint)})
    if all(each.id == svc.id for each in ground.now.ingress_services):
        _clear(ground, draft)
    else:
        draft.touch(net)
    return replace(svc, ingress_vips=(), ingress_leaves_at=0.0)


def joined(
    ground: Ground, draft: Draft, box: sandbox.Sandbox, services: Collection[service.Service]
) -> None:
    """`box`, which the caller touches or writes, becomes a member of `services`."""
    net = ground.now.ingress
    if net is None or not any(each.ingress_vips for each in services):
        return
    if ground.now.on_ingress(box.id) is None:
        _plug(ground, draft, box, net)


def left(
    ground: Ground, draft: Draft, of: ids.SandboxId, memberships: Collection[MemberKey]
) -> None:
    """A sandbox that stays is no longer what `memberships` say."""
    now = ground.now
    draft.touch(now.sandboxes[of])
    end = now.on_ingress(of)
    if end is not None and not any(key not in memberships for key in _memberships(ground, of)):
        endpoints.detach(ground, draft, end)


# --- coming -------------------------------------------------------------------------------------


def _opened(ground: Ground, draft: Draft, svc: service.Service) -> service.Service:
    net = _ground(ground, draft)
    vips: list[network.IPAddress] = []
    for version in addresses.families(net):
        _, ip = taken.choose(ground, draft, net, version, None)
        draft.claim_address(net, ip, svc.id)
        vips.append(ip)
    for member in ground.now.members_by_service.get(svc.id, ()):
        box = ground.now.sandboxes[member.sandbox]
        draft.touch(box)
        if ground.now.on_ingress(box.id) is None:
            _plug(ground, draft, box, net)
    return replace(svc, ingress_vips=tuple(vips))


def _ground(ground: Ground, draft: Draft) -> network.Network:
    """The network of the members. The node has its ingress sandbox then."""
    here = ground.now.ingress
    gateway = _gateway(ground)
    if here is not None and gateway is not None:
        draft.touch(here)
    else:
        for kind, name in (
            (networks.KIND, network.INGRESS_NAME),
            (networks.KIND, network.GATEWAY_NAME),
            ("sandbox", SANDBOX),
        ):
            _check_free(ground, kind, name)
        gateway = _network(ground, draft, network.GATEWAY_NAME)
        here = _network(ground, draft, network.INGRESS_NAME, beside=gateway)
    if all(each.node != ground.node for each in ground.now.ingress_sandboxes):
        _sandbox(ground, draft, gateway, here)
    return here


def _network(
    ground: Ground, draft: Draft, name: str, beside: network.Network | None = None
) -> network.Network:
    """Of the IP versions that there are. Members have no way out over it: it has no gateway."""
    asked = request.NetworkCreate(name=name, ipv6=ground.ipv6)
    pools = subnets.choose(ground, asked, beside=beside)
    is_inner = name == network.INGRESS_NAME
    made = network.Network(
        id=ids.NetworkId(ground.new_id()),
        name=name,
        pools=tuple(replace(each, gateway=None) for each in pools) if is_inner else pools,
        internal=is_inner,
        ipv6=ground.ipv6,
        predefined=True,
        options=_OPTIONS if is_inner else network.EMPTY,
        created=ground.at,
    )
    networks.write(draft, made)
    return made


def _sandbox(ground: Ground, draft: Draft, gateway: network.Network, net: network.Network) -> None:
    identity = ids.SandboxId(ground.new_id())
    is_first = not ground.claims.holds(keys.name("sandbox", SANDBOX))
    made = sandbox.Sandbox(
        id=identity,
        name=SANDBOX if is_first else f"{SANDBOX}-{ground.node}",
        node=ground.node,
        origin=sandbox.Origin.INGRESS,
        # The directory of `ip netns` is the machine's, which may have several daemons.
        netns=str(ground.exec_root / "netns" / f"ingress-{ids.short(identity)}"),
        created=ground.at,
    )
    draft.create(made)
    draft.claim(keys.name("sandbox", made.name), made.id)
    for each in (gateway, net):
        endpoints.plug(ground, draft, made, each, request.Attachment(network=each.id))


def _plug(ground: Ground, draft: Draft, box: sandbox.Sandbox, net: network.Network) -> None:
    endpoints.plug(ground, draft, box, net, request.Attachment(network=net.id))


def _check_free(ground: Ground, kind: str, name: str) -> None:
    if ground.claims.holds(keys.name(kind, name)):
        raise errors.Conflict(
            f"ports with mode=ingress need the {kind} {name}, but that is the name of one of yours",
            hint=f"remove it or make it again under another name: sdctl {kind} rm {name};"
            " or publish with mode=host",
            code="SDD-PUBLISH-INGRESS",
        )


# --- going --------------------------------------------------------------------------------------


def _clear(ground: Ground, draft: Draft) -> None:
    """The sandboxes of every node and both networks. All members have left."""
    for box in ground.now.ingress_sandboxes:
        draft.remove(box)
        draft.delete(keys.name("sandbox", box.name))
        for end in ground.now.endpoints_by_sandbox.get(box.id, ()):
            endpoints.detach(ground, draft, end)
    for net in ground.now.networks.values():
        if net.is_closed:
            networks.erase(draft, ground.now, net)


def _memberships(ground: Ground, of: ids.SandboxId) -> Iterator[MemberKey]:
    """Those of services with such ports."""
    now = ground.now
    for end in now.endpoints_by_sandbox.get(of, ()):
        for svc in now.services_by_network.get(end.network, ()):
            if svc.ingress_vips and (svc.id, end.id) in now.members:
                yield svc.id, end.id


def _gateway(ground: Ground) -> network.Network | None:
    found = (each for each in ground.now.networks.values() if each.is_closed)
    return next((each for each in found if not each.is_ingress), None)
