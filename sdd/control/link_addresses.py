"""The MAC that an endpoint's link gets, and who else on its network has one.

In: the Ground, a network, an attachment. Out: an address that nobody known has, or the error that
names who does. Frames to a MAC that two have reach one of them: with its bridge's or its gateway's
a sandbox would be cut off, or take what is everybody's.
"""

from collections.abc import Collection
from ipaddress import IPv4Interface, IPv6Interface
from itertools import chain

from sdd import errors
from sdd.alloc import macs
from sdd.control import parents, taken
from sdd.control.ground import Ground
from sdd.model import bridge, child, endpoint, network, request, wire
from sdd.model.mac import beginning, is_made_of
from sdd.state import ClusterState


def choose(
    ground: Ground,
    net: network.Network,
    asked: request.Attachment,
    chosen: Collection[IPv4Interface | IPv6Interface],
) -> str:
    """The wished one, or one made of the addresses, or a random one; empty for ipvlan.

    Refused: SDD-NET-MAC. Raises `parents.Unseen` and `taken.Unprobed` for a wished one, while it is
    not known what the host's link and the gateway on its wire have.
    """
    if net.driver is network.Driver.IPVLAN:
        _check_none(net, asked)
        return ""
    if not asked.mac:
        mac = macs.of(chosen, ground.entropy(macs.RANDOM_BYTES))
        # Somebody was given by hand what belongs to this IPv4 address, or it is ours by chance.
        is_taken = _of_endpoint(ground.now, net, mac) is not None or _ours(ground.now, net, mac)
        return macs.of((), ground.entropy(macs.RANDOM_BYTES)) if is_taken else mac
    mac = macs.checked(asked.mac)
    if other := _of_endpoint(ground.now, net, mac):
        raise errors.Conflict(
            f"MAC address {mac} is already used on network"
            f" {ground.now.networks[other.network].name}{_shared(net, other)}"
            f" by sandbox {ground.now.sandboxes[other.sandbox].name}",
            hint=_HINT,
            code="SDD-NET-MAC",
        )
    holder = _ours(ground.now, net, mac) or _hosts(ground, net, mac) or _gateways(ground, net, mac)
    if holder:
        raise errors.Conflict(
            f"MAC address {mac} cannot be used on network {net.name}: {holder} has it",
            hint=_HINT,
            code="SDD-NET-MAC",
        )
    return mac


_HINT = "leave the MAC address out to get a free one"


def _of_endpoint(now: ClusterState, net: network.Network, mac: str) -> endpoint.Endpoint | None:
    """Who has it on the network, or on another one of the same parent, which gives it once."""
    near = (net.id, *parents.beside(now, net))
    ends = chain.from_iterable(now.endpoints_by_network.get(each, ()) for each in near)
    return next((each for each in ends if each.mac == mac), None)


def _ours(now: ClusterState, net: network.Network, mac: str) -> str:
    """Which link of the host it is that we make for these networks, in words."""
    if net.driver is network.Driver.BRIDGE:
        if is_made_of(net.id, mac) and not bridge.of(net).name:
            return f"its bridge {net.device}"
        begin = beginning(mac)
        for end in now.endpoints_by_network.get(net.id, ()) if begin else ():
            if end.id.startswith(begin):
                name = now.sandboxes[end.sandbox].name
                return f"the host's end {end.host_link} of the link of sandbox {name}"
        return ""
    near = (net, *(now.networks[each] for each in parents.beside(now, net)))
    for each in near:
        if is_made_of(each.id, mac) and child.of(each).host_access:
            return f"the host's own link on network {each.name}"
    return ""


def _hosts(ground: Ground, net: network.Network, mac: str) -> str:
    """Whether the host's link under the network has it."""
    name = _below(net)
    if not name:
        return ""
    if name not in ground.links:
        raise parents.Unseen([name])
    link = ground.links[name]
    return f"the host's link {name}" if link is not None and link.mac == mac else ""


def _below(net: network.Network) -> str:
    """A parent, or a bridge that was there; in passthru mode a parent takes its child's address."""
    if net.driver is network.Driver.BRIDGE:
        return bridge.of(net).name
    options = child.of(net)
    return "" if options.mode is child.MacvlanMode.PASSTHRU else options.parent


def _gateways(ground: Ground, net: network.Network, mac: str) -> str:
    """Whether a gateway on the wire has it."""
    link = wire.of(net)
    gateways = [pool.gateway for pool in net.pools if pool.gateway is not None]
    if not link or not gateways:
        return ""
    if unsure := [each for each in gateways if each not in ground.strangers]:
        raise taken.Unprobed(link, unsure)
    has = (each for each in gateways if mac in ground.strangers[each])
    return next((f"its gateway {each}" for each in has), "")


def _shared(net: network.Network, other: endpoint.Endpoint) -> str:
    return "" if other.network == net.id else f" of the same parent as network {net.name}"


def _check_none(net: network.Network, asked: request.Attachment) -> None:
    if asked.mac:
        raise errors.Invalid(
            f"MAC address {asked.mac} cannot be given on network {net.name}: the links of an"
            " ipvlan network have the address of their parent",
            hint="leave the MAC address out, or make a macvlan network",
            code="SDD-NET-MAC",
        )
