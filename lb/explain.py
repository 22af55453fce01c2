"""State and kernel → how a new connection from a sandbox to a virtual address is decided. Pure.

In: the state, a sandbox, a virtual address, what the sandbox's kernel holds. Out: steps in the
order in which they are taken, each with the words for a person.
"""

import collections
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from lb import choice, maglev, moment, table, turns, world
from lb.desired import member_on, virtual_of
from sdd import steps, ways
from sdd.model import endpoint, network, ramp, reach, sandbox, service
from sdd.model.health import Status
from sdd.model.network import IPAddress
from sdd.model.port import Protocol
from sdd.model.serving import Mode, Way
from sdd.state import ClusterState

_FEW = 20  # whose shares are told one by one
_PLAIN = 10  # per cent: below it a share of 2.5 is not one of 2


class Step(NamedTuple):
    """One decision: what decides ("network", "member", "kernel", "choice", …), and its words."""

    stage: str
    text: str


class Target(NamedTuple):
    """A virtual address as one sandbox sees it: whose it is, and over which endpoint."""

    vip: IPAddress
    service: service.Service
    plug: endpoint.Endpoint


def targets(state: ClusterState, box: sandbox.Sandbox) -> Iterator[Target]:
    """Every virtual address that the sandbox sees, in gateway order."""
    for plug in state.endpoints_by_sandbox.get(box.id, ()):
        for each in state.services_by_network.get(plug.network, ()):
            for vip in each.vips:
                yield Target(vip, each, plug)
        if box.is_ingress and state.networks[plug.network].is_ingress:
            for each in state.ingress_services:
                for vip in each.ingress_vips:
                    yield Target(vip, each, plug)


def decided(
    state: ClusterState,
    target: Target,
    loads: Sequence[world.Load],
    backend: str,
    now: float,
    *,
    protocol: Protocol = Protocol.TCP,
) -> Iterator[Step]:
    """The steps up to the choice; `loads` is the kernel's own view, `backend` its name."""
    net = state.networks[target.plug.network]
    source = _address(target.plug, target.vip.version)
    yield Step(
        f"network {net.name}",
        f"{target.vip} is a virtual address of service {target.service.name};"
        f" this sandbox is {source} there, on {target.plug.ifname}{_apart(net)}",
    )
    yield from _members(state, target, now)
    yield Step("serving", _serving(state, target))
    counted = "udp" if protocol is Protocol.UDP else "tcp"  # SCTP is with TCP
    here = [each for each in loads if each.vip == target.vip and each.protocol == counted]
    wanted = virtual_of(moment.at(state, now).state, target.service, target.vip)
    held = wanted.weights
    if protocol is Protocol.UDP:  # no datagrams go to what drains
        held = {each.address: each.weight for each in wanted.open}
    yield Step("kernel", _held(here, held, backend))
    yield Step("choice", choice_of(wanted, backend))


NOBODY = "led to nobody"
# conntrack drops a connection that a reset answers at once (nf_conntrack_proto_tcp.c).
FORGOTTEN = "led to a member that the kernel has forgotten, as it does when that one refuses"
UNTOLD = "led to a member, but the kernel does not tell to which"
REFUSED = "connection refused"  # the system's words for ECONNREFUSED, as a try says them


def untold(said: str) -> str:
    """Whom a try was led to of which the kernel knows nothing; `said` is what became of it."""
    return FORGOTTEN if said == REFUSED else UNTOLD


def led(state: ClusterState, target: Target, to: IPAddress | None, now: float, said: str) -> str:
    """Who has the address that a try was led to, of which `said` came."""
    for end in state.endpoints_by_network.get(target.plug.network, ()):
        if to in end.hosts:
            return f"led to {state.sandboxes[end.sandbox].name} ({to})"
    if to is None:
        wanted = virtual_of(moment.at(state, now).state, target.service, target.vip)
        return untold(said) if wanted.open else NOBODY
    return NOBODY if to == target.vip else f"led to {to}, which is no sandbox"


def way(state: ClusterState, target: Target, to: IPAddress) -> Step:
    """What becomes of the packets, out and back."""
    source = _address(target.plug, target.vip.version)
    if to in target.plug.hosts:
        return Step(
            "way", f"it is this sandbox itself: its own packets come back to it as {source}"
        )
    net = state.networks[target.plug.network]
    answers = f"; the member sees {source} and answers it directly"
    if target.vip in target.service.ingress_vips:
        answers = f"; the member sees the client, here {source}, and answers by way of this sandbox"
    return Step(
        "way",
        f"rewritten in this sandbox, sent over {target.plug.ifname} to {to} on network {net.name}"
        f"{_apart(net) or answers}",
    )


def _apart(net: network.Network) -> str:
    """What becomes of the way to another sandbox of a network that keeps them apart."""
    option = reach.apart(net)
    return f", where {option} keeps sandboxes from reaching each other" if option else ""


def _members(state: ClusterState, target: Target, now: float) -> Iterator[Step]:
    members = state.members_by_service.get(target.service.id, ())
    if not members:
        yield Step("member", "there is none: sdctl service join SVC SANDBOX makes one")
    tenths = steps.of(state, target.service, now)
    for each in sorted(members, key=lambda one: state.sandboxes[one.sandbox].name):
        end = _end(state, target, each)
        address = _address(end, target.vip.version) if end else None
        words = _member(state, each, address, tenths[each.endpoint])
        yield Step(f"member {state.sandboxes[each.sandbox].name}", words)


def _member(state: ClusterState, member: service.Member, address: object, step: int) -> str:
    status = state.status_of(member)
    verdict = state.verdicts.get((member.service, member.endpoint))
    words = [f"{address or 'no address of this IP version'}", status.value]
    if verdict is not None and (
        status is not Status.UP or verdict.failing or verdict.ingress_failing
    ):
        words.append(verdict.reason)
    words.append("draining" if member.drains_until else f"weight {member.weight}")
    if step < ramp.STEPS:
        words.append(f"of which it gets {100 * step // ramp.STEPS} % for now")
    if member.backup:
        words.append("backup")
    return ", ".join(words)


def _serving(state: ClusterState, target: Target) -> str:
    svc = target.service
    way = Way(target.vip.version, is_ingress=target.vip in svc.ingress_vips)
    found = state.serving(svc, way.version, is_ingress=way.is_ingress)
    by = f" by {way}" if any(each != found for each in ways.of(state, svc).values()) else ""
    count = sum(bool(each.share) for each in found.members)
    match found.mode:
        case Mode.BACKUPS:
            return f"the backups, {count}: fewer than {svc.quorum} members are up{by}"
        case Mode.ALL:
            every = state.members_by_service.get(svc.id, ())
            lacks = len(found.members) < sum(not each.backup for each in every)
            but = f" but those that are up and fail{by}" if lacks else ""
            return (
                f"all members{but}, {count}: fewer than {svc.panic} % are up, no check is believed"
            )
        case Mode.MEMBERS:
            return f"the members that are up{by} and take connections: {count}"


def _end(state: ClusterState, target: Target, member: service.Member) -> endpoint.Endpoint | None:
    return member_on(state, member, is_ingress=target.vip in target.service.ingress_vips)


def _held(here: Sequence[world.Load], wanted: Mapping[IPAddress, int], backend: str) -> str:
    have = {each.address: each.weight for each in here if each.address is not None}
    if not here:
        return f"{backend} in this sandbox does not know the address; see: sdctl verify"
    said = ", ".join(f"{address} weight {weight}" for address, weight in have.items())
    if have != wanted:
        return f"{backend} in this sandbox has {said or 'no backend'}, not as it should be yet"
    return f"{backend} in this sandbox has {said or 'no backend'}, as it should be"


def choice_of(svc: table.VirtualService, backend: str) -> str:
    """How `backend` (ipvs or nftables) chooses among the backends that take connections."""
    ready = svc.open
    if not ready:
        return 'no backend takes connections: the client hears "refused" at once'
    if len(ready) == 1:
        return f"{ready[0].address} is the only one"
    return f"{svc.scheduler} {_how(svc, ready, backend)}"


def _how(svc: table.VirtualService, ready: Sequence[table.Backend], backend: str) -> str:
    if backend != "nftables":
        return "of the kernel's IPVS, by these weights" + (
            f"; a client stays for {svc.persistence_s} s" if svc.persistence_s else ""
        )
    ready = choice.taking(ready, svc.scheduler)
    if len(ready) == 1:
        return f"takes {ready[0].address} while it is there"
    key = choice.key(svc.scheduler, svc.persistence_s)
    if key is None:
        weighted = choice.counts_weights(svc.scheduler)
        return f"gives turns: {_shares(turns.turns(ready, weighted=weighted))}"
    return f"hashes the {key}: {_shares(maglev.slots(ready))}, the same for the same"


def _shares(places: Sequence[table.Backend]) -> str:
    """Who has how much; of many no more than how many they are, and the least and the most."""
    counts = collections.Counter(each.address for each in places)
    if len(counts) > _FEW:
        least, most = (_percent(of(counts.values()), len(places)) for of in (min, max))
        each = least if least == most else f"{least} to {most}"
        return f"{len(counts)} backends, each {each}"
    ordered = sorted(counts.items(), key=lambda each: (each[0].version, int(each[0])))
    return ", ".join(f"{address} {_percent(count, len(places))}" for address, count in ordered)


def _percent(count: int, of: int) -> str:
    share = 100 * count / of
    return f"{share:.0f} %" if share >= _PLAIN else f"{share:.2g} %"


def _address(end: endpoint.Endpoint, version: int) -> IPAddress | None:
    return next((each for each in end.hosts if each.version == version), None)
