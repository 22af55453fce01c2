"""The links of the host that macvlan and ipvlan networks stand on: what is no parent for them.

In: a request and the Ground. Out: nothing, or the error that says what the kernel would refuse
later, and what to do. `Unseen` asks for links that the Ground does not tell of.
"""

from collections.abc import Collection, Iterator

from sdd import errors
from sdd.control import options
from sdd.control.ground import Ground
from sdd.model import child, ids, network, request, sandbox
from sdd.model.host_link import HostLink
from sdd.state import ClusterState

MTU_IPV6 = 1280  # RFC 8200 §5: the kernel takes IPv6 off links that carry less
_IPV6 = 6


class Unseen(Exception):
    """It is not known whether the host has `links` and what they are; look, and plan again."""

    def __init__(self, links: Collection[str]) -> None:
        super().__init__(links)
        self.links = links


def check(ground: Ground, asked: request.NetworkCreate) -> None:
    """Refused: SDD-NET-PARENT, and SDD-NET-OPTION when an option does not fit the parent."""
    wanted = options.child_of(asked)
    if wanted is None:
        return
    _check_sharing(ground.now, asked, wanted)
    if wanted.parent:
        _check_fits(asked, wanted, _standing(ground, asked, wanted))


def check_ipv6(made: network.Network, parent: int = 0) -> None:
    """Raises Invalid SDD-NET-OPTION for IPv6 subnets on links that cannot carry IPv6."""
    mtu = made.mtu or parent
    if mtu and mtu < MTU_IPV6 and any(pool.subnet.version == _IPV6 for pool in made.pools):
        whose = "the option" if made.mtu else "the parent's"
        raise errors.Invalid(
            f"network {made.name!r}: {whose} MTU of {mtu} is too small for IPv6,"
            f" which needs {MTU_IPV6}",
            hint="choose a larger MTU, or leave IPv6 subnets out",
            code="SDD-NET-OPTION",
        )


def mtu_of(ground: Ground, net: network.Network) -> int:
    """The MTU of the link under the network; 0 when there is none, or it is not known."""
    if net.driver not in child.OPTIONS:
        return 0
    on = child.of(net)
    names = (on.parent, on.vlan.parent if on.vlan else "")
    found = (ground.links.get(name) for name in names if name)
    return next((link.mtu for link in found if link), 0)


def check_room(now: ClusterState, net: network.Network, box: sandbox.Sandbox) -> None:
    """Raises Conflict SDD-NET-PARENT when another sandbox has the whole parent of `net`."""
    if net.driver is not network.Driver.MACVLAN:
        return
    on = child.of(net)
    if on.mode is not child.MacvlanMode.PASSTHRU:
        return
    for end in now.endpoints_by_network.get(net.id, ()):
        if end.node == box.node and end.sandbox != box.id:
            holder = now.sandboxes[end.sandbox].name
            raise errors.Conflict(
                f"network {net.name} has the mode passthru, in which one sandbox takes the whole"
                f" parent {on.parent or 'link'}: {holder} has it",
                hint=f"disconnect that one first: sdctl network disconnect {net.name} {holder};"
                " or make a network with the mode bridge",
                code="SDD-NET-PARENT",
            )


def beside(now: ClusterState, net: network.Network) -> Iterator[ids.NetworkId]:
    """The other macvlan networks on the parent of `net`: their links have one wire with its own."""
    if net.driver is not network.Driver.MACVLAN or not (parent := child.of(net).parent):
        return
    for other in now.networks.values():
        is_other = other.id != net.id and other.driver is net.driver
        if is_other and child.of(other).parent == parent:
            yield other.id


# --- who may share -----------------------------------------------------------------------------


def _check_sharing(now: ClusterState, asked: request.NetworkCreate, wanted: child.Child) -> None:
    """Who may share a parent: the kernel has one driver and one ipvlan mode on each (M8)."""
    if wanted.host_access and not wanted.is_social:
        raise errors.Invalid(
            f"network {asked.name!r}: with this mode no link of the parent reaches another one on"
            " the same host, so host-access cannot work",
            hint="use the mode bridge, or leave host-access out",
            code="SDD-NET-OPTION",
        )
    for net in now.networks.values():
        if not wanted.parent or net.driver not in child.OPTIONS:
            continue
        other = child.of(net)
        if other.parent == wanted.parent and (why := _quarrel(asked.driver, wanted, net, other)):
            raise errors.Conflict(
                f"network {asked.name!r}: the parent {wanted.parent} is already used by network"
                f" {net.name!r}, {why}",
                hint="choose another parent, for example a VLAN of it: "
                f"{wanted.parent.split('.')[0]}.100",
                code="SDD-NET-PARENT",
            )


def _quarrel(
    driver: network.Driver, wanted: child.Child, net: network.Network, other: child.Child
) -> str:
    if net.driver is not driver:
        return f"whose driver is {net.driver.value}"
    if child.MacvlanMode.PASSTHRU in (wanted.mode, other.mode):
        return "and passthru takes a parent for one network alone"
    ours, theirs = ((each.ipvlan_mode, each.ipvlan_flag) for each in (wanted, other))
    return "" if ours == theirs else f"in mode {other.ipvlan_mode} with flag {other.ipvlan_flag}"


# --- what the host has -------------------------------------------------------------------------


def _standing(ground: Ground, asked: request.NetworkCreate, wanted: child.Child) -> HostLink:
    """The parent itself, or the link on which it will be made as a VLAN."""
    vlan = wanted.vlan
    names = {wanted.parent, *((vlan.parent,) if vlan else ())}
    if unseen := names - ground.links.keys():
        raise Unseen(unseen)
    if (link := ground.links[wanted.parent]) is not None:
        if link.holder:
            raise _no_parent(asked, wanted.parent, f"is a port of a {link.holder}", _OTHER)
        return link
    if vlan is None:
        why, hint = _absent(wanted.parent)
        raise _no_parent(asked, wanted.parent, why, hint)
    below = ground.links[vlan.parent]
    if below is None:
        why = f"cannot be made: the host has no link {vlan.parent!r}"
        raise _no_parent(asked, wanted.parent, why, _LIST)
    return below


_LIST = "list the links of this host with: ip -br link"
_OTHER = f"choose another link, or take it out there first; {_LIST}"


def _absent(name: str) -> tuple[str, str]:
    """Why a name that no link has cannot be made a VLAN, and what to do."""
    link, dot, tag = name.rpartition(".")
    if not dot:
        return "is no link of this host", f"{_LIST}; a VLAN of a link is named like eth0.100"
    if "." in link:
        hint = f"make it yourself: ip link add link {link} name {name} type vlan id {tag}"
        return "is no link of this host, and a VLAN on a VLAN is not made", hint
    return (
        "is no link of this host and no VLAN",
        "a VLAN is named LINK.TAG, with a tag of 1 to 4094",
    )


def _check_fits(asked: request.NetworkCreate, wanted: child.Child, link: HostLink) -> None:
    if not link.is_ethernet:
        why = f"is no Ethernet, and {asked.driver.value} links stand on nothing else"
        raise _no_parent(asked, wanted.parent, why, _LIST)
    if wanted.mtu > link.mtu:
        raise errors.Invalid(
            f"network {asked.name!r}: the MTU {wanted.mtu} is larger than that of the parent"
            f" {wanted.parent}, {link.mtu}",
            hint=f"choose at most {link.mtu}, or raise the parent's:"
            f" ip link set {(wanted.vlan.parent if wanted.vlan else wanted.parent)}"
            f" mtu {wanted.mtu}",
            code="SDD-NET-OPTION",
        )


def _no_parent(asked: request.NetworkCreate, name: str, why: str, hint: str) -> errors.Invalid:
    return errors.Invalid(
        f"network {asked.name!r}: the parent {name} {why}", hint=hint, code="SDD-NET-PARENT"
    )
