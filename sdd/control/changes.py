"""Two states → the events between them, in the order in which a person would tell them.

Pure: no clock, no numbers; the journal adds both. What is new is told from the outside in, what is
gone from the inside out, each with the names it had while it was there.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from sdd import affected
from sdd.model import endpoint, health, network, record, sandbox, service, template
from sdd.model.event import Action, Event, Kind
from sdd.state import ClusterState


def between(old: ClusterState, new: ClusterState) -> tuple[Event, ...]:
    """Every difference that concerns people; none for equal states."""
    return (*_gone(old, new), *_come(old, new), *_changed(old, new))


def _come(old: ClusterState, new: ClusterState) -> Iterator[Event]:
    yield from (_template(each, Action.CREATE) for each in _more(old.templates, new.templates))
    yield from (_network(each, Action.CREATE) for each in _more(old.networks, new.networks))
    yield from (_sandbox(each, Action.CREATE) for each in _more(old.sandboxes, new.sandboxes))
    for at in _more(old.endpoints, new.endpoints):
        yield _endpoint(new, at, Action.CONNECT)
    yield from (_service(each, Action.CREATE) for each in _more(old.services, new.services))
    for member in _more(old.members, new.members):
        yield _member(new, member, Action.JOIN)
    for verdict in _more(old.verdicts, new.verdicts):
        yield _verdict(new, verdict)
    for each in _more(old.records, new.records):
        yield _record(new, each, "record-added")


def _gone(old: ClusterState, new: ClusterState) -> Iterator[Event]:
    for each in _more(new.records, old.records):
        if each.network in new.networks:  # else it went with its network
            yield _record(old, each, "record-removed")
    for member in _more(new.members, old.members):
        yield _member(old, member, Action.LEAVE)
    yield from (_service(each, Action.DESTROY) for each in _more(new.services, old.services))
    for at in _more(new.endpoints, old.endpoints):
        yield _endpoint(old, at, Action.DISCONNECT)
    yield from (_sandbox(each, Action.DESTROY) for each in _more(new.sandboxes, old.sandboxes))
    yield from (_network(each, Action.DESTROY) for each in _more(new.networks, old.networks))
    yield from (_template(each, Action.DESTROY) for each in _more(new.templates, old.templates))


def _changed(old: ClusterState, new: ClusterState) -> Iterator[Event]:
    for net in _other(old.networks, new.networks):
        yield _network(net, Action.UPDATE)
    for svc in _other(old.services, new.services):
        yield _service(svc, Action.UPDATE)
    for member in _other(old.members, new.members):
        yield _member(new, member, Action.UPDATE)
    for verdict in _other(old.verdicts, new.verdicts):
        before = old.verdicts[verdict.service, verdict.endpoint]
        if _told(verdict) != _told(before):
            yield _verdict(new, verdict)


def _told(verdict: health.Verdict) -> tuple[object, ...]:
    """What of it is news to people: not the reason alone."""
    return verdict.status, verdict.failing, verdict.ingress_failing


def _more(few: Mapping[Any, Any], many: Mapping[Any, Any]) -> Iterator[Any]:
    """What `many` has and `few` has not."""
    yield from (many[key] for key in affected.differing(few, many) if key not in few)


def _other(old: Mapping[Any, Any], new: Mapping[Any, Any]) -> Iterator[Any]:
    """The new values of keys that both have."""
    for key in affected.differing(old, new):
        if key in old and old[key] != new[key]:
            yield new[key]


# --- one event each -----------------------------------------------------------------------------


def _network(net: network.Network, action: Action) -> Event:
    attributes = {"name": net.name, "driver": net.driver.value}
    return Event(kind=Kind.NETWORK, action=action, subject=net.id, attributes=attributes)


def _template(of: template.Template, action: Action) -> Event:
    attributes = {"name": of.name, "driver": "null"}
    return Event(kind=Kind.NETWORK, action=action, subject=of.id, attributes=attributes)


def _record(state: ClusterState, of: record.Record, what: str) -> Event:
    attributes = {"name": _name(state.networks, of.network), what: str(of)}
    return Event(kind=Kind.NETWORK, action=Action.UPDATE, subject=of.network, attributes=attributes)


def _sandbox(box: sandbox.Sandbox, action: Action) -> Event:
    attributes = {"name": box.name, "origin": box.origin.value}
    return Event(kind=Kind.SANDBOX, action=action, subject=box.id, attributes=attributes)


def _endpoint(state: ClusterState, at: endpoint.Endpoint, action: Action) -> Event:
    attributes = {
        "name": _name(state.networks, at.network),
        "sandbox": _name(state.sandboxes, at.sandbox),
        "address": ",".join(str(each) for each in at.hosts),
    }
    return Event(kind=Kind.NETWORK, action=action, subject=at.network, attributes=attributes)


def _service(svc: service.Service, action: Action) -> Event:
    attributes = {"name": svc.name, "vip": ",".join(str(each) for each in svc.vips)}
    return Event(kind=Kind.SERVICE, action=action, subject=svc.id, attributes=attributes)


def _member(state: ClusterState, member: service.Member, action: Action) -> Event:
    attributes = {
        "name": _name(state.services, member.service),
        "sandbox": _name(state.sandboxes, member.sandbox),
        "weight": str(member.weight),
    }
    if member.drains_until:
        attributes["draining"] = "true"
    return Event(kind=Kind.SERVICE, action=action, subject=member.service, attributes=attributes)


def _verdict(state: ClusterState, verdict: health.Verdict) -> Event:
    member = state.members.get((verdict.service, verdict.endpoint))
    attributes = {
        "name": _name(state.services, verdict.service),
        "sandbox": _name(state.sandboxes, member.sandbox) if member else "",
        "state": verdict.status.value,
        "reason": verdict.reason,
    }
    return Event(
        kind=Kind.SERVICE, action=Action.HEALTH, subject=verdict.service, attributes=attributes
    )


def _name(table: Mapping[Any, Any], key: str) -> str:
    found = table.get(key)
    return found.name if found else ""
