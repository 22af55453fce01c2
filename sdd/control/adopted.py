"""A bridge that the host has already, on which a network stands: its addresses stay what they are.

In: a request, a pool and the Ground. Out: the gateway that the bridge itself is, and the pool with
the bridge's addresses among the auxiliary ones, so that no sandbox gets them.
"""

from collections.abc import Sequence
from dataclasses import replace

from sdd.control import parents
from sdd.control.ground import Ground
from sdd.model import bridge, network, request
from sdd.model.host_route import HostRoute
from sdd.model.network import IPAddress, IPNetwork


def is_on(asked: request.NetworkCreate, route: HostRoute) -> bool:
    """Whether the host's route leads to neighbours on the very bridge that is to be adopted."""
    return bool(route.link) and route.link == _name(asked)


def gateway(ground: Ground, asked: request.NetworkCreate, subnet: IPNetwork) -> IPAddress | None:
    """The bridge's own address in `subnet`; None when it has none there."""
    return next(iter(_own(ground, asked, subnet)), None)


def kept(ground: Ground, asked: request.NetworkCreate, pool: network.Pool) -> network.Pool:
    """`pool` with the bridge's addresses in it kept for the bridge."""
    taken = {*pool.aux.values(), pool.gateway}
    own = [each for each in _own(ground, asked, pool.subnet) if each not in taken]
    return replace(pool, aux={**pool.aux, **dict(zip(_names(len(own)), own, strict=True))})


def _names(count: int) -> list[str]:
    return [bridge.OWN, *(f"{bridge.OWN}-{number}" for number in range(2, count + 1))][:count]


def _own(ground: Ground, asked: request.NetworkCreate, subnet: IPNetwork) -> Sequence[IPAddress]:
    """Raises `parents.Unseen` when nobody looked at the bridge yet."""
    name = _name(asked)
    if not name:
        return ()
    if name not in ground.links:
        raise parents.Unseen([name])
    link = ground.links[name]
    return tuple(each for each in (link.addresses if link else ()) if each in subnet)


def _name(asked: request.NetworkCreate) -> str:
    if asked.driver is not network.Driver.BRIDGE:
        return ""
    return asked.options.get(network.OPTION_BRIDGE_NAME, "")
