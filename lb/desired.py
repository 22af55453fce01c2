"""ClusterState, node → what must balance in each sandbox of that node.

A sandbox balances the services of the networks it is on, in its own namespace: it is the client.
The ingress sandbox balances for those who come from outside, and members know the way back to it.
Backends are the healthy members, wherever they run. Services without virtual addresses (dnsrr) are
the resolver's business alone. Given what it derived before, only what changed is derived anew, and
what did not change is the same object: one verdict among thousands of services costs little.
The mappings know their changes (`sdd.lineage`), so the plan does not look for them.
"""

import functools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv6Address
from typing import TypeVar

from lb import plan, table, ways_back
from lb.back import Node
from sdd import affected, contained, lineage
from sdd.model import endpoint, ids, progress, sandbox
from sdd.model import service as services
from sdd.model.address import is_zoned
from sdd.model.network import IPAddress
from sdd.state import EMPTY, ClusterState

V = TypeVar("V")
Failures = Mapping[ids.ServiceId, progress.Failure]
Served = tuple[Mapping[IPAddress, table.VirtualService], Mapping[IPAddress, ids.ServiceId]]
Mixed = dict[tuple[ids.NetworkId, ...], Served]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One sandbox's table, where it belongs, and whose each virtual address is."""

    name: str
    place: table.Place
    table: table.Table
    owners: Mapping[IPAddress, ids.ServiceId]


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """What any sandbox on one network balances.

    `failures` are of services of which nothing can be made: they stay as they were, or away.
    """

    services: Mapping[IPAddress, table.VirtualService]
    owners: Mapping[IPAddress, ids.ServiceId]
    is_disputed: bool = False  # an address is that of two services
    failures: Failures = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """Every sandbox of `node`, also those with nothing to balance (their table is empty).

    `networks` are also those with services on which nobody here is yet.
    `refused` are the services that nobody can balance, `failures` theirs and those of the sandboxes
    of which nothing can be made. `mixed` is what is served on several networks, one object for all
    sandboxes that are on the same.
    """

    state: ClusterState
    node: ids.NodeId
    networks: Mapping[ids.NetworkId, Network]
    sandboxes: Mapping[ids.SandboxId, Wanted]
    mixed: Mixed = field(default_factory=dict)
    nodes: tuple[Node, ...] = ()
    refused: Failures = field(default_factory=dict)
    failures: tuple[progress.Failure, ...] = ()


def nothing(node: ids.NodeId) -> Desired:
    """What is derived from no state."""
    return Desired(state=EMPTY, node=node, networks={}, sandboxes={})


def desired(state: ClusterState, before: Desired) -> Desired:
    """What `state` asks of `before`'s node."""
    stale = _stale(before.state, state) if before.networks else frozenset()
    here = state.sandboxes_by_node.get(before.node, ())
    used = {each.network for box in here for each in _seen(state, box)}
    networks = _networks(state, used, stale, before)
    nodes = ways_back.nodes(state)
    draft = Desired(
        state=state, node=before.node, networks=networks, sandboxes=before.sandboxes, nodes=nodes
    )
    mixed: Mixed = {}
    made = {box.id: _attempted(draft, box, before, mixed) for box in here}
    refused = _refused(state, stale if before.networks else state.services.keys(), before)
    failed = (each for each in made.values() if isinstance(each, progress.Failure))
    odd = {of: each for net in used for of, each in networks[net].failures.items()}
    return replace(
        draft,
        sandboxes={box: each for box, each in made.items() if isinstance(each, Wanted)},
        mixed=mixed,
        refused=refused,
        failures=(*refused.values(), *odd.values(), *failed),
    )


def _refused(state: ClusterState, suspects: Collection[ids.ServiceId], before: Desired) -> Failures:
    """The services whose virtual address no packet can name; an older release took such."""
    known = {each: why for each, why in before.refused.items() if each not in suspects}
    for each in suspects:
        one = state.services.get(each)
        if one is not None and any(map(is_zoned, one.vips)):
            what = f"service {one.name!r} is not balanced"
            known[each] = contained.refused(
                each, what, f"{', '.join(map(str, one.vips))} names a link"
            )
    return known


# Sandboxes


def _attempted(
    now: Desired, box: sandbox.Sandbox, before: Desired, mixed: Mixed
) -> Wanted | progress.Failure:
    return contained.attempt(
        functools.partial(_sandbox, now, box, before, mixed),
        box.id,
        f"sandbox {box.name!r} does not balance",
    )


def _seen(state: ClusterState, box: sandbox.Sandbox) -> Sequence[endpoint.Endpoint]:
    """The endpoints over whose networks the sandbox balances: members are no clients of ingress."""
    plugs, net = state.endpoints_by_sandbox.get(box.id, ()), state.ingress
    if box.is_ingress or net is None:
        return plugs
    return [each for each in plugs if each.network != net.id]


def _sandbox(now: Desired, box: sandbox.Sandbox, before: Desired, mixed: Mixed) -> Wanted:
    plugs = now.state.endpoints_by_sandbox.get(box.id, ())
    seen = _seen(now.state, box)
    known = before.sandboxes.get(box.id)
    if (
        known is not None
        and before.state.sandboxes.get(box.id) is box
        and _identical(plugs, before.state.endpoints_by_sandbox.get(box.id, ()))
        and (now.nodes == before.nodes or not known.place.is_member)
        and all(now.networks[one.network] is before.networks.get(one.network) for one in seen)
    ):
        return known
    nets = tuple(each.network for each in seen)
    if nets not in mixed:
        mixed[nets] = _joined(now, nets, before)
    served, owners = mixed[nets]
    return Wanted(
        name=box.name,
        place=place_of(now.state, box),
        table=table.Table(services=served, back=ways_back.of(now.state, box, now.nodes)),
        owners=owners,
    )


def _joined(now: Desired, nets: tuple[ids.NetworkId, ...], before: Desired) -> Served:
    """What is served on all of `nets`: the same objects as before, if nothing changed there."""
    known = before.mixed.get(nets)
    new = [now.networks[each] for each in nets]
    old = [before.networks[each] for each in nets] if known is not None else []
    if known is not None and _identical(new, old):
        return known
    served, owners = known if known is not None else (None, None)
    return (
        _merged(served, [each.services for each in old], [each.services for each in new]),
        _merged(owners, [each.owners for each in old], [each.owners for each in new]),
    )


def _merged(
    known: Mapping[IPAddress, V] | None,
    old: Sequence[Mapping[IPAddress, V]],
    new: Sequence[Mapping[IPAddress, V]],
) -> Mapping[IPAddress, V]:
    """All of `new`, of which the last one wins; `known` is the same of `old`, if there was one."""
    if len(new) == 1:
        return new[0]
    keys: dict[IPAddress, None] = {}
    for one, other in zip(old, new, strict=True) if known is not None else ():
        changed = lineage.between(one, other)
        if changed is None:
            known = None
            break
        keys |= dict.fromkeys(changed)
    if known is not None:
        return lineage.successor(known, {key: _last(new, key) for key in keys})
    whole: dict[IPAddress, V] = {}
    for each in new:  # a dict is merged without hashing its keys again
        whole.update(each)
    return lineage.Version(whole)


def _last(maps: Sequence[Mapping[IPAddress, V]], key: IPAddress) -> V | None:
    return next((each[key] for each in reversed(maps) if key in each), None)


def place_of(state: ClusterState, box: sandbox.Sandbox) -> table.Place:
    """Where the sandbox's table is."""
    plugs, net = state.endpoints_by_sandbox.get(box.id, ()), state.ingress
    uplinks = [each.ifname for each in plugs if net is None or each.network != net.id]
    return table.Place(
        netns=box.netns,
        inode=box.netns_inode,
        addresses=tuple(each for one in plugs for each in one.addresses),
        uplink=uplinks[0] if box.is_ingress and uplinks else "",
        is_member=not box.is_ingress and state.on_ingress(box.id) is not None,
    )


# Networks


def _networks(
    state: ClusterState,
    used: Collection[ids.NetworkId],
    stale: frozenset[ids.ServiceId],
    before: Desired,
) -> Mapping[ids.NetworkId, Network]:
    """Those in use, and those with services: whoever joins one finds it derived.

    A thousand services take longer to derive than a namespace to be made.
    """
    found = {net: _network(state, net, stale, before) for net in used}
    those = (each.services.get(one) for one in stale for each in (before.state, state))
    touched = {one.network for one in those if one is not None}
    for net in state.services_by_network.keys() - found.keys():
        known = None if net in touched else before.networks.get(net)
        found[net] = known or _network(state, net, stale, before)
    return found


def _network(
    state: ClusterState, net: ids.NetworkId, stale: frozenset[ids.ServiceId], before: Desired
) -> Network:
    """An address is hashed only if something of its service is another."""
    known = before.networks.get(net)
    if known is None or known.is_disputed:
        return _anew(state, net, known)
    gone = dict.fromkeys(vip for each in stale for vip in _vips(before.state, each, net))
    come = [(vip, each) for each in stale for vip in _vips(state, each, net)]
    owners = gone | dict(come)
    if len(dict(come)) < len(come) or any(
        (owner := known.owners.get(vip)) is not None and owner not in stale for vip in owners
    ):
        return _anew(state, net, known)
    virtual, odd = _derived(state, owners, known)
    failures = {of: each for of, each in known.failures.items() if of not in stale}
    failures.update(odd)
    served, owned = _changed(known.services, virtual), _changed(known.owners, owners)
    if served is known.services and owned is known.owners and failures == known.failures:
        return known
    return Network(services=served, owners=owned, failures=failures)


def _derived(
    state: ClusterState, owners: Mapping[IPAddress, ids.ServiceId | None], known: Network | None
) -> tuple[Mapping[IPAddress, table.VirtualService | None], Failures]:
    """What is behind each address, and which services nothing can be made of."""
    was: Mapping[IPAddress, table.VirtualService] = {} if known is None else known.services
    made = {
        vip: None if of is None else _tried(state, state.services[of], vip, was.get(vip))
        for vip, of in owners.items()
    }
    failed = {vip: each for vip, each in made.items() if isinstance(each, progress.Failure)}
    kept = {vip: was.get(vip) for vip in failed}
    virtual = {vip: each for vip, each in made.items() if not isinstance(each, progress.Failure)}
    return virtual | kept, {ids.ServiceId(each.subject): each for each in failed.values()}


def _tried(
    state: ClusterState,
    one: services.Service,
    vip: IPAddress,
    was: table.VirtualService | None,
) -> table.VirtualService | progress.Failure:
    what = f"service {one.name!r} is not balanced as it should be"
    return contained.attempt(functools.partial(virtual_of, state, one, vip, was), one.id, what)


def _changed(
    known: Mapping[IPAddress, V], now: Mapping[IPAddress, V | None]
) -> Mapping[IPAddress, V]:
    """`known` with what differs of `now`: itself, if nothing does."""
    other = {key: value for key, value in now.items() if known.get(key) != value}
    return lineage.successor(known, other) if other else known


def _anew(state: ClusterState, net: ids.NetworkId, known: Network | None) -> Network:
    """Of two services that have the same address the second one is served; commands make none."""
    is_ingress = state.ingress is not None and state.ingress.id == net
    those = state.ingress_services if is_ingress else state.services_by_network.get(net, ())
    owned = [(vip, each.id) for each in those for vip in _vips(state, each.id, net)]
    owners = dict(owned)
    virtual, failures = _derived(state, owners, known)
    return Network(
        services=lineage.Version({vip: each for vip, each in virtual.items() if each is not None}),
        owners=lineage.Version(owners),
        is_disputed=len(owners) < len(owned),
        failures=failures,
    )


def _vips(
    state: ClusterState, of: ids.ServiceId, net: ids.NetworkId
) -> tuple[IPv4Address | IPv6Address, ...]:
    """The service's virtual addresses on the network; none if one of them names a link."""
    one = state.services.get(of)
    if one is None:
        return ()
    if state.ingress is not None and state.ingress.id == net:
        return one.ingress_vips
    is_here = one.network == net and one.mode is services.EndpointMode.VIP
    return one.vips if is_here and not any(map(is_zoned, one.vips)) else ()


def virtual_of(
    state: ClusterState,
    service: services.Service,
    vip: IPAddress,
    was: table.VirtualService | None = None,
) -> table.VirtualService:
    """Who serves behind the virtual address, on the network that it is of.

    Whoever is as in `was` is the same object.
    """
    # By identity: to hash the addresses of a thousand members takes longer than to make them anew.
    known = {id(each.address): each for each in was.backends} if was else {}
    return table.VirtualService(
        number=service.number,
        vip=vip,
        scheduler=service.scheduler,
        persistence_s=min(service.persistence_s, services.PERSISTENCE_MAX_S),
        backends=plan.ordered(_behind(state, service, vip, known)),
    )


def _behind(
    state: ClusterState,
    service: services.Service,
    vip: IPAddress,
    known: Mapping[int, table.Backend],
) -> list[table.Backend]:
    """In any order. Ten thousand pass through here: nothing is called that need not be."""
    is_ingress, kind = vip in service.ingress_vips, type(vip)
    endpoints = state.endpoints
    found: list[table.Backend] = []
    for member in state.serving(service, vip.version, is_ingress=is_ingress).members:
        plug = state.on_ingress(member.sandbox) if is_ingress else endpoints.get(member.endpoint)
        if plug is None:
            continue
        share = member.share
        for address, packed in zip(plug.hosts, plug.packed, strict=True):
            if isinstance(address, kind):
                was = known.get(id(address)) if known else None
                if was is None or was.weight != share:
                    was = table.Backend(address=address, weight=share, packed=packed)
                found.append(was)
    return found


def member_on(
    state: ClusterState, member: services.Member, *, is_ingress: bool
) -> endpoint.Endpoint | None:
    """The endpoint by which the member is reached: on the service's network, or on ingress."""
    if is_ingress:
        return state.on_ingress(member.sandbox)
    return state.endpoints.get(member.endpoint)


def _stale(before: ClusterState, after: ClusterState) -> frozenset[ids.ServiceId]:
    """The services of which something differs, the members' endpoints on ingress included."""
    found = affected.between(before, after)
    moved = {
        end.sandbox
        for each in found.endpoints
        for end in (before.endpoints.get(each), after.endpoints.get(each))
        if end is not None and after.ingress is not None and end.network == after.ingress.id
    }
    ends = (end for box in moved for end in after.endpoints_by_sandbox.get(box, ()))
    reached = (one.service for end in ends for one in after.members_by_endpoint.get(end.id, ()))
    return found.services | frozenset(reached)


# What stayed


def _identical(one: Collection[object], other: Collection[object]) -> bool:
    return len(one) == len(other) and all(a is b for a, b in zip(one, other, strict=True))
