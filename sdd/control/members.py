"""Memberships: which endpoints serve a service, and with what weight.

In: refs and the Ground. Out: plans. Both the service and the sandbox are touched, so that removing
either never leaves a membership behind.
"""

from collections.abc import Iterable
from dataclasses import replace

from sdd import errors, ways
from sdd.control import ingress, lookup, sandbox_checks
from sdd.control.ground import Draft, Ground, Plan
from sdd.model import endpoint, health, ids, port, request, sandbox, service
from sdd.state import ClusterState
from sdd.store import codec

WEIGHT_MAX = 65535  # what IPVS takes
DRAIN_MAX_S = 24 * 3600
WITHDRAWN_S = 5.0  # how long a command waits until nothing goes to a member any more
COMPLETED_S = WITHDRAWN_S + 5.0  # after that it is not the command any more that takes it away


def join(ground: Ground, service_ref: str, asked: request.Join) -> Plan[service.Member]:
    """A new membership.

    Refused: SDD-MEMBER-EXISTS, -NETWORK, -WEIGHT, SDD-SANDBOX-PREDEFINED, -LEAVING.
    """
    svc = lookup.service(ground.now, service_ref)
    box = lookup.sandbox(ground.now, asked.sandbox)
    sandbox_checks.check_staying(box)
    ends = ground.now.endpoints_by_sandbox.get(box.id, ())
    for end in ends:
        if (svc.id, end.id) in ground.now.members:
            raise errors.Conflict(
                f"sandbox {box.name} is already a member of service {svc.name}",
                hint=f"change its weight with: sdctl service set-weight {svc.name} {box.name} N",
                code="SDD-MEMBER-EXISTS",
            )
    draft = Draft(ground)
    made = enter(ground, draft, svc, ends, weight=asked.weight, backup=asked.backup, name=box.name)
    draft.touch(box)
    ingress.joined(ground, draft, box, (svc,))
    return draft.plan(made, {svc.id, box.id, made.endpoint, *draft.made})


def leave(ground: Ground, service_ref: str, sandbox_ref: str) -> Plan[service.Member]:
    """The membership is gone, with its verdict. Refused: SDD-MEMBER-NOTFOUND."""
    svc, box, member = _found(ground, service_ref, sandbox_ref)
    draft = Draft(ground)
    _end(ground, draft, member)
    return draft.plan(member, {svc.id, box.id, member.endpoint})


def drain(
    ground: Ground, service_ref: str, sandbox_ref: str, drain_s: float | None
) -> Plan[service.Member] | None:
    """The membership that takes nothing new from now on and ends after `drain_s` at the latest.

    None asks for the service's own time. No plan when there is nothing to wait for: no time, a
    member that is not healthy and so has lost its connections, or a service to which this node's
    kernel leads nobody.
    """
    svc, box, member = _found(ground, service_ref, sandbox_ref)
    patience_s = svc.drain_s if drain_s is None else drain_s
    _check_drain(patience_s)
    is_led = svc.vips or svc.ingress_vips or any(map(_is_counted, svc.ports))
    if not patience_s or not is_led or ground.now.status_of(member) is not health.Status.UP:
        return None
    changed = replace(member, drains_until=ground.at + patience_s)
    draft = Draft(ground)
    draft.replace(member, changed)
    return draft.plan(changed, {svc.id, box.id, member.endpoint}, begins_removal=True)


def withdraw(
    ground: Ground,
    those: Iterable[service.Member],
    goes: sandbox.Sandbox | endpoint.Endpoint | None = None,
) -> Plan[tuple[service.Member, ...]] | None:
    """Nothing new goes to `those` from now on, for what they are reached by, `goes`, is to go.

    What nobody ends after all, for the daemon was killed in between, ends by itself: a membership
    after `WITHDRAWN_S`, and `goes` with all that it has a little later. None when nothing goes to
    any of them as it is, unless such an end was begun before.
    """
    draft = Draft(ground)
    withdrawn = tuple(
        replace(each, drains_until=ground.at + WITHDRAWN_S)
        for each in those
        if _is_chosen(ground.now, each)
    )
    if not withdrawn and not (goes and goes.leaves_at):
        return None
    for each in withdrawn:
        draft.replace(ground.now.members[each.service, each.endpoint], each)
    if goes:
        draft.replace(goes, replace(goes, leaves_at=ground.at + COMPLETED_S))
    return draft.plan(withdrawn, (), begins_removal=True)


def retire(
    ground: Ground, service_ref: str, sandbox_ref: str
) -> Plan[tuple[service.Member, ...]] | None:
    """As `withdraw`, where leaving takes a way away: that from published ports to the member.

    Refused: SDD-MEMBER-NOTFOUND.
    """
    svc, _, member = _found(ground, service_ref, sandbox_ref)
    return withdraw(ground, (member,)) if svc.ingress_vips else None


def drained(ground: Ground, of: ids.ServiceId, end: ids.EndpointId) -> Plan[service.Member] | None:
    """The membership that has drained is gone; None when it is gone already or stays after all."""
    member = ground.now.members.get((of, end))
    if member is None or not member.drains_until:
        return None
    draft = Draft(ground)
    _end(ground, draft, member)
    return draft.plan(member, {of, member.sandbox, end})


def set_weight(
    ground: Ground, service_ref: str, sandbox_ref: str, weight: int
) -> Plan[service.Member]:
    """The membership with its new weight; one that was leaving stays."""
    svc, box, member = _found(ground, service_ref, sandbox_ref)
    check_weight(weight)
    changed = replace(member, weight=weight, drains_until=0.0)
    draft = Draft(ground)
    draft.replace(member, changed)
    return draft.plan(changed, {svc.id, box.id, member.endpoint})


def enter(
    ground: Ground,
    draft: Draft,
    svc: service.Service,
    ends: Iterable[endpoint.Endpoint],
    *,
    weight: int | None = None,
    backup: bool = False,
    name: str = "",
) -> service.Member:
    """Adds to `draft` the membership of the one endpoint on the service's network.

    The sandbox is the caller's to touch or write; without a weight it is the service's.
    """
    share = svc.weight if weight is None else weight
    check_weight(share)
    end = next((each for each in ends if each.network == svc.network), None)
    if end is None:
        net = ground.now.networks[svc.network].name
        raise errors.Conflict(
            f"sandbox {name} cannot join service {svc.name}: it is not connected to network {net}",
            hint=f"connect it first: sdctl network connect {net} {name}",
            code="SDD-MEMBER-NETWORK",
        )
    sandbox_checks.check_connected(ground.now, end)
    made = service.Member(
        service=svc.id,
        endpoint=end.id,
        sandbox=end.sandbox,
        node=end.node,
        weight=share,
        backup=backup,
        created=ground.at,
    )
    draft.touch(svc)
    draft.create(made)
    return made


def _end(ground: Ground, draft: Draft, member: service.Member) -> None:
    draft.remove(member)
    draft.delete(codec.verdict_key(member.service, member.endpoint))
    ingress.left(ground, draft, member.sandbox, {(member.service, member.endpoint)})


def _is_chosen(now: ClusterState, member: service.Member) -> bool:
    """Whether anything new goes to it, in whatever way."""
    found = ways.of(now, now.services[member.service]).values()
    return any(each.takes(member.endpoint) for each in found)


def _is_counted(each: port.Port) -> bool:
    """Whether somebody can be connected through it; UDP flows have no end to wait for."""
    return bool(each.published) and each.protocol is not port.Protocol.UDP


def _found(
    ground: Ground, service_ref: str, sandbox_ref: str
) -> tuple[service.Service, sandbox.Sandbox, service.Member]:
    member = lookup.member(ground.now, service_ref, sandbox_ref)
    return ground.now.services[member.service], ground.now.sandboxes[member.sandbox], member


def _check_drain(drain_s: float) -> None:
    if not 0 <= drain_s <= DRAIN_MAX_S:
        raise errors.Invalid(
            f"a drain of {drain_s:g} s is not between 0 and {DRAIN_MAX_S} s",
            hint="give the longest time to wait for live connections, such as --drain 30s",
            code="SDD-MEMBER-DRAIN",
        )


def check_weight(weight: int) -> None:
    """A weight the kernels take. Refused: SDD-MEMBER-WEIGHT."""
    if not 0 <= weight <= WEIGHT_MAX:
        raise errors.Invalid(
            f"weight {weight} is not between 0 and {WEIGHT_MAX}",
            hint="1 is the usual weight; 0 takes no new connections",
            code="SDD-MEMBER-WEIGHT",
        )
