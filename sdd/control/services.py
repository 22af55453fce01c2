"""Services: a name with virtual addresses on one network.

In: requests and the Ground. Out: plans. A service name and a sandbox's alias may be the same on
one network, as in Docker: the resolver decides which answers.
"""

from sdd import errors
from sdd.alloc import addresses, names, numbers
from sdd.control import checks, effects, ingress, keys, lookup, members, ports, taken
from sdd.control.ground import Draft, Ground, Plan
from sdd.model import ids, network, request, service
from sdd.model.network import IPAddress
from sdd.store import codec

KIND = "service"
QUORUM_MAX = 65535  # more members than any service can have
PERCENT = 100
SLOW_START_MAX_S = 24 * 3600


def create(
    ground: Ground, asked: request.ServiceCreate, busy: ports.Busy = ports.NOT_BUSY
) -> Plan[service.Service]:
    """A new service. `busy` are the host's ports that other programs have.

    Refused: SDD-SERVICE-NAME, -EXISTS, -NETWORK, -VIP, -HEALTH, -TIME, -IDLE, and what taken.py and
    ports.py refuse.
    """
    _check_name(ground, asked.name)
    net = lookup.network(ground.now, asked.network)
    _check_network(net, asked)
    draft = Draft(ground)
    identity = ids.ServiceId(ground.new_id())
    made = service.Service(
        id=identity,
        name=asked.name,
        network=net.id,
        number=_number(ground),
        vips=_vips(ground, draft, net, asked, identity),
        mode=asked.mode,
        scheduler=asked.scheduler,
        health=asked.health,
        aliases=tuple(dict.fromkeys(asked.aliases)),
        labels=asked.labels,
        drain_s=asked.drain_s,
        persistence_s=asked.persistence_s,
        weight=asked.weight,
        quorum=asked.quorum,
        panic=asked.panic,
        slow_start_s=asked.slow_start_s,
        ports=ports.publish(
            ports.Book(ground, draft), (KIND, identity), asked.publish, (net,), busy=busy
        ),
        created=ground.at,
    )
    check(made)
    effects.check_made(made)
    made = ingress.served(ground, draft, made)
    draft.hold(net)
    draft.create(made)
    draft.claim(keys.name(KIND, made.name), made.id)
    draft.claim(keys.number(made.number), made.id)
    return draft.plan(made, draft.made)


def remove(ground: Ground, ref: str) -> Plan[service.Service]:
    """Nothing of the service remains: members and verdicts go with it."""
    svc = lookup.service(ground.now, ref)
    draft = Draft(ground)
    draft.remove(svc)
    draft.delete(keys.name(KIND, svc.name))
    draft.delete(keys.number(svc.number))
    for vip in svc.vips:
        draft.delete(keys.address(svc.network, vip))
    ports.Book(ground, draft).withdraw(svc.id, svc.ports)
    ingress.closed(ground, draft, svc)
    for member in ground.now.members_by_service.get(svc.id, ()):
        draft.delete(codec.key(member))
        draft.delete(codec.verdict_key(member.service, member.endpoint))
    return draft.plan(svc, {svc.id})


# --- choices ---------------------------------------------------------------------------------


def _number(ground: Ground) -> int:
    return numbers.lowest_free(KIND, lambda each: ground.claims.holds(keys.number(each)))


def _vips(
    ground: Ground,
    draft: Draft,
    net: network.Network,
    asked: request.ServiceCreate,
    holder: ids.ServiceId,
) -> tuple[IPAddress, ...]:
    """One address per family of the network in vip mode, none in dnsrr mode."""
    if asked.mode is service.EndpointMode.DNSRR:
        return ()
    chosen: list[IPAddress] = []
    for vip in asked.all_vips:
        if vip.version not in addresses.families(net):
            raise taken.outside(net, vip)
    for version in addresses.families(net):
        wanted = next((each for each in asked.all_vips if each.version == version), None)
        _, ip = taken.choose(ground, draft, net, version, wanted)
        draft.claim_address(net, ip, holder)
        chosen.append(ip)
    return tuple(chosen)


# --- checks ----------------------------------------------------------------------------------


def _check_name(ground: Ground, name: str) -> None:
    names.checked_service(name)
    if ground.claims.holds(keys.name(KIND, name)):
        svc = lookup.service(ground.now, name)
        raise errors.Conflict(
            f"service {name} already exists ({ids.short(svc.id)})",
            hint=f"choose another name, or remove that one first: sdctl service rm {name}",
            code="SDD-SERVICE-EXISTS",
        )


def _check_network(net: network.Network, asked: request.ServiceCreate) -> None:
    if net.predefined:
        raise errors.Invalid(
            f"service {asked.name!r} needs a user-made network:"
            f" the pre-defined network {net.name} has no names",
            hint="make one first: sdctl network create NAME",
            code="SDD-SERVICE-NETWORK",
        )
    if asked.all_vips and asked.mode is service.EndpointMode.DNSRR:
        raise errors.Invalid(
            f"service {asked.name!r} cannot have the virtual address {asked.all_vips[0]}"
            " in endpoint mode dnsrr",
            hint="use --endpoint-mode vip, or leave --vip out",
            code="SDD-SERVICE-VIP",
        )
    if len({each.version for each in asked.all_vips}) < len(asked.all_vips):
        raise errors.Invalid(
            f"service {asked.name!r} cannot have two virtual addresses of one IP version:"
            f" {', '.join(map(str, asked.all_vips))}",
            hint="give one for each family of the network, or make another service",
            code="SDD-SERVICE-VIP",
        )


def check(svc: service.Service) -> None:
    """What can be set and changed has a meaning.

    Refused: SDD-SERVICE-HEALTH, -TIME, -QUORUM, -PANIC, -SLOWSTART, SDD-MEMBER-WEIGHT.
    """
    for alias in svc.aliases:
        names.checked_owned("alias", alias)
    if wrong := checks.fault(svc.health):
        raise errors.Invalid(
            f"service {svc.name!r}: the health check cannot work: {wrong}",
            hint="example: --health tcp:80 --health-interval 2s --health-rise 2 --health-fall 3",
            code="SDD-SERVICE-HEALTH",
        )
    for what, seconds, most_s in (
        ("drain", svc.drain_s, members.DRAIN_MAX_S),
        ("persistence", svc.persistence_s, service.PERSISTENCE_MAX_S),
    ):
        if not 0 <= seconds <= most_s:
            raise errors.Invalid(
                f"service {svc.name!r}: a {what} of {seconds:.15g} s"
                f" is not between 0 and {most_s} s",
                hint="give seconds, or such as 30s, 5m, 2h; 0 for none",
                code="SDD-SERVICE-TIME",
            )
    members.check_weight(svc.weight)
    if not 1 <= svc.quorum <= QUORUM_MAX:
        raise errors.Invalid(
            f"service {svc.name!r}: the quorum {svc.quorum} is not between 1 and {QUORUM_MAX}",
            hint="it is how many members must be up, or backups serve; see: sdctl service join -h",
            code="SDD-SERVICE-QUORUM",
        )
    if not 0 <= svc.panic <= PERCENT:
        raise errors.Invalid(
            f"service {svc.name!r}: the panic threshold {svc.panic} is no percentage",
            hint="give 0 to 100; with fewer percent of the members up, all serve; 0 is never",
            code="SDD-SERVICE-PANIC",
        )
    _check_slow_start(svc)


def _check_slow_start(svc: service.Service) -> None:
    if not 0 <= svc.slow_start_s <= SLOW_START_MAX_S:
        raise errors.Invalid(
            f"service {svc.name!r}: a slow start of {svc.slow_start_s:g} s is not between 0 and"
            f" {SLOW_START_MAX_S} s",
            hint="say how long a member grows to its full share, such as --slow-start 30s",
            code="SDD-SERVICE-SLOWSTART",
        )
    if not svc.slow_start_s:
        return
    if svc.mode is service.EndpointMode.DNSRR:
        raise errors.Invalid(
            f"service {svc.name!r} cannot start members slowly: in endpoint mode dnsrr the"
            " callers choose among all addresses",
            hint="use --endpoint-mode vip, or leave --slow-start out",
            code="SDD-SERVICE-SLOWSTART",
        )
    if svc.scheduler not in service.WEIGHING:
        raise errors.Invalid(
            f"service {svc.name!r} cannot start members slowly: the scheduler"
            f" {svc.scheduler.value} does not share by weight",
            hint=f"use one of {', '.join(sorted(service.WEIGHING))}, or leave --slow-start out",
            code="SDD-SERVICE-SLOWSTART",
        )
