"""Changes of a service that lives: its members stay, and so do their connections.

In: refs, requests and the Ground. Out: plans that know what was before, so that a change which
this node cannot realise is taken back.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sdd import errors
from sdd.alloc import bounds
from sdd.control import effects, ingress, lookup, ports, services
from sdd.control.ground import Draft, Ground, Plan
from sdd.model import health, request, service
from sdd.model.port import Port
from sdd.model.service import CheckKind, HealthCheck
from sdd.store import codec

# What a check asks, as opposed to when and how often: of another kind it is meaningless.
_TARGET = ("port", "host", "path", "ttl_s", "command")
_HEALTH = tuple(request.HealthChange.__dataclass_fields__)
_PLAIN = ("scheduler", "drain_s", "persistence_s", "weight", "quorum", "panic", "slow_start_s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """A service before and after."""

    before: service.Service
    after: service.Service


def update(
    ground: Ground,
    ref: str,
    asked: request.ServiceUpdate,
    busy: ports.Busy = ports.NOT_BUSY,
) -> Plan[Update]:
    """The service with what is asked for. `busy` are the host's ports that other programs have.

    Refused: SDD-SERVICE-HEALTH, -TIME, -QUORUM, -PANIC, -SLOWSTART, -ALIAS, -LABEL, -IDLE,
    -PORT, SDD-MEMBER-WEIGHT, and what ports.py refuses.
    """
    svc = lookup.service(ground.now, ref)
    draft = Draft(ground)
    after = replace(changed(svc, asked), ports=_ports(ground, draft, svc, asked, busy))
    effects.check_changed(after, asked)
    after = ingress.served(ground, draft, after)
    draft.replace(svc, after)
    _judge(ground, draft, svc, after)
    return draft.plan(Update(before=svc, after=after), {svc.id, *draft.made})


def changed(svc: service.Service, asked: request.ServiceUpdate) -> service.Service:
    """The service with what is asked for, checked."""
    after = replace(
        svc,
        **_given(asked, _PLAIN),
        health=_check(svc.health, asked.health),
        aliases=_aliases(svc, asked),
        labels=_labels(svc, asked),
    )
    services.check(after)
    for field in ("aliases", "labels"):
        bounds.check_count(field, len(getattr(after, field)), f"service {svc.name}")
    return after


def restore(ground: Ground, made: Update) -> Plan[Update]:
    """The service as it was before; refused when it was changed again meanwhile."""
    if ground.now.services.get(made.after.id) != made.after:
        raise errors.Conflict(f"service {made.after.name} was changed again")
    draft = Draft(ground)
    # Addresses that it had on the network `ingress` are gone, and may be somebody else's.
    before = replace(made.before, ingress_vips=made.after.ingress_vips)
    is_kept = ingress.is_wanted(before) or before.ingress_leaves_at
    before = (ingress.served if is_kept else ingress.closed)(ground, draft, before)
    draft.replace(made.after, before)
    book = ports.Book(ground, draft)
    book.restore(made.after.id, made.after.ports, made.before.ports)
    _judge(ground, draft, made.after, before)
    return draft.plan(Update(before=made.after, after=before), {before.id})


def _judge(ground: Ground, draft: Draft, before: service.Service, after: service.Service) -> None:
    """Members keep the status they have until the new check says otherwise.

    Without this a first check would take all members away for as long as it needs to pass.
    """
    first = before.health.kind is CheckKind.NONE and after.health.kind is not CheckKind.NONE
    last = before.health.kind is not CheckKind.NONE and after.health.kind is CheckKind.NONE
    for member in ground.now.members_by_service.get(after.id, ()):
        if first:
            draft.put(
                health.Verdict(
                    service=member.service,
                    endpoint=member.endpoint,
                    status=health.Status.UP,
                    since=member.created,
                    reason="was up before it was checked",
                )
            )
        elif last:
            draft.delete(codec.verdict_key(member.service, member.endpoint))


def _ports(
    ground: Ground,
    draft: Draft,
    svc: service.Service,
    asked: request.ServiceUpdate,
    busy: ports.Busy,
) -> tuple[Port, ...]:
    """What leaves is free for what comes: a port can move from one target to another."""
    gone = _named(svc, asked.publish_remove)
    book = ports.Book(ground, draft)
    book.withdraw(svc.id, gone)
    kept = [each for each in svc.ports if each not in gone]
    net = ground.now.networks[svc.network]
    return ports.publish(
        book, (services.KIND, svc.id), asked.publish_add, (net,), busy=busy, have=kept
    )


def _named(svc: service.Service, those: Collection[request.Unpublish]) -> Collection[Port]:
    """The ports that `those` name; refused when one of them names none."""
    near: defaultdict[tuple[int, int], list[Port]] = defaultdict(list)
    for each in svc.ports:
        near[each.published, 0].append(each)
        near[0, each.target].append(each)
    found: dict[Port, None] = {}
    for one in dict.fromkeys(those):
        numbers = (one.published, 0 if one.published else one.target)
        named = [each for each in near.get(numbers, ()) if _is_named(each, one)]
        if not named:
            raise errors.NotFound(
                f"service {svc.name} publishes no {_words(one)}",
                hint=f"see what it has: sdctl service inspect {svc.name}",
                code="SDD-SERVICE-PORT",
            )
        found.update(dict.fromkeys(named))
    return found.keys()


def _is_named(each: Port, one: request.Unpublish) -> bool:
    return (
        each.protocol is one.protocol
        and bool(one.target or one.published)
        and one.target in (0, each.target)
        and one.published in (0, each.published)
        and one.address in (None, each.address)
    )


def _words(one: request.Unpublish) -> str:
    """What was to be removed, as `--publish-rm` has it."""
    if not one.published:
        return f"target port {one.target}/{one.protocol}"
    where = "" if one.address is None else f" at {one.address}"
    to = f" to target port {one.target}" if one.target else ""
    return f"port {one.published}/{one.protocol}{where}{to}"


def _check(before: HealthCheck, asked: request.HealthChange) -> HealthCheck:
    given = _given(asked, _HEALTH)
    if asked.kind is None or asked.kind is before.kind:
        return replace(before, **given)
    fresh = HealthCheck()
    return replace(before, **{each: getattr(fresh, each) for each in _TARGET} | given)


def _given(asked: object, fields: Collection[str]) -> dict[str, Any]:
    every = {each: getattr(asked, each) for each in fields}
    return {name: value for name, value in every.items() if value is not None}


def _aliases(svc: service.Service, asked: request.ServiceUpdate) -> tuple[str, ...]:
    _check_known(svc, "alias", svc.aliases, asked.alias_remove)
    kept = [each for each in svc.aliases if each not in asked.alias_remove]
    return tuple(dict.fromkeys((*kept, *asked.alias_add)))


def _labels(svc: service.Service, asked: request.ServiceUpdate) -> dict[str, str]:
    _check_known(svc, "label", tuple(svc.labels), asked.label_remove)
    kept = {key: each for key, each in svc.labels.items() if key not in asked.label_remove}
    return kept | dict(asked.label_add)


def _check_known(
    svc: service.Service, what: str, have: Collection[str], remove: Sequence[str]
) -> None:
    for each in remove:
        if each not in have:
            raise errors.NotFound(
                f"service {svc.name} has no {what} {errors.quoted(each)}",
                hint=f"see what it has: sdctl service inspect {svc.name}",
                code=f"SDD-SERVICE-{what.upper()}",
            )
