"""Who holds which address of a network, and which one comes next.

In: the Ground, a network, a family, perhaps a wanted address. Out: a pool and a free address of
it, with the cursor moved in the draft; or the error that names the holder.
"""

from collections.abc import Collection, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from sdd import errors
from sdd.alloc import addresses, usage
from sdd.control import keys
from sdd.control.ground import Draft, Ground
from sdd.model import network, wire
from sdd.model.network import IPAddress
from sdd.state import ClusterState

LISTED = 5
MOST_PROBED = 32  # addresses at a time


class Unprobed(Exception):
    """It is not known who on the wire of `link` has `addresses`; ask, and plan again.

    Without a link: whether this host has them.
    """

    def __init__(self, link: str, addresses: Collection[IPAddress]) -> None:
        super().__init__(link, addresses)
        self.link = link
        self.addresses = addresses


@dataclass(frozen=True, slots=True)
class Held:
    """The addresses nobody can have: the network's own, and those claimed on it."""

    own: AbstractSet[IPAddress]
    claimed: AbstractSet[IPAddress]

    def __contains__(self, ip: object) -> bool:
        return ip in self.own or ip in self.claimed

    def __len__(self) -> int:
        return len(self.own) + len(self.claimed)


def on(ground: Ground, draft: Draft, net: network.Network) -> Held:
    """Every address of the network that is taken: gateways, aux, endpoints, VIPs, the draft's."""
    own = usage.own_of(net) | draft.addresses_of(net.id)
    return Held(own, ground.claims.addresses_of(net.id))


def choose(
    ground: Ground, draft: Draft, net: network.Network, version: int, wanted: IPAddress | None
) -> tuple[network.Pool, IPAddress]:
    """The wanted address, or the next free one of the family.

    Raises Conflict SDD-IPAM-INUSE or -DUPLICATE, Invalid SDD-IPAM-OUTSIDE or -RESERVED, Exhausted
    SDD-IPAM-EXHAUSTED; `Unprobed` when others may have the address and nobody asked them.
    """
    if wanted is not None:
        pool = _checked(ground, draft, net, wanted)
        check_wire(ground, net, wanted)
        return pool, wanted
    candidates = tuple(_candidates(ground, draft, net, version))
    if not candidates:
        raise _exhausted(ground, net, version)
    pool, ip = found = candidates[0]
    _demand_answers(ground, net, ip, [each for _, each in candidates])
    draft.note(keys.cursor(net.id, pool.subnet), str(ip))
    return found


def _candidates(
    ground: Ground, draft: Draft, net: network.Network, version: int
) -> Iterator[tuple[network.Pool, IPAddress]]:
    """The next free addresses, to be asked for together.

    More of them, the more of the earlier ones strangers had, and the more commands wait for
    answers: each of these takes one of the earlier ones.
    """
    held = on(ground, draft, net)
    strange = {ip for ip, who in ground.strangers.items() if who}
    own = held.own | strange
    for _ in range(min(MOST_PROBED, 1 + len(strange) + ground.askers)):
        found = addresses.next_of(
            net,
            version,
            Held(own, held.claimed),
            lambda subnet: draft.cursor_of(net.id, subnet),
        )
        if found is None:
            return
        yield found
        own = own | {found[1]}


def _demand_answers(
    ground: Ground, net: network.Network, ip: IPAddress, also: Collection[IPAddress]
) -> None:
    """Raises `Unprobed` for `also` when `ip` may be somebody's on the wire."""
    if (link := wire.of(net)) and ip not in ground.strangers:
        raise Unprobed(link, also)


def check_wire(ground: Ground, net: network.Network, wanted: IPAddress) -> None:
    """Raises Conflict SDD-IPAM-DUPLICATE when others on the wire have `wanted`, or `Unprobed`.

    Behind a bridge of ours the only others are the host's own links.
    """
    link = wire.of(net)
    if wanted not in ground.strangers and (link or net.driver is network.Driver.BRIDGE):
        raise Unprobed(link, [wanted])
    who = ground.strangers.get(wanted)
    if who and not link:
        raise errors.Conflict(
            f"{wanted} is an address of {who}",
            hint="choose another address, or leave it out to get a free one",
            code="SDD-IPAM-DUPLICATE",
        )
    if who:
        raise errors.Conflict(
            f"{wanted} is already in use on the wire of network {net.name}: by {who}",
            hint="choose another address, or leave it out to get a free one; a network made with"
            " -o duplicate-probe=false does not ask",
            code="SDD-IPAM-DUPLICATE",
        )


def usage_of(now: ClusterState, net: network.Network) -> tuple[usage.Usage, ...]:
    """How full each subnet of the network is."""
    held = {ip for end in now.endpoints_by_network.get(net.id, ()) for ip in end.hosts}
    held |= {vip for svc in now.services_by_network.get(net.id, ()) for vip in svc.vips}
    if net.is_ingress:
        held |= {vip for svc in now.ingress_services for vip in svc.ingress_vips}
    return usage.of(net, held)


def outside(net: network.Network, wanted: IPAddress) -> errors.Invalid:
    """The refusal of an address that none of the network's subnets has."""
    has = ", ".join(str(pool.subnet) for pool in net.pools)
    return errors.Invalid(
        f"no configured subnet contains IP address {wanted}: network {net.name} has {has}",
        hint="choose an address inside, or leave it out to get a free one",
        code="SDD-IPAM-OUTSIDE",
    )


def holder(now: ClusterState, net: network.Network, ip: IPAddress) -> str:
    """Who holds `ip` on the network, in words; empty when nobody does."""
    for pool in net.pools:
        if ip == pool.gateway:
            return "the network's gateway"
        for name, aux in pool.aux.items():
            if ip == aux:
                return f"the auxiliary address {name}"
    for end in now.endpoints_by_network.get(net.id, ()):
        if ip in end.hosts:
            return f"sandbox {now.sandboxes[end.sandbox].name}"
    for svc in now.services_by_network.get(net.id, ()):
        if ip in svc.vips:
            return f"service {svc.name}"
    for svc in now.ingress_services if net.is_ingress else ():
        if ip in svc.ingress_vips:
            return f"service {svc.name}"
    return ""


def _checked(ground: Ground, draft: Draft, net: network.Network, wanted: IPAddress) -> network.Pool:
    pool = net.pool_of(wanted)
    if pool is None:
        raise outside(net, wanted)
    if int(wanted) in addresses.reserved_of(pool.subnet):
        raise errors.Invalid(
            f"requested address is out of range: {wanted} is reserved in {pool.subnet}"
            f" of network {net.name}",
            hint="choose another address, or leave it out to get a free one",
            code="SDD-IPAM-RESERVED",
        )
    if wanted in on(ground, draft, net):
        held_by = holder(ground.now, net, wanted) or "somebody"
        raise errors.Conflict(
            f"Address already in use: {wanted} on network {net.name} belongs to {held_by}",
            hint="choose another address, or leave it out to get a free one",
            code="SDD-IPAM-INUSE",
        )
    return pool


def _exhausted(ground: Ground, net: network.Network, version: int) -> errors.Exhausted:
    now = ground.now
    users = sorted(
        now.sandboxes[end.sandbox].name for end in now.endpoints_by_network.get(net.id, ())
    )
    users += sorted(f"service {svc.name}" for svc in now.services_by_network.get(net.id, ()))
    shown = ", ".join(users[:LISTED]) + (
        f" and {len(users) - LISTED} more" if len(users) > LISTED else ""
    )
    strange = sum(bool(who) for who in ground.strangers.values())
    others = f", {strange} of them by machines that are not ours" if strange else ""
    ranges = ", ".join(str(pool.ip_range or pool.subnet) for pool in addresses.pools(net, version))
    return errors.Exhausted(
        f"no available IPv{version} addresses on this network's address pools:"
        f" {net.name} ({ranges}) is used by {shown or 'its gateway alone'}{others}",
        hint="remove a sandbox or service from it, or make a network with a larger subnet",
        code="SDD-IPAM-EXHAUSTED",
    )
