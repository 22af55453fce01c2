"""Objects → the resource records by name that they bring to a network: docker.md §1.2, N1–N21.

In: an endpoint or a service. Out: `protocol.Names`. Each name is there bare and with the network's
name behind it; what several say of one name is put together by resolver.names.table.
"""

import functools
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from itertools import chain

from resolver import protocol
from resolver.message import wire
from resolver.names import portnames, spelling
from resolver.names.ground import Ground
from sdd.model import endpoint, ids, loopback, network, port, sandbox, service
from sdd.model.network import IPAddress
from sdd.state import ClusterState

TASKS = "tasks."
Serving = tuple[service.Member, endpoint.Endpoint, sandbox.Sandbox]
_SRV = struct.Struct(">HHH")  # priority, weight, port
_MOST_WEIGHT = 0xFFFF


def of_endpoint(box: sandbox.Sandbox, of: endpoint.Endpoint, ground: Ground) -> protocol.Names:
    """What a sandbox's endpoint says on a network."""
    hosts = of.hosts
    owners = [spelling.owners(name, ground.tail) for name in names_of(box, of)]
    entry = _entry(hosts, ground.ttl)  # one of all: it is never changed once it is in a table
    names = dict.fromkeys(chain.from_iterable(owners), entry)
    _point(names, hosts, owners[0][1:], ground.ttl)
    return names


def names_of(box: sandbox.Sandbox, of: endpoint.Endpoint) -> tuple[str, ...]:
    """The names of a sandbox on one network, the first being the one of its PTR record (N1).

    A hostname may be `localhost` or below it, which stays everybody's own (RFC 6761 §6.3).
    """
    wanted = [box.name, *of.aliases, ids.short(box.id)]
    if box.hostname and not loopback.is_loopback(box.hostname):
        wanted.append(box.hostname)
    return tuple(filter(None, dict.fromkeys(map(str.lower, wanted))))


def of_hosts(extra: Iterable[sandbox.ExtraHost], ttl: int) -> protocol.Names:
    """The names of `--add-host`, which only the sandbox itself sees."""
    names: protocol.Names = {}
    for each in extra:
        owners = spelling.owners(each.name, b"")
        for owner in owners:
            names[owner] = _both(names.get(owner, {}), _entry((each.address,), ttl))
        _point(names, (each.address,), owners, ttl)
    return names


def of_service(svc: service.Service, members: Iterable[Serving], ground: Ground) -> protocol.Names:
    """The service's names: its virtual addresses or `members`; `tasks.` always its members.

    Each of its ports has SRV records `_port._proto.name` that name the members (RFC 2782).
    """
    members = tuple(members)
    serving = [address for _, end, _ in members for address in end.hosts]
    each_one = _entry(serving, ground.ttl)
    is_one = svc.mode is service.EndpointMode.VIP
    one = _entry(_vips(svc, serving), ground.ttl) if is_one else each_one
    names: protocol.Names = {}
    for name in dict.fromkeys((svc.name, *svc.aliases)):
        for text, entry in ((name, one), (f"{TASKS}{name}", each_one)):
            for owner in spelling.owners(text, ground.tail):
                have = names.setdefault(owner, entry)
                if have is not entry:  # an alias that is called like what is there anyway
                    names[owner] = _both(have, entry)
    for of in svc.ports:
        srv = {wire.SRV: _srv(of, members, ground)}
        names |= dict.fromkeys(_srv_names(of, svc, ground.tail), srv)
    _point(names, svc.vips, spelling.owners(svc.name, ground.tail)[1:], ground.ttl)
    return names


def _vips(svc: service.Service, serving: Iterable[IPAddress]) -> Iterator[IPAddress]:
    """Those behind which somebody answers; all while nobody does: they refuse at once."""
    versions = {each.version for each in serving}
    return (each for each in svc.vips if not versions or each.version in versions)


def members(state: ClusterState, svc: service.Service) -> Iterator[Serving]:
    """The members whose addresses are handed out, each with those at which it serves."""
    if state.is_split(svc):
        yield from _by_version(state, svc)
        return
    for member in state.serving(svc).members:
        if member.share and (found := state.endpoints.get(member.endpoint)):
            yield member, found, state.sandboxes[found.sandbox]


def _by_version(state: ClusterState, svc: service.Service) -> Iterator[Serving]:
    served = {
        version: {each.endpoint for each in state.serving(svc, version).members if each.share}
        for version in (4, 6)
    }
    for member in state.members_by_service.get(svc.id, ()):
        end = state.endpoints.get(member.endpoint)
        if end is not None:
            kept = tuple(each for each in end.addresses if end.id in served[each.version])
            if kept:
                yield member, replace(end, addresses=kept), state.sandboxes[end.sandbox]


def names_of_service(svc: service.Service) -> Iterator[str]:
    """The names that mean the service or its members, and nothing else on its network."""
    for name in map(str.lower, (svc.name, *svc.aliases)):
        yield from (name, f"{TASKS}{name}")


def _entry(addresses: Iterable[IPAddress], ttl: int) -> protocol.Entry:
    """The addresses; without any it is a name all the same, and NODATA."""
    entry: protocol.Entry = {}
    heads = _heads(ttl)
    for data in dict.fromkeys([each.packed for each in addresses]):
        kind, head = heads[len(data)]
        entry.setdefault(kind, []).append(head + data)
    return entry or {wire.A: []}


@functools.lru_cache
def _heads(ttl: int) -> Mapping[int, tuple[int, bytes]]:
    """Type of an address of so many bytes, and what is before these in its record."""
    kinds = {4: wire.A, 16: wire.AAAA}
    return {
        size: (kind, wire.record(kind, ttl, bytes(size))[:-size]) for size, kind in kinds.items()
    }


def _both(one: protocol.Entry, other: protocol.Entry) -> protocol.Entry:
    return {
        kind: list(dict.fromkeys((*one.get(kind, ()), *other.get(kind, ()))))
        for kind in (*one, *other)
    }


def _srv(of: port.Port, members: Iterable[Serving], ground: Ground) -> list[bytes]:
    """The SRV records of one port: all of one priority, chosen by the members' weights."""
    named = ((member, spelling.below(box.name, ground.tail)) for member, _, box in members)
    return [
        wire.record(
            wire.SRV,
            ground.ttl,
            _SRV.pack(0, min(member.share, _MOST_WEIGHT), of.target) + name,
        )
        for member, name in named
        if name
    ]


def _srv_names(of: port.Port, svc: service.Service, tail: bytes) -> Iterator[bytes]:
    """`_port._proto` before each name of the service."""
    for name in dict.fromkeys((svc.name, *svc.aliases)):
        for label in portnames.labels(of.protocol, of.target):
            yield from spelling.owners(f"{label}._{of.protocol}.{name}", tail)


def _point(
    names: protocol.Names, addresses: Iterable[IPAddress], targets: Sequence[bytes], ttl: int
) -> None:
    """PTR records `address → the last of targets`, if any: the name with the network's behind it.

    The first that claims an address keeps it.
    """
    if not targets:
        return
    found: protocol.Entry = {wire.PTR: [wire.record(wire.PTR, ttl, targets[-1])]}
    for address in addresses:
        owner = spelling.pointer(address)
        entry = names.setdefault(owner, found)
        if wire.PTR not in entry:  # a name of its own that is a reverse one
            names[owner] = entry | found


def zones(net: network.Network, *, is_alone: bool = False) -> Iterator[bytes]:
    """The network's name and the reverse zones wholly inside its subnets, as wire names.

    What is asked below them and has no record does not exist: nobody else can know. Except below a
    network that was told to forward what it does not know: it hides names only from a sandbox that
    can ask nobody (`is_alone`).
    """
    hides = is_alone or not net.forwards_unknown
    if hides and (suffix := spelling.spelled(net.name)):
        yield suffix
    for pool in net.pools:
        step = 8 if pool.subnet.version == 4 else 4  # noqa: PLR2004 - IP version
        prefix = -(-pool.subnet.prefixlen // step) * step
        if prefix < pool.subnet.max_prefixlen:
            for part in pool.subnet.subnets(new_prefix=prefix):
                yield _zone(part.network_address, prefix // step)


def _zone(address: IPv4Address | IPv6Address, labels: int) -> bytes:
    pointer = address.reverse_pointer.split(".")
    most = len(pointer) - 2  # without in-addr.arpa, ip6.arpa
    return wire.to_wire(".".join(pointer[most - labels :]))
