"""Networks: which may be made, with which subnets, and which may go.

In: requests and the Ground. Out: plans. Subnets are chosen in subnets.py.
"""

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import IPv4Interface
from typing import TypeVar

from sdd import errors
from sdd.alloc import bounds, names
from sdd.control import (
    keys,
    link_names,
    lookup,
    nameservers,
    options,
    parents,
    subnets,
    templates,
    versions,
)
from sdd.control.ground import Draft, Ground, Plan
from sdd.model import ids, network, request
from sdd.model.forwardzone import ForwardZone
from sdd.model.template import Template
from sdd.state import ClusterState
from sdd.store import codec

KIND = "network"
BUILT = frozenset(options.KNOWN)
# Docker's other pre-defined names, and those of ours that come and go by themselves.
RESERVED = network.NOT_OURS | {network.INGRESS_NAME, network.GATEWAY_NAME}


T = TypeVar("T")


def create(ground: Ground, asked: request.NetworkCreate) -> Plan[network.Network]:
    """A new user-made network.

    Refused: SDD-NET-NAME, -EXISTS, -DRIVER, -OPTION, -PARENT, and what subnets.py and templates.py
    refuse. Raises `parents.Unseen` for links of the host that must be looked at first.
    """
    _check_name(ground, asked.name)
    asked = versions.said(asked)
    asked, template = templates.applied(ground.now, asked)
    _check_driver(asked)
    options.check(ground.now, asked)
    asked = link_names.own(ground, asked)
    parents.check(ground, asked)
    asked = replace(asked, dns_zones=_zones(asked.dns_zones))
    _check_dns(ground, asked)
    made = network.Network(
        id=ids.NetworkId(ground.new_id()),
        name=asked.name,
        driver=asked.driver,
        pools=(pools := subnets.choose(ground, asked)),
        internal=asked.internal or options.is_alone(asked),
        attachable=asked.attachable,
        ipv6=any(pool.subnet.version != subnets.V4 for pool in pools),
        options=asked.options,
        labels=asked.labels,
        dns=asked.dns,
        dns_search=asked.dns_search,
        dns_zones=asked.dns_zones,
        template=template.id if template else "",
        created=ground.at,
    )
    parents.check_ipv6(made, parents.mtu_of(ground, made))
    draft = Draft(ground)
    write(draft, made)
    if template:
        draft.touch(template)  # nobody removes it meanwhile
    return draft.plan(made, {made.id})


def create_template(ground: Ground, asked: request.NetworkCreate) -> Plan[Template]:
    """A configuration, which has its name among the networks. Refused: as templates.py does."""
    _check_name(ground, asked.name)
    asked = replace(asked, dns_zones=_zones(asked.dns_zones))
    _check_dns(ground, asked)
    return templates.create(ground, versions.said(asked))


def default_of(bip: IPv4Interface | None) -> request.NetworkCreate:
    """What is asked for with the predefined network."""
    spec = request.PoolSpec(subnet=bip.network, gateway=bip.ip) if bip else request.PoolSpec()
    return request.NetworkCreate(name=network.DEFAULT_NAME, pools=(spec,))


def create_default(
    ground: Ground, bip: IPv4Interface | None, mtu: int
) -> Plan[network.Network] | None:
    """The predefined network; None when it is there and as wanted.

    An unused one with another address than `bip` is made anew; a used one is refused with
    SDD-NET-BIP, for its sandboxes hold addresses of the old subnet.
    """
    every = ground.now.networks.values()
    there = next((net for net in every if net.predefined and not net.is_closed), None)
    if there and _suits(there, bip, mtu):
        return None
    draft = Draft(ground)
    if there:
        _check_moves(ground.now, there, bip)
        _check_empty(draft, there)
        erase(draft, ground.now, there)
    asked = default_of(bip)
    made = network.Network(
        id=ids.NetworkId(ground.new_id()),
        name=network.DEFAULT_NAME,
        pools=subnets.choose(ground, asked, without=there),
        predefined=True,
        options={network.OPTION_MTU: str(mtu)} if mtu else network.EMPTY,
        created=ground.at,
    )
    write(draft, made)
    return draft.plan(made, {made.id})


def update(ground: Ground, ref: str, asked: request.NetworkUpdate) -> Plan[network.Network]:
    """The network with other DNS settings; its sandboxes follow at once.

    Refused: SDD-NET-PREDEFINED (it has no names), -DNS (nothing to remove), -SEARCH.
    """
    net = lookup.network(ground.now, ref)
    if net.predefined:
        raise errors.Forbidden(
            f"{net.name} is a pre-defined network and has no names to be set",
            hint="DNS settings belong to the networks you made",
            code="SDD-NET-PREDEFINED",
        )
    changed = replace(
        net,
        dns=_edited(net, "DNS server", net.dns, asked.dns_add, asked.dns_remove),
        dns_search=_edited(
            net, "search domain", net.dns_search, asked.search_add, asked.search_remove
        ),
        dns_zones=_edited(
            net, "forward zone", net.dns_zones, _zones(asked.zone_add), _zones(asked.zone_remove)
        ),
    )
    _check_dns(ground, changed)
    for field in ("dns", "dns_search", "dns_zones"):
        bounds.check_count(field, len(getattr(changed, field)), f"network {net.name}")
    draft = Draft(ground)
    draft.replace(net, changed)
    ends = ground.now.endpoints_by_network.get(net.id, ())
    return draft.plan(changed, {net.id, *(end.id for end in ends)})


def remove(ground: Ground, ref: str) -> Plan[network.Network]:
    """Nothing of the network remains. Refused: SDD-NET-PREDEFINED, -INUSE."""
    net = lookup.network(ground.now, ref)
    if net.predefined:
        raise errors.Forbidden(
            f"{net.name} is a pre-defined network and cannot be removed",
            hint="it goes with the last service that has ports with mode=ingress"
            if net.is_closed
            else "remove the networks you made; this one stays empty when nobody uses it",
            code="SDD-NET-PREDEFINED",
        )
    _check_unused(ground.now, net)
    draft = Draft(ground)
    _check_empty(draft, net)
    erase(draft, ground.now, net)
    return draft.plan(net, {net.id})


# --- checks ----------------------------------------------------------------------------------


def _check_name(ground: Ground, name: str) -> None:
    names.checked(KIND, name)
    if name in RESERVED:
        raise errors.Forbidden(
            f"operation is not permitted on predefined {name} network",
            hint="choose another name",
            code="SDD-NET-PREDEFINED",
        )
    if ground.claims.holds(keys.name(KIND, name)):
        net = lookup.any_network(ground.now, name)
        stays = isinstance(net, network.Network) and net.predefined
        removal = "" if stays else f", or remove that one first: sdctl network rm {name}"
        raise errors.Conflict(
            f"network with name {name} already exists ({ids.short(net.id)})",
            hint=f"choose another name{removal}",
            code="SDD-NET-EXISTS",
        )


def _check_driver(asked: request.NetworkCreate) -> None:
    if asked.driver not in BUILT:
        raise errors.Invalid(
            f"network {asked.name!r}: the driver {asked.driver.value!r} is not built in yet",
            hint=f"what there is: {', '.join(sorted(BUILT))}",
            code="SDD-NET-DRIVER",
        )


def _check_unused(now: ClusterState, net: network.Network) -> None:
    holders = [
        f"{now.sandboxes[each.sandbox].name} ({ids.short(each.id)})"
        for each in now.endpoints_by_network.get(net.id, ())
    ]
    if holders:
        raise errors.Forbidden(
            f"network {net.name} has active endpoints: {listed(holders)}",
            hint=f"remove these sandboxes, or: sdctl network disconnect {net.name} SANDBOX",
            code="SDD-NET-INUSE",
        )
    users = [each.name for each in now.services_by_network.get(net.id, ())]
    if users:
        raise errors.Forbidden(
            f"network {net.name} is in use by service {listed(users)}",
            hint="remove the services first: sdctl service rm SERVICE",
            code="SDD-NET-INUSE",
        )


def _zones(given: Iterable[ForwardZone]) -> tuple[ForwardZone, ...]:
    """Each once, in the usual form. Refused: SDD-NAME-HOST, SDD-NAME-FORWARD."""
    whole = (replace(each, zone=names.checked_forward_zone(each.zone)) for each in given)
    return tuple(dict.fromkeys(whole))


def _check_dns(ground: Ground, of: request.NetworkCreate | network.Network) -> None:
    servers = (*of.dns, *(each.server for each in of.dns_zones))
    nameservers.check(servers, ground.transports)
    for domain in of.dns_search:
        names.checked_search(domain)


def _edited(
    net: network.Network, what: str, old: tuple[T, ...], add: tuple[T, ...], remove: tuple[T, ...]
) -> tuple[T, ...]:
    """`old` without `remove` and with `add`, each once."""
    for each in remove:
        if each not in old:
            raise errors.NotFound(
                f"network {net.name} has no {what} {each}",
                hint=f"it has: {', '.join(map(str, old)) or 'none'}",
                code="SDD-NET-DNS",
            )
    kept = [each for each in old if each not in remove]
    return tuple(dict.fromkeys((*kept, *add)))


def _suits(net: network.Network, bip: IPv4Interface | None, mtu: int) -> bool:
    pool = net.pools[0]
    same = bip is None or (pool.subnet, pool.gateway) == (bip.network, bip.ip)
    return same and net.mtu == mtu


def _check_moves(now: ClusterState, net: network.Network, bip: IPv4Interface | None) -> None:
    if now.endpoints_by_network.get(net.id):
        raise errors.Conflict(
            f"the network {net.name!r} ({net.pools[0].subnet}) cannot take the configured"
            f" address {bip or 'or mtu'} while sandboxes use it",
            hint="set bip and mtu back to what they were, or remove these sandboxes first",
            code="SDD-NET-BIP",
        )


# --- writes ----------------------------------------------------------------------------------


def write(draft: Draft, net: network.Network) -> None:
    """Adds to `draft` a new network with its claims."""
    draft.create(net)
    draft.claim(keys.name(KIND, net.name), net.id)
    draft.guard(keys.POOLS)


def erase(draft: Draft, now: ClusterState, net: network.Network) -> None:
    """Adds to `draft` that the network is gone; that nobody uses it is the caller's to know."""
    draft.remove(net)
    draft.delete(keys.name(KIND, net.name))
    for each in now.records_by_network.get(net.id, ()):
        draft.delete(codec.key(each))
    draft.guard(keys.POOLS)
    for pool in net.pools:
        draft.delete(keys.cursor(net.id, pool.subnet))


def _check_empty(draft: Draft, net: network.Network) -> None:
    draft.empty(codec.endpoints_of(net.id))
    draft.empty(codec.services_of(net.id))


LISTED = 8  # names in one sentence; more would hide what it says


def listed(items: Iterable[str]) -> str:
    """The first few of `items`, and how many more."""
    all_of = sorted(items)
    more = f" and {len(all_of) - LISTED} more" if len(all_of) > LISTED else ""
    return ", ".join(all_of[:LISTED]) + more
