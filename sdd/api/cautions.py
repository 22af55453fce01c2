"""What whoever made a network, a sandbox or a service should know of it, and of names of others.

In: the object, and the state for what concerns others. Out: sentences; empty when there is nothing.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_network
from types import MappingProxyType
from typing import Final

from resolver.files import resolvconf, upstreams
from resolver.names import added, records
from sdd.control import records as control
from sdd.model import (
    bridge,
    child,
    endpoint,
    loopback,
    nameserver,
    network,
    reach,
    record,
    sandbox,
    service,
    tlds,
)
from sdd.state import ClusterState

_NUMBERED: Final = ("ndots", "timeout", "attempts")  # the options of resolv.conf(5)
_REVERSE: Final = (".in-addr.arpa", ".ip6.arpa")
_ARPA: Final = ".arpa"
# Top-level names that are no public domains: who has them instead.
_SPECIAL: Final = MappingProxyType(
    {
        "alt": "names outside DNS (RFC 9476)",
        "invalid": "names that do not exist (RFC 6761)",
        "local": "multicast DNS (RFC 6762)",
        "onion": "Tor (RFC 7686)",
    }
)


def of(net: network.Network, nameservers: Collection[network.IPAddress] = ()) -> str:
    """What is so as long as its settings are, and those of the host, which asks `nameservers`."""
    told = (_swallowing(net, nameservers), _hiding(net), _special(net), _idle_zones(net))
    linked = _linked((*net.dns, *(each.server for each in net.dns_zones)))
    return " ".join(filter(None, (*told, linked)))


def _swallowing(net: network.Network, nameservers: Collection[network.IPAddress]) -> str:
    """That the bridge's own route to its subnet leads away from servers that the host asks."""
    # A bridge that was there may be the wire on which they are.
    if net.driver is not network.Driver.BRIDGE or network.OPTION_BRIDGE_NAME in net.options:
        return ""
    inside = sorted(
        str(each)
        for each in nameservers
        for pool in net.pools
        if each in pool.subnet and bridge.of(net).is_gateway(pool)
    )
    if not inside:
        return ""
    return (
        f"the subnet of network {net.name} holds name servers of this host: {', '.join(inside)}"
        f" cannot be reached any more. Remove it and choose another subnet"
    )


def homonym(state: ClusterState, net: network.Network) -> str:
    """That DNS takes another network's name for the same (RFC 4343); empty when it does not."""
    same = (each.name for each in state.networks.values() if each.id != net.id)
    other = next((each for each in sorted(same) if each.lower() == net.name.lower()), "")
    if not other:
        return ""
    return (
        f"DNS cannot tell the networks {net.name} and {other} apart: on a sandbox that is on both,"
        f" names below .{net.name} are those of the first that has them"
    )


def other_name(net: network.Network, asked: Mapping[str, str]) -> str:
    """That a link was asked for by another of its names; empty when it was not."""
    for key in (child.PARENT, network.OPTION_BRIDGE_NAME):
        given, own = asked.get(key, ""), net.options.get(key, "")
        if given and given != own:
            return f"{given} is another name of {own}: network {net.name} is on {own}"
    return ""


def open_wire(net: network.Network) -> str:
    """That an internal network on a parent is not closed; empty for others."""
    if net.driver not in child.OPTIONS or not net.internal or not (on := child.of(net)).parent:
        return ""
    return (
        f"--internal of a {net.driver} network leaves out the gateway alone: its sandboxes and the"
        f" machines on the wire of {on.parent} reach each other. Without a parent it leads nowhere"
    )


def of_service(state: ClusterState, one: service.Service) -> str:
    """That no sandbox reaches its members, where nothing is published either."""
    net = state.networks.get(one.network)
    option = reach.apart(net) if net and not one.ports else ""
    if not net or not option:
        return ""
    what = "virtual address" if one.vips else "name"
    return (
        f"sandboxes of network {net.name} do not reach each other ({option}), so the {what} of"
        f" service {one.name} leads none of them to another: publish a port of it, or choose"
        " another network"
    )


def of_box(state: ClusterState, box: sandbox.Sandbox) -> str:
    """With whom it shares names without having said so, and what it was given in vain."""
    ends = state.endpoints_by_sandbox.get(box.id, ())
    mixed = (told for each in ends for told in (*_mixed(state, each), *_twins(state, each)))
    linked = _linked(server for server, _ in upstreams.unasked(state, box))
    long = unread(upstreams.given_search(state, box))
    odd = (*_loopback(box), *(told for each in ends for told in _reverse(each)))
    return " ".join(filter(None, (*mixed, *odd, *_idle_options(box.dns.options), linked, long)))


def of_records(state: ClusterState, those: Sequence[record.Record]) -> tuple[str, ...]:
    """Of each record of one network: that it leads to a name of its network which nobody has."""
    net = state.networks.get(those[0].network) if those else None
    if net is None:  # gone while its making was waited for
        return ("",) * len(those)
    catching = f"{record.WILDCARD}{net.name.lower()}"
    there = {each.name for each in state.records_by_network.get(net.id, ())}
    there |= control.holders(state, net.id).keys()
    everywhere = catching in there
    return tuple("" if everywhere else _lost(net, each, there) for each in those)


def _lost(net: network.Network, of: record.Record, there: Collection[str]) -> str:
    target = added.lead(of)
    if not target or "." in target or not added.is_ours(target) or target in there:
        return ""
    asked = f"others are asked for {target}.{net.name.lower()}"
    then = asked if net.forwards_unknown else "the record leads nowhere"
    return (
        f"{target} is no name of network {net.name}: {then} until it is. What is on another network"
        " is given as NAME.NETWORK, what others know with its domain, and what --add-host gave by"
        " its address, in a record of its own"
    )


def _loopback(box: sandbox.Sandbox) -> Iterator[str]:
    """That its hostname is no name of it to others (RFC 6761 §6.3)."""
    if loopback.is_loopback(box.hostname):
        yield (
            f"nobody finds {box.name} by its hostname {box.hostname}, which means each asker's own"
            " loopback."
        )


def _reverse(one: endpoint.Endpoint) -> Iterator[str]:
    """That aliases are where the names of addresses are looked for (RFC 1035 §3.5)."""
    for each in one.aliases:
        if f".{each.lower()}".endswith(_ARPA):
            yield (
                f"the alias {each} is in the zone arpa, in which the names of addresses are looked"
                " for: whoever asks for those finds this sandbox instead."
            )


def unread(domains: Iterable[str]) -> str:
    """That some programs pass over search domains; networks' lists add up."""
    told = resolvconf.unread(resolvconf.searched(domains))
    return f"{told}. Give fewer or shorter domains" if told else ""


def _linked(servers: Iterable[nameserver.Server]) -> str:
    """That servers are never asked, which only older releases took."""
    found = [str(each) for each in servers if nameserver.whole(each).names_link]
    if not found:
        return ""
    return (
        f"{', '.join(found)} is never asked for names: what follows % is a link of the host, which"
        " no sandbox has. Make it again with an address that routes lead to"
    )


def _idle_options(options: Iterable[str]) -> Iterator[str]:
    """That programs pass over options, which they do without a word (resolv.conf(5))."""
    given = [(option, *option.partition(":")) for option in options]
    idle = [
        option
        for option, name, colon, value in given
        if (colon and name not in _NUMBERED) or (name in _NUMBERED and not value.isdecimal())
    ]
    if idle:
        yield (
            f"programs take no note of --dns-opt {', '.join(idle)}: the options with a number are"
            f" {', '.join(_NUMBERED)}, such as ndots:2"
        )
    names = [name for _, name, _, _ in given]
    if twice := sorted({each for each in names if each in _NUMBERED and names.count(each) > 1}):
        yield f"of several --dns-opt {', '.join(twice)} the last one counts"


def of_endpoint(state: ClusterState, one: endpoint.Endpoint) -> str:
    """The same of what is new with a connection."""
    box = state.sandboxes.get(one.sandbox)
    long = unread(upstreams.given_search(state, box)) if box else ""
    told = (*_mixed(state, one), *_twins(state, one), *_reverse(one), long)
    return " ".join(filter(None, told))


def _twins(state: ClusterState, one: endpoint.Endpoint) -> Iterator[str]:
    """That names differ by capitals only, which mean nothing to DNS."""
    net, box = state.networks.get(one.network), state.sandboxes.get(one.sandbox)
    if net is None or box is None:  # gone while its making was waited for
        return
    for each in state.endpoints_by_network.get(one.network, ()):
        other = state.sandboxes[each.sandbox].name
        if other != box.name and other.lower() == box.name.lower():
            yield (
                f"DNS cannot tell {box.name} and {other} apart: on the network {net.name} whoever"
                " asks for either may get both. Choose another name."
            )


def _mixed(state: ClusterState, one: endpoint.Endpoint) -> Iterator[str]:
    """On a network `lab` the sandbox `web` is `web.lab` too, as one that is called so.

    Who has the same name word for word was given it: that is how sandboxes share one.
    """
    net, box = state.networks.get(one.network), state.sandboxes.get(one.sandbox)
    if net is None or box is None:  # gone while its making was waited for
        return
    tail = f".{net.name}".lower()
    own = frozenset(records.names_of(box, one))
    for who, theirs in _others(state, one):
        shared = {each for each in theirs if each.removesuffix(tail) in own and each not in own}
        shared |= {each for each in own if each.removesuffix(tail) in theirs and each not in theirs}
        if shared:
            yield (
                f"{min(shared)} is also a name of {who} on the network {net.name}: whoever asks for"
                " it may get either. Choose another name, unless that is wanted."
            )


def _others(state: ClusterState, one: endpoint.Endpoint) -> Iterator[tuple[str, frozenset[str]]]:
    for each in state.endpoints_by_network.get(one.network, ()):
        if each.sandbox != one.sandbox:
            box = state.sandboxes[each.sandbox]
            yield f"the sandbox {box.name}", frozenset(records.names_of(box, each))
    for svc in state.services_by_network.get(one.network, ()):
        yield f"the service {svc.name}", frozenset(records.names_of_service(svc))


def _hiding(net: network.Network) -> str:
    if net.forwards_unknown:
        return ""
    if f".{net.name.lower()}".endswith(_REVERSE):
        return (
            f"names of addresses are below {net.name}: sandboxes on this network find none there"
            f" but those of their own networks. Choose another name, or"
            f" -o {network.OPTION_FORWARD_UNKNOWN}=true"
        )
    if net.name.lower() not in tlds.PUBLIC:
        return ""
    return (
        f"{net.name} is also a public top-level domain: sandboxes on this network find only each"
        f" other below .{net.name}, and nothing of the Internet's. Choose another name, or"
        f" -o {network.OPTION_FORWARD_UNKNOWN}=true"
    )


def _special(net: network.Network) -> str:
    """That programs know better than to ask a DNS server for names of this network."""
    end = net.name.lower().rpartition(".")[2]
    if end not in _SPECIAL:
        return ""
    return (
        f".{end} is kept for {_SPECIAL[end]}: some programs and systems never ask a DNS server for"
        f" names below it, so names below .{net.name} may not be found. Choose another name"
    )


def _idle_zones(net: network.Network) -> str:
    """That nobody is asked for a forward zone: what is ours comes first."""
    zones = dict.fromkeys(each.zone for each in net.dns_zones)
    idle = [zone for zone in zones if _is_ours(zone, net)]
    if not idle:
        return ""
    return (
        f"names of this network itself are never asked of others, so --dns-forward-zone"
        f" {', '.join(idle)} has no effect on it"
    )


def _is_ours(zone: str, net: network.Network) -> bool:
    own = net.name.lower()
    if not net.forwards_unknown and f".{zone}".endswith(f".{own}"):
        return True
    block = _block(zone)
    return block is not None and any(_holds(pool.subnet, block) for pool in net.pools)


def _holds(subnet: IPv4Network | IPv6Network, block: IPv4Network | IPv6Network) -> bool:
    return (
        subnet.version == block.version
        and subnet.prefixlen <= block.prefixlen
        and block.network_address in subnet
    )


def _block(zone: str) -> IPv4Network | IPv6Network | None:
    """The addresses whose names are in a reverse zone; None for other zones."""
    labels = zone.split(".")
    digits, top = labels[-3::-1], labels[-2:]
    try:
        if top == ["in-addr", "arpa"]:
            address = ".".join((*digits, *["0"] * (4 - len(digits))))
            return ip_network(f"{address}/{8 * len(digits)}")
        if top == ["ip6", "arpa"]:
            number = int("".join(digits).ljust(32, "0"), 16)
            return ip_network((IPv6Address(number), 4 * len(digits)))
    except ValueError:
        pass
    return None
