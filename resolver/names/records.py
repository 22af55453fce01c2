"""Objects → the resource records by name that they bring to a network: docker.md §1.2, N1–N21.

In: an endpoint or a service. Out: `protocol.Names`. Each name is there bare and with the network's
name behind it; what several say of one name is put together by resolver.table.
"""

import struct
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address

from resolver import protocol
from resolver.message import wire
from resolver.names import added, between, portnames
from sdd.model import endpoint, ids, network, port, sandbox, service
from sdd.model.network import IPAddress
from sdd.state import ClusterState

TASKS = "tasks."
Serving = tuple[service.Member, endpoint.Endpoint, sandbox.Sandbox]
_SRV = struct.Struct(">HHH")  # priority, weight, port
_MOST_WEIGHT = 0xFFFF
LOCALHOST = "localhost"


def of_endpoint(
    box: sandbox.Sandbox, of: endpoint.Endpoint, suffix: str, ttl: int, zone: bytes = b""
) -> protocol.Names:
    """What a sandbox's endpoint says on the network called `suffix`, with TTL `ttl` seconds.

    `zone` is the network's name if all below it is ours.
    """
    known, hosts = names_of(box, of), of.hosts
    entry = _entry(hosts, ttl)  # one of all: it is never changed once it is in a table
    names = {owner: entry for name in known for owner in _owners(name, suffix)}
    between.fill(names, names, zone)
    _point(names, hosts, known[0], suffix, ttl)
    return names


def names_of(box: sandbox.Sandbox, of: endpoint.Endpoint) -> tuple[str, ...]:
    """The names of a sandbox on one network, the first being the one of its PTR record (N1).

    A hostname may be `localhost`, which stays everybody's own (RFC 6761 §6.3).
    """
    hostname = "" if box.hostname.lower() == LOCALHOST else box.hostname
    wanted = (box.name, *of.aliases, ids.short(box.id), hostname)
    return tuple(dict.fromkeys(name.lower() for name in wanted if name))


def of_hosts(extra: Iterable[sandbox.ExtraHost], ttl: int) -> protocol.Names:
    """The names of `--add-host`, which only the sandbox itself sees."""
    names: protocol.Names = {}
    for each in extra:
        _put(names, each.name, "", (each.address,), ttl)
        _point(names, (each.address,), each.name, "", ttl)
    return names


def of_service(
    svc: service.Service, members: Iterable[Serving], suffix: str, ttl: int, zone: bytes = b""
) -> protocol.Names:
    """The service's names: its virtual addresses or `members`; `tasks.` always its members.

    Each of its ports has SRV records `_port._proto.name` that name the members (RFC 2782). `zone`
    as in `of_endpoint`.
    """
    names: protocol.Names = {}
    members = tuple(members)
    serving = tuple(address for _, end, _ in members for address in end.hosts)
    addresses = tuple(_vips(svc, serving)) if svc.mode is service.EndpointMode.VIP else serving
    for name in dict.fromkeys((svc.name, *svc.aliases)):
        _put(names, name, suffix, addresses, ttl)
        _put(names, f"{TASKS}{name}", suffix, serving, ttl)
    for each in svc.ports:
        found = _srv(each, members, suffix, ttl)
        names |= {owner: {wire.SRV: found} for owner in _srv_names(each, svc, suffix)}
    between.fill(names, names, zone)
    _point(names, svc.vips, svc.name, suffix, ttl)
    return names


def _vips(svc: service.Service, serving: Iterable[IPAddress]) -> Iterator[IPAddress]:
    """Those behind which somebody answers; all while nobody does: they refuse at once."""
    versions = {each.version for each in serving}
    return (each for each in svc.vips if not versions or each.version in versions)


def members(state: ClusterState, svc: service.Service) -> Iterator[Serving]:
    """The members whose addresses are handed out."""
    for member in state.serving(svc).members:
        if member.share and (found := state.endpoints.get(member.endpoint)):
            yield member, state.answering(member, found), state.sandboxes[found.sandbox]


def names_of_service(svc: service.Service) -> Iterator[str]:
    """The names that mean the service or its members, and nothing else on its network."""
    for name in map(str.lower, (svc.name, *svc.aliases)):
        yield from (name, f"{TASKS}{name}")


def _put(
    names: protocol.Names, name: str, suffix: str, addresses: Iterable[IPAddress], ttl: int
) -> None:
    """Adds the addresses under `name` and `name.suffix`; a name without any is NODATA."""
    for owner in _owners(name, suffix):
        _fill(names.setdefault(owner, {}), addresses, ttl)


def _owners(name: str, suffix: str) -> Iterator[bytes]:
    for text in (name, f"{name}.{suffix}") if suffix else (name,):
        if owner := added.spelled(text):
            yield owner


def _entry(addresses: Iterable[IPAddress], ttl: int) -> protocol.Entry:
    entry: protocol.Entry = {}
    _fill(entry, addresses, ttl)
    return entry


def _fill(entry: protocol.Entry, addresses: Iterable[IPAddress], ttl: int) -> None:
    for address in addresses:
        kind = wire.A if address.version == 4 else wire.AAAA  # noqa: PLR2004 - IP version
        records = entry.setdefault(kind, [])
        record = wire.record(kind, ttl, address.packed)
        if record not in records:
            records.append(record)
    if not entry:
        entry[wire.A] = []  # it is a name all the same, and not one that is between others


def _srv(of: port.Port, members: Iterable[Serving], suffix: str, ttl: int) -> list[bytes]:
    """The SRV records of one port: all of one priority, chosen by the members' weights."""
    named = ((member, added.wire_name(f"{box.name}.{suffix}")) for member, _, box in members)
    return [
        wire.record(wire.SRV, ttl, _SRV.pack(0, min(member.share, _MOST_WEIGHT), of.target) + name)
        for member, name in named
        if name
    ]


def _srv_names(of: port.Port, svc: service.Service, suffix: str) -> Iterator[bytes]:
    """`_port._proto` before each name of the service."""
    for name in dict.fromkeys((svc.name, *svc.aliases)):
        for label in portnames.labels(of.protocol, of.target):
            for end in (name, f"{name}.{suffix}"):
                if owner := added.wire_name(f"{label}._{of.protocol}.{end}"):
                    yield owner


def _point(
    names: protocol.Names, addresses: Iterable[IPAddress], name: str, suffix: str, ttl: int
) -> None:
    """PTR records `address → name.suffix`; the first that claims an address keeps it."""
    if not (target := added.wire_name(f"{name}.{suffix}" if suffix else name)):
        return
    for address in addresses:
        entry = names.get(owner := added.pointer(address), {})
        if wire.PTR not in entry:
            names[owner] = entry | {wire.PTR: [wire.record(wire.PTR, ttl, target)]}


def zones(net: network.Network, *, is_alone: bool = False) -> Iterator[bytes]:
    """The network's name and the reverse zones wholly inside its subnets, as wire names.

    What is asked below them and has no record does not exist: nobody else can know. Except below a
    network that was told to forward what it does not know: it hides names only from a sandbox that
    can ask nobody (`is_alone`).
    """
    hides = is_alone or not net.forwards_unknown
    if hides and (suffix := added.wire_name(net.name)):
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
