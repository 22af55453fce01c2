"""Claims: keys that exist so that two writers cannot both take the same thing.

A claim's value is the id of its holder. Objects have their own keys (sdd.store.codec); why claims
lie where they do: docs/decisions/001-claims.md.
"""

from ipaddress import ip_address

from sdd.model import ids
from sdd.model.network import IPAddress, IPNetwork
from sdd.model.port import Protocol

NAMES = "names/"
ADDRESSES = "addresses/"
NUMBERS = "numbers/"
CURSORS = "cursors/"
PORTS = "ports/"
POOLS = "pools"  # written by whoever adds or removes subnets: overlap cannot be seen key by key


def name(kind: str, text: str) -> str:
    """The claim on a name among the objects of one kind."""
    return f"{NAMES}{kind}/{text}"


def address(net: ids.NetworkId, ip: IPAddress) -> str:
    """The claim on one address of one network."""
    return f"{ADDRESSES}{net}/{ip}"


def address_of(key: str) -> tuple[str, IPAddress]:
    """The network and the address that a claim on an address is about."""
    _, net, ip = key.split("/", 2)
    return net, ip_address(ip)


def number(value: int) -> str:
    """The claim on a service number."""
    return f"{NUMBERS}{value}"


def port(node: ids.NodeId, protocol: Protocol, number: int) -> str:
    """Who publishes a port of a node: a line `ADDRESS HOLDER` each (ports.py reads and writes)."""
    return f"{PORTS}{node}/{protocol}/{number}"


def cursors_of(net: ids.NetworkId) -> str:
    """The prefix of the network's cursors."""
    return f"{CURSORS}{net}/"


def cursor(net: ids.NetworkId, subnet: IPNetwork) -> str:
    """Holds the last address given automatically in the subnet; no compare is made on it."""
    return f"{cursors_of(net)}{str(subnet).replace('/', '-')}"
