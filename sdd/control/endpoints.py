"""Endpoints as parts of a plan: a sandbox's interface on a network comes, or goes.

In: an attachment and the Ground. Out: writes in a draft. Whoever plans touches the sandbox's key:
it guards the set of its endpoints, so link names and "at most one per network" need no claims.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Address, IPv6Interface, ip_address, ip_interface

from sdd import errors
from sdd.alloc import addresses, names
from sdd.control import interfaces, keys, link_addresses, lookup, parents, taken
from sdd.control.ground import Draft, Ground
from sdd.model import endpoint, ids, interface, network, request, sandbox, service
from sdd.model.address import is_zoned
from sdd.state import ClusterState
from sdd.store import codec

PRIORITY_MAX = 2**31 - 1
_IPV6 = 6
_LINK_LOCAL = {4: 16, 6: 64}  # prefix lengths
# The ends of the subnet, and the address of all its routers (RFC 4291 §2.6.1)
_NOBODYS = frozenset(map(ip_address, ("169.254.0.0", "169.254.255.255", "fe80::")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """What the namespace is like: the names that its links have, and whether IPv6 is on."""

    links: frozenset[str] = frozenset()
    has_ipv6: bool = True


ANYTHING = Inside()  # a namespace that is new, or that will be made to fit


def attach(
    ground: Ground,
    draft: Draft,
    box: sandbox.Sandbox,
    asked: request.Attachment,
    inside: Inside,
) -> endpoint.Endpoint:
    """Adds what a person asks for to `draft`; the sandbox itself is the caller's to write.

    Refused: SDD-NET-PREDEFINED, -MAC, -ALIAS, -PARENT, SDD-IPAM-….
    """
    net = lookup.network(ground.now, asked.network)
    check_open(net)
    _check_default(net, asked)
    _check_words(asked)
    parents.check_room(ground.now, net, box)
    return plug(ground, draft, box, net, asked, inside=inside)


def plug(
    ground: Ground,
    draft: Draft,
    box: sandbox.Sandbox,
    net: network.Network,
    asked: request.Attachment,
    *,
    inside: Inside = ANYTHING,
) -> endpoint.Endpoint:
    """Adds the endpoint to `draft` and returns it."""
    wished = interfaces.wished(asked)
    ifname = interfaces.name(net, wished, inside.links)
    identity = ids.EndpointId(ground.new_id())
    versions = _versions(net, asked, has_ipv6=wished.has_ipv6 and inside.has_ipv6)
    chosen = _addresses(ground, draft, net, asked, identity, versions=versions)
    made = endpoint.Endpoint(
        id=identity,
        network=net.id,
        sandbox=box.id,
        node=box.node,
        addresses=chosen,
        mac=link_addresses.choose(ground, net, asked, chosen),
        ifname=ifname,
        aliases=tuple(dict.fromkeys(asked.aliases)),
        gw_priority=asked.gw_priority,
        options=asked.driver_opts,
        link_local=_link_local(ground, net, asked),
        created=ground.at,
    )
    draft.hold(net)
    draft.create(made)
    return made


def detach(ground: Ground, draft: Draft, end: endpoint.Endpoint) -> None:
    """Adds to `draft` that the endpoint, its addresses, memberships and verdicts are gone."""
    draft.remove(end)
    for each in end.addresses:
        # An older release's claim has the zone, and the bare address may be another's by now.
        ip = ip_address(str(each).partition("/")[0]) if is_zoned(each) else each.ip
        draft.delete(keys.address(end.network, ip))
    for member in memberships(ground.now, (end,)):
        draft.delete(codec.key(member))
        draft.delete(codec.verdict_key(member.service, end.id))


def memberships(now: ClusterState, ends: Iterable[endpoint.Endpoint]) -> Iterator[service.Member]:
    """Those of any service by one of `ends`."""
    for end in ends:
        for svc in now.services_by_network.get(end.network, ()):
            if member := now.members.get((svc.id, end.id)):
                yield member


# --- choices ---------------------------------------------------------------------------------


def _versions(
    net: network.Network, asked: request.Attachment, *, has_ipv6: bool
) -> tuple[int, ...]:
    """The IP versions that the endpoint has an address of: IPv6 may be off in a sandbox (G8)."""
    versions = addresses.families(net)
    if has_ipv6:
        return versions
    if versions == (_IPV6,) or asked.ip6:
        raise errors.Invalid(
            f"network {net.name} would give the link the IPv6 address {asked.ip6 or 'it needs'},"
            " and IPv6 is switched off there",
            hint="switch it on: sysctl net.ipv6.conf.default.disable_ipv6, or the driver option"
            f" {interface.DISABLE_IPV6}",
            code="SDD-NET-NOIPV6",
        )
    return tuple(each for each in versions if each != _IPV6)


def _addresses(
    ground: Ground,
    draft: Draft,
    net: network.Network,
    asked: request.Attachment,
    holder: ids.EndpointId,
    *,
    versions: Collection[int],
) -> tuple[IPv4Interface | IPv6Interface, ...]:
    """One address per IP version; claimed in `draft`."""
    chosen: list[IPv4Interface | IPv6Interface] = []
    wanted: dict[int, network.IPAddress | None] = {4: asked.ip, 6: asked.ip6}
    for version in versions:
        pool, ip = taken.choose(ground, draft, net, version, wanted.pop(version))
        draft.claim_address(net, ip, holder)
        chosen.append(ip_interface((ip, pool.subnet.prefixlen)))
    for left in wanted.values():
        if left is not None:
            raise taken.outside(net, left)
    return tuple(chosen)


def _link_local(
    ground: Ground, net: network.Network, asked: request.Attachment
) -> tuple[IPv4Interface | IPv6Interface, ...]:
    """With the prefix lengths of RFC 3927 and RFC 4291 §2.5.6; one that another has is refused."""
    for ip in asked.link_local:
        if isinstance(ip, IPv6Address) and ip.scope_id is not None:
            raise errors.Invalid(
                f"{errors.quoted(str(ip))} names a link, and the address is for the one on network"
                f" {net.name}",
                hint=f"leave out what follows it: {str(ip).partition('%')[0]}",
                code="SDD-NET-ADDRESS",
            )
        if ip in _NOBODYS:
            raise errors.Invalid(
                f"{ip} is reserved: no interface can have it",
                hint="choose another one of 169.254.0.0/16 or fe80::/10",
                code="SDD-NET-ADDRESS",
            )
        if not ip.is_link_local:
            raise errors.Invalid(
                f"{ip} is no link-local address",
                hint="choose one of 169.254.0.0/16 or fe80::/10; one of the network's is asked for"
                " with --ip or --ip6",
                code="SDD-NET-ADDRESS",
            )
        for other in ground.now.endpoints_by_network.get(net.id, ()):
            if ip in (each.ip for each in other.link_local):
                raise errors.Conflict(
                    f"link-local address {ip} is already used on network {net.name}"
                    f" by sandbox {ground.now.sandboxes[other.sandbox].name}",
                    hint="choose another one",
                    code="SDD-NET-ADDRESS",
                )
        taken.check_wire(ground, net, ip)
    each_once = dict.fromkeys(asked.link_local)
    return tuple(ip_interface((ip, _LINK_LOCAL[ip.version])) for ip in each_once)


# --- checks ----------------------------------------------------------------------------------


def check_open(net: network.Network) -> None:
    """People connect what they like to it. Refused: SDD-NET-PREDEFINED."""
    if net.is_closed:
        raise errors.Forbidden(
            f"nothing can be connected to, or disconnected from, the pre-defined network {net.name}"
            " by hand",
            hint="members of services that publish ports with mode=ingress are on it by themselves",
            code="SDD-NET-PREDEFINED",
        )


def _check_default(net: network.Network, asked: request.Attachment) -> None:
    """Docker's rule: the predefined network has no name service, so aliases mean nothing there."""
    if not net.predefined:
        return
    if asked.aliases:
        raise errors.Invalid(
            f"network-scoped aliases are only supported for user-defined networks,"
            f" not for {net.name}",
            hint="make a network first: sdctl network create NAME",
            code="SDD-NET-ALIAS",
        )
    if asked.ip or asked.ip6:
        raise errors.Invalid(
            "user specified IP address is supported on user-defined networks only,"
            f" not on {net.name}",
            hint="make a network first: sdctl network create NAME",
            code="SDD-NET-ADDRESS",
        )


def _check_words(asked: request.Attachment) -> None:
    for alias in asked.aliases:
        names.checked_owned("alias", alias)
    if asked.ip6 and asked.ip6.ipv4_mapped:
        raise errors.Invalid(
            f"invalid IPv6 address {asked.ip6}: it is an IPv4 address in IPv6 form",
            hint=f"ask for IPv4 with ip={asked.ip6.ipv4_mapped}",
            code="SDD-NET-ADDRESS",
        )
    if abs(asked.gw_priority) > PRIORITY_MAX:
        raise errors.Invalid(
            f"gateway priority {asked.gw_priority} is out of range",
            hint=f"use a number from -{PRIORITY_MAX} to {PRIORITY_MAX}; the highest wins",
            code="SDD-NET-PRIORITY",
        )
