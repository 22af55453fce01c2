"""Driver options of networks: which are known and what they may say.

An unknown option is refused, for a typing error in one would silently change nothing.
"""

import difflib
from collections.abc import Mapping
from types import MappingProxyType

from sdd import errors
from sdd.control import versions
from sdd.model import bridge, child, network, request
from sdd.model.bridge import GatewayMode
from sdd.model.options import Option, fields
from sdd.state import ClusterState

KNOWN: Mapping[network.Driver, Mapping[str, Option]] = MappingProxyType(
    {network.Driver.BRIDGE: bridge.OPTIONS, **child.OPTIONS}
)


PREFIX = "com.docker.network."


def check(now: ClusterState, asked: request.NetworkCreate) -> None:
    """Raises Invalid `SDD-NET-OPTION`, or Conflict when a bridge name is taken."""
    known = KNOWN[asked.driver]
    for name, value in asked.options.items():
        if name not in known:
            raise _wrong(asked, name, "is not known", _advice(asked.driver, name))
        try:
            known[name].parse(value)
        except ValueError as exc:
            why, _, hint = str(exc).partition(": ")
            raise _wrong(asked, name, why, hint) from exc
    if asked.driver is network.Driver.BRIDGE:
        _check_bridge(now, asked, bridge.Bridge(**fields(known, asked.options)))


def _advice(driver: network.Driver, name: str) -> str:
    """What may have been meant; else all there is, without the prefix that nearly all have."""
    known = KNOWN[driver]
    every = (*known, versions.IPV4, versions.IPV6)
    short = {key.removeprefix(PREFIX): key for key in every}
    short |= {key.rpartition(".")[2]: key for key in every}
    near = difflib.get_close_matches(name.removeprefix(PREFIX), short, n=1)
    meant = f"did you mean {short[near[0]]}?" if near else ""
    if others := [f"-d {each.value}" for each in KNOWN if name in KNOWN[each]]:
        return f"it goes with {' or '.join(others)}{meant and '; '}{meant}"
    if meant:
        return meant
    ours = ", ".join(sorted(key for key in every if not key.startswith(PREFIX)))
    dockers = sorted(key.removeprefix(PREFIX) for key in every if key.startswith(PREFIX))
    return f"known are {ours}; and behind {PREFIX}: {', '.join(dockers)}"


def is_alone(asked: request.NetworkCreate) -> bool:
    """Whether the network has no parent, and so no way out whatever else was asked for (M4)."""
    return asked.driver in child.OPTIONS and child.PARENT not in asked.options


def child_of(asked: request.NetworkCreate) -> child.Child | None:
    """The value of all options of a network on a parent; None for other drivers."""
    known = child.OPTIONS.get(asked.driver)
    return None if known is None else child.Child(**fields(known, asked.options))


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


def _wrong(asked: request.NetworkCreate, name: str, why: str, hint: str) -> errors.Invalid:
    return errors.Invalid(
        f"network {asked.name!r}: the option {name} {why}", hint=hint, code="SDD-NET-OPTION"
    )
