"""Driver options of networks: which are known and what they may say.

An unknown option is refused, for a typing error in one would silently change nothing.
"""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from sdd import errors
from sdd.model import network, request
from sdd.state import ClusterState

IFNAME = re.compile(r"[^\s/:%]{1,15}")  # IFNAMSIZ - 1; what the kernel's dev_valid_name takes
MTU_MIN = 68  # RFC 791: every link carries that much
MTU_MAX = 65535


def check(now: ClusterState, asked: request.NetworkCreate) -> None:
    """Raises Invalid `SDD-NET-OPTION`, or Conflict when a bridge name is taken."""
    for name, value in asked.options.items():
        rule = RULES.get(name)
        if rule is None:
            raise _wrong(asked, name, "is not known", f"known are: {', '.join(sorted(RULES))}")
        rule(now, asked, value)


def _check_bridge_name(now: ClusterState, asked: request.NetworkCreate, value: str) -> None:
    if not IFNAME.fullmatch(value) or value in (".", ".."):
        raise _wrong(
            asked,
            network.OPTION_BRIDGE_NAME,
            f"cannot be {value!r}",
            "a link name has 1 to 15 characters, no blank, '/', ':' or '%'",
        )
    for net in now.networks.values():
        if net.device == value:
            raise errors.Conflict(
                f"network {asked.name!r}: the bridge {value} belongs to network {net.name!r}",
                hint="choose another name for the bridge",
                code="SDD-NET-OPTION",
            )


def _check_mtu(now: ClusterState, asked: request.NetworkCreate, value: str) -> None:
    del now
    if not value.isascii() or not value.isdigit() or not MTU_MIN <= int(value) <= MTU_MAX:
        raise _wrong(
            asked,
            network.OPTION_MTU,
            f"cannot be {value!r}",
            f"an MTU is a number from {MTU_MIN} to {MTU_MAX}",
        )


def _wrong(asked: request.NetworkCreate, name: str, why: str, hint: str) -> errors.Invalid:
    return errors.Invalid(
        f"network {asked.name!r}: the option {name} {why}", hint=hint, code="SDD-NET-OPTION"
    )


Rule = Callable[[ClusterState, request.NetworkCreate, str], None]
RULES: Mapping[str, Rule] = MappingProxyType(
    {network.OPTION_BRIDGE_NAME: _check_bridge_name, network.OPTION_MTU: _check_mtu}
)
