"""A route of the host that is not ours: addresses that are in use already, next door or further."""

from dataclasses import dataclass

from sdd.model.network import IPNetwork


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRoute:
    """`is_direct`: its addresses are neighbours on `link`; else a gateway knows the way there.

    Or there is no way, and somebody said so (a route that is unreachable).
    """

    prefix: IPNetwork
    is_direct: bool = True
    link: str = ""
