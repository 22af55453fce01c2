"""Driver options of networks: which are known and what they may say.

An unknown option is refused, for a typing error in one would silently change nothing.
"""

from collections.abc import Mapping
from types import MappingProxyType

from sdd import errors
from sdd.model import bridge, child, network, request
from sdd.model.bridge import GatewayMode
from sdd.model.options import Option, fields
from sdd.state import ClusterState

KNOWN: Mapping[network.Driver, Mapping[str, Option]] = MappingProxyType(
    {network.Driver.BRIDGE: bridge.OPTIONS, **child.OPTIONS}
)


def check(now: ClusterState, asked: request.NetworkCreate) -> None:
    """Raises Invalid `SDD-NET-OPTION`, or Conflict when a bridge name is taken."""
    known = KNOWN[asked.driver]
    for name, value in asked.options.items():
        if name not in known:
            raise _wrong(asked, name, "is not known", f"known are: {', '.join(sorted(known))}")
        try:
            known[name].parse(value)
        except ValueError as exc:
            why, _, hint = str(exc).partition(": ")
            raise _wrong(asked, name, why, hint) from exc
    if asked.driver is network.Driver.BRIDGE:
        _check_bridge(now, asked, bridge.Bridge(**fields(known, asked.options)))
    else:
        _check_parent(now, asked, child.Child(**fields(known, asked.options)))


def is_alone(asked: request.NetworkCreate) -> bool:
    """Whether the network has no parent, and so no way out whatever else was asked for (M4)."""
    return asked.driver in child.OPTIONS and child.PARENT not in asked.options


def has_host_access(asked: request.NetworkCreate) -> bool:
    """Whether the host is to have an address of its own on the network."""
    known = child.OPTIONS.get(asked.driver)
    return known is not None and child.Child(**fields(known, asked.options)).host_access


def has_gateway(asked: request.NetworkCreate, version: int) -> bool:
    """Whether a gateway address is chosen for the network when none is given (I8)."""
    if asked.driver is not network.Driver.BRIDGE:
        return False
    return bridge.Bridge(**fields(bridge.OPTIONS, asked.options)).has_gateway(version)


def _check_bridge(now: ClusterState, asked: request.NetworkCreate, wanted: bridge.Bridge) -> None:
    for net in now.networks.values():
        if wanted.name and net.device == wanted.name:
            raise errors.Conflict(
                f"network {asked.name!r}: the bridge {wanted.name} belongs to network {net.name!r}",
                hint="choose another name for the bridge",
                code="SDD-NET-OPTION",
            )
    if GatewayMode.ISOLATED in (wanted.mode4, wanted.mode6) and not asked.internal:
        raise errors.Invalid(
            f"network {asked.name!r}: gateway mode 'isolated' can only be used for an"
            " internal network",
            hint="add --internal",
            code="SDD-NET-OPTION",
        )


def _check_parent(now: ClusterState, asked: request.NetworkCreate, wanted: child.Child) -> None:
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


def _wrong(asked: request.NetworkCreate, name: str, why: str, hint: str) -> errors.Invalid:
    return errors.Invalid(
        f"network {asked.name!r}: the option {name} {why}", hint=hint, code="SDD-NET-OPTION"
    )
