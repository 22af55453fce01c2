"""The link of an endpoint: what its driver options say, and what it is called in the sandbox.

In: an attachment, the names that are taken. Out: values, or errors. An unknown option is refused,
for a typing error in one would silently change nothing.
"""

from collections.abc import Collection

from sdd import errors
from sdd.alloc import ifnames
from sdd.model import bridge, child, interface, network, request

CODE = "SDD-NET-OPTION"


def wished(asked: request.Attachment) -> interface.Interface:
    """What the options say; raises Invalid `SDD-NET-OPTION`."""
    for key, text in asked.driver_opts.items():
        if key not in interface.OPTIONS:
            raise _wrong(asked, key, "is not known", f"known are: {', '.join(interface.OPTIONS)}")
        try:
            interface.OPTIONS[key].parse(text)
        except ValueError as exc:
            why, _, hint = str(exc).partition(": ")
            raise _wrong(asked, key, why, hint) from exc
    return interface.of(asked.driver_opts)


def name(net: network.Network, asked: interface.Interface, taken: Collection[str]) -> str:
    """The wished name, or the first free one; raises Conflict `SDD-NET-IFNAME`."""
    if not asked.ifname:
        return ifnames.first_free(taken, _prefix(net))
    if asked.ifname in (*taken, ifnames.LOOPBACK):
        raise errors.Conflict(
            f"network {net.name}: the sandbox has a link {asked.ifname} already",
            hint=f"choose another {interface.IFNAME}, or leave it out to get a free one",
            code="SDD-NET-IFNAME",
        )
    return asked.ifname


def _prefix(net: network.Network) -> str:
    """How the link names of the network's endpoints begin."""
    match net.driver:
        case network.Driver.BRIDGE:
            return bridge.of(net).prefix
        case network.Driver.MACVLAN | network.Driver.IPVLAN:
            return child.of(net).prefix
        case network.Driver.OVERLAY:
            return ifnames.PREFIX


def _wrong(asked: request.Attachment, key: str, why: str, hint: str) -> errors.Invalid:
    return errors.Invalid(
        f"network {errors.quoted(asked.network)}: the option {errors.shortened(key)} {why}",
        hint=hint,
        code=CODE,
    )
