"""Links of the host by their own names: a request may name one by another name that it has.

In: a request and the Ground. Out: the request with the own name. What is compared and wanted later
(who shares a parent, its MTU, whose a bridge is) goes by own names alone. Other names are those of
`ip link property`, such as the enp3s0 that udev gives an eth0.
"""

from dataclasses import replace

from sdd.control import options, parents
from sdd.control.ground import Ground
from sdd.model import child, network, request

_KEYS = {
    network.Driver.BRIDGE: network.OPTION_BRIDGE_NAME,
    **dict.fromkeys(child.OPTIONS, child.PARENT),
}


def own(ground: Ground, asked: request.NetworkCreate) -> request.NetworkCreate:
    """`asked`, of the link's own name. Raises `parents.Unseen` when nobody looked at it yet.

    Refused as options.check does: the own name may be one that is taken, or cannot be.
    """
    key = _KEYS[asked.driver]
    name = asked.options.get(key, "")
    if not name:
        return asked
    known = _own(ground, name)
    if not known and key == child.PARENT:
        known = _own_vlan(ground, name)
    if known in ("", name):
        return asked
    renamed = replace(asked, options={**asked.options, key: known})
    options.check(ground.now, renamed)
    return renamed


def _own_vlan(ground: Ground, name: str) -> str:
    """What the VLAN that is to be made is called; empty when it is none, or on no link."""
    vlan = child.to_vlan(name)
    below = _own(ground, vlan.parent) if vlan else ""
    return f"{below}.{name.rpartition('.')[2]}" if below else ""


def _own(ground: Ground, name: str) -> str:
    """Empty when no link has the name."""
    if name not in ground.links:
        raise parents.Unseen([name])
    link = ground.links[name]
    return "" if link is None else link.own_name or name
