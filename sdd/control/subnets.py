"""The subnets of a new network: what was asked for, checked, and what was not, chosen.

In: a request and the Ground. Out: the network's pools, complete. The rules are Docker's (I1–I13
of its IPAM), the family rule ours: `--ipv6` asks for both families, without it a network has
exactly the families of its subnets, or IPv4 when none was given.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from ipaddress import IPv6Network

from sdd import errors
from sdd.alloc import addresses, pools
from sdd.control import adopted, host_access, options
from sdd.control.ground import Ground
from sdd.model import child, ids, network, request
from sdd.model.host_route import HostRoute
from sdd.model.network import IPAddress, IPNetwork
from sdd.model.subnet import overlaps, unusable
from sdd.state import ClusterState

V4, V6 = 4, 6


def choose(
    ground: Ground,
    asked: request.NetworkCreate,
    *,
    without: network.Network | None = None,
    beside: network.Network | None = None,
) -> tuple[network.Pool, ...]:
    """One pool per subnet. In the same transaction `without` goes and `beside` comes.

    Refused: SDD-NET-OVERLAP, -SUBNET, -GATEWAY, -RANGE, -AUX, SDD-IPAM-INUSE (one address for two
    purposes), SDD-IPAM-POOLS (exhausted).
    """
    check_specs(asked)
    used = [
        (net, pool.subnet)
        for net in (*ground.now.networks.values(), *((beside,) if beside else ()))
        if net is not without
        for pool in net.pools
    ]
    chosen: list[network.Pool] = []
    for spec in _completed(asked):
        subnet = spec.subnet
        if subnet is None or _is_size(subnet):
            subnet = _from_templates(ground, asked, subnet, [*used, *_mine(chosen)])
        else:
            _check_usable(asked, subnet)
            _check_overlap(ground, asked, subnet, used, chosen)
        chosen.append(_pool(ground, asked, spec, subnet))
    return tuple(chosen)


def reach(
    now: ClusterState,
    templates: Sequence[pools.PoolTemplate],
    node: ids.NodeId,
    asked: request.NetworkCreate | None,
) -> tuple[IPNetwork, ...]:
    """Where the subnets of `asked` can be: the host's routes elsewhere do not matter.

    All configurations count when it is made from one: nobody has looked yet which one that is.
    """
    specs = list(asked.pools if asked else ())
    if asked and asked.config_from:
        specs += [spec for each in now.templates.values() for spec in each.pools]
    given = [spec.subnet for spec in specs if spec.subnet and not _is_size(spec.subnet)]
    return (*(each.base for each in (*templates, pools.ula(node))), *given)


def check_specs(asked: request.NetworkCreate) -> None:
    """What is wrong before any subnet is chosen. Refused: SDD-NET-SUBNET, -GATEWAY, -RANGE, -AUX.

    An address can only be meant for a subnet that is given: nobody knows yet which one is free.
    """
    for spec in asked.pools:
        if spec.subnet is not None and spec.subnet.prefixlen == 0:
            raise errors.Invalid(
                f"network {asked.name!r}: {spec.subnet} is every address there is, not a subnet",
                hint="leave it out to get a free one, or ask for one of a size:"
                f" {spec.subnet.network_address}/{24 if spec.subnet.version == V4 else 64}",
                code="SDD-NET-SUBNET",
            )
        if spec.subnet is None or _is_size(spec.subnet):
            for area, what in _named(spec):
                raise errors.Invalid(
                    f"network {asked.name!r}: no matching subnet for {what}",
                    hint="each gateway, ip-range and auxiliary address needs a --subnet that holds"
                    " it",
                    code=f"SDD-NET-{area}",
                )


def _named(spec: request.PoolSpec) -> Iterator[tuple[str, str]]:
    """What a spec says beside its subnet: the area of its code, and the words for it."""
    if spec.gateway is not None:
        yield "GATEWAY", f"gateway {spec.gateway}"
    if spec.ip_range is not None:
        yield "RANGE", f"ip-range {spec.ip_range}"
    for name, address in spec.aux.items():
        yield "AUX", f"auxiliary address {name}={address}"


def _completed(asked: request.NetworkCreate) -> Sequence[request.PoolSpec]:
    """The specs, with one more for each family that is wanted and not named."""
    given = {_version(spec) for spec in asked.pools}
    wanted = given | ({V6} if asked.ipv6 else set())
    if asked.ipv4 or (asked.ipv4 is None and (asked.ipv6 or not wanted)):
        wanted |= {V4}
    missing = [_any_of(version) for version in sorted(wanted - given)]
    return (*asked.pools, *missing)


def _version(spec: request.PoolSpec) -> int:
    return spec.subnet.version if spec.subnet is not None else V4


def _any_of(version: int) -> request.PoolSpec:
    return request.PoolSpec(subnet=None if version == V4 else ANY_V6)


def _is_size(subnet: IPNetwork) -> bool:
    """Whether it is `0.0.0.0/N` or `::/N`: any subnet of that size (I5); N may be 0."""
    return int(subnet.network_address) == 0


def _mine(chosen: Sequence[network.Pool]) -> Iterator[tuple[None, IPNetwork]]:
    return ((None, pool.subnet) for pool in chosen)


# --- choosing --------------------------------------------------------------------------------


def _from_templates(
    ground: Ground,
    asked: request.NetworkCreate,
    size: IPNetwork | None,
    used: Sequence[tuple[network.Network | None, IPNetwork]],
) -> IPNetwork:
    version = size.version if size else V4
    templates = (*ground.pools, pools.ula(ground.node))
    found = pools.first_free(
        templates,
        [*(subnet for _, subnet in used), *(route.prefix for route in ground.host_prefixes)],
        version=version,
        size=size.prefixlen if size else 0,
    )
    if found is None:
        raise _exhausted(ground, asked, version, size)
    return found


def _exhausted(
    ground: Ground, asked: request.NetworkCreate, version: int, size: IPNetwork | None
) -> errors.Exhausted:
    held = [
        f"{pool.subnet} ({net.name})"
        for net in ground.now.networks.values()
        for pool in net.pools
        if pool.subnet.version == version
    ]
    routes = [each.prefix for each in ground.host_prefixes]
    held += [f"{each} (host)" for each in routes if each.version == version]
    what = f" of size /{size.prefixlen}" if size and size.prefixlen else ""
    shown = ", ".join(sorted(held)[:LISTED]) + (", …" if len(held) > LISTED else "")
    return errors.Exhausted(
        f"network {asked.name!r}: all predefined address pools have been fully subnetted,"
        f" no IPv{version} subnet{what} is free; in use: {shown or 'nothing'}",
        hint="give one with --subnet, or more default-address-pools in daemon.json",
        code="SDD-IPAM-POOLS",
    )


LISTED = 8
ANY_V6 = IPv6Network("::/0")


# --- checks ----------------------------------------------------------------------------------


def _check_usable(asked: request.NetworkCreate, wanted: IPNetwork) -> None:
    if why := unusable(wanted):
        raise errors.Invalid(
            f"network {asked.name!r}: the subnet {wanted} {why}",
            hint="use private addresses such as 10.20.0.0/16 or fd12:3456::/64",
            code="SDD-NET-SUBNET",
        )


def _check_overlap(
    ground: Ground,
    asked: request.NetworkCreate,
    subnet: IPNetwork,
    used: Sequence[tuple[network.Network, IPNetwork]],
    chosen: Sequence[network.Pool],
) -> None:
    for net, other in used:
        if pools.overlap(subnet, [other]):
            raise _overlaps(asked, subnet, f"{other} of network {net.name!r}")
    if other_own := pools.overlap(subnet, [pool.subnet for pool in chosen]):
        raise _overlaps(asked, subnet, f"{other_own} of the same network")
    # A macvlan or ipvlan network is meant to be one that the host is on already.
    if asked.driver in child.OPTIONS:
        return
    for route in ground.host_prefixes:
        if _is_hidden(route, by=subnet) and not adopted.is_on(asked, route):
            raise _overlaps(asked, subnet, f"the host's own route {route.prefix}")


def _is_hidden(route: HostRoute, *, by: IPNetwork) -> bool:
    """Whether the host would lose neighbours, or all of a way, to a network with that subnet.

    A subnet that is said may be a part of what lies behind a gateway: routes to 10.0.0.0/8 are
    usual, and who writes 10.200.0.0/24 means it. An automatic one keeps out of these as well, and
    of name servers, of which whoever says a subnet is warned (sdd.api.cautions).
    """
    if route.is_nameserver:
        return False
    if route.is_direct:
        return overlaps(route.prefix, by)
    return _inside(route.prefix, by)


def _overlaps(asked: request.NetworkCreate, subnet: IPNetwork, other: str) -> errors.Conflict:
    return errors.Conflict(
        f"network {asked.name!r}: Pool overlaps with other one on this address space:"
        f" {subnet} and {other}",
        hint="choose another subnet, or leave --subnet out to get a free one",
        code="SDD-NET-OVERLAP",
    )


def _pool(
    ground: Ground, asked: request.NetworkCreate, spec: request.PoolSpec, subnet: IPNetwork
) -> network.Pool:
    """The pool with its gateway; everything named must lie inside the subnet."""
    ip_range = spec.ip_range
    if ip_range is not None and not _inside(ip_range, subnet):
        raise _outside(asked, "RANGE", f"ip-range {ip_range}", subnet)
    for name, address in spec.aux.items():
        _check_given(asked, "AUX", f"auxiliary address {name}={address}", address, subnet)
    pool = network.Pool(subnet=subnet, ip_range=ip_range, aux=dict(spec.aux))
    if subnet.prefixlen == subnet.max_prefixlen:
        raise errors.Invalid(
            f"network {asked.name!r}: {subnet} has no room for a gateway and a sandbox",
            hint=f"the smallest useful subnet is a /{subnet.max_prefixlen - 1}:"
            " a gateway and a sandbox, or two sandboxes without a gateway",
            code="SDD-NET-SUBNET",
        )
    gateway = spec.gateway
    if gateway is not None:
        _check_given(asked, "GATEWAY", f"gateway {gateway}", gateway, subnet)
    elif options.has_gateway(asked, subnet.version):
        gateway = adopted.gateway(ground, asked, subnet) or _first_free(asked, pool)
    pool = replace(pool, gateway=gateway)
    _check_distinct(asked, pool)
    pool = adopted.kept(ground, asked, pool)
    return host_access.with_host(ground, asked, pool)


def _check_given(
    asked: request.NetworkCreate, area: str, what: str, address: IPAddress, subnet: IPNetwork
) -> None:
    if address not in subnet:
        raise _outside(asked, area, what, subnet)
    if int(address) in addresses.reserved_of(subnet):
        raise errors.Invalid(
            f"network {asked.name!r}: the {what} cannot be in {subnet}: this address is reserved"
            " for the subnet itself",
            hint="choose another address, or leave it out",
            code=f"SDD-NET-{area}",
        )


def _check_distinct(asked: request.NetworkCreate, pool: network.Pool) -> None:
    """One address has one purpose: who is told two would send one's packets to the other."""
    given = [("the gateway", pool.gateway)] if pool.gateway is not None else []
    given += [(f"the auxiliary address {name}", address) for name, address in pool.aux.items()]
    seen: dict[IPAddress, str] = {}
    for what, address in given:
        if address in seen:
            raise errors.Conflict(
                f"network {asked.name!r}: Address already in use: {address} is {seen[address]} and"
                f" {what}",
                hint="give each its own address",
                code="SDD-IPAM-INUSE",
            )
        seen[address] = what


def _first_free(asked: request.NetworkCreate, pool: network.Pool) -> IPAddress:
    """The first free address (I8), which leaves the others to the sandboxes: there must be some."""
    found = addresses.next_free(pool, frozenset(pool.aux.values()), None)
    if found is None:
        raise errors.Invalid(
            f"network {asked.name!r}: {pool.subnet} has no address left for the gateway",
            hint="choose a larger subnet or fewer auxiliary addresses",
            code="SDD-NET-GATEWAY",
        )
    if addresses.next_free(pool, frozenset((found, *pool.aux.values())), None) is None:
        raise errors.Invalid(
            f"network {asked.name!r}: {pool.ip_range or pool.subnet} has no address left for a"
            " sandbox beside the gateway",
            hint="give a --gateway outside of it, or a larger range"
            if pool.ip_range
            else "choose a larger subnet or fewer auxiliary addresses",
            code="SDD-NET-GATEWAY",
        )
    return found


def _inside(inner: IPNetwork, outer: IPNetwork) -> bool:
    return inner.version == outer.version and (
        inner.prefixlen >= outer.prefixlen and inner.network_address in outer
    )


def _outside(
    asked: request.NetworkCreate, area: str, what: str, subnet: IPNetwork
) -> errors.Invalid:
    return errors.Invalid(
        f"network {asked.name!r}: the {what} must be part of the network {subnet}",
        hint=f"choose addresses from {subnet[0]} to {subnet[-1]}",
        code=f"SDD-NET-{area}",
    )
