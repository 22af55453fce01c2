"""A route of the host that is not ours: addresses that are in use already, next door or further."""

from dataclasses import dataclass
from ipaddress import ip_network

from sdd.model.network import IPAddress, IPNetwork


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRoute:
    """`is_direct`: its addresses are neighbours on `link`; else a gateway knows the way there.

    Or there is no way, and somebody said so (a route that is unreachable). `is_nameserver`: it is
    no route but the one address of a server that the host asks for names, somewhere.
    """

    prefix: IPNetwork
    is_direct: bool = True
    link: str = ""
    is_nameserver: bool = False


def to_nameserver(address: IPAddress) -> HostRoute:
    """The server's address as a prefix in use."""
    return HostRoute(prefix=ip_network(address), is_direct=False, is_nameserver=True)
