"""Question and scope → the answer, or that it must be asked elsewhere. No text, no wait, no world.

In: a parsed question and what its sandbox may see. Out: `Answer`, or `REFER`. The order is: own
added hosts, the networks' tables in gateway order (the first that has the name answers for it,
docker.md N7), their wildcards, names with a special use, zones that are ours; the rest is foreign.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final, NamedTuple

from resolver import protocol
from resolver.counters import Source
from resolver.message import reasons, wire
from resolver.message.wire import Rcode
from resolver.names import block
from sdd import shared

ROOT: Final = b"\0"
SPECIAL_TTL: Final = 86400
MOST_ALIASES: Final = 8  # in a row; resolvers give up at 8 to 16, and nobody means more
_SERVICE: Final = b"_"  # begins the labels of a port and of a protocol
_PROTOCOLS: Final = frozenset((b"\4_tcp", b"\4_udp", b"\5_sctp", b"\5_dccp"))
_LOCALHOST: Final = wire.to_wire("localhost")
_LOOPBACK: Final[Mapping[int, list[bytes]]] = MappingProxyType(
    {
        wire.A: [wire.record(wire.A, SPECIAL_TTL, bytes((127, 0, 0, 1)))],
        wire.AAAA: [wire.record(wire.AAAA, SPECIAL_TTL, bytes(15) + b"\x01")],
    }
)
# Never sent anywhere: RFC 6761 §6.4, RFC 7686, RFC 9476, RFC 6762 §22.1, RFC 8375 §4.
NOWHERE: Final = frozenset(map(wire.to_wire, ("invalid", "onion", "alt", "local", "home.arpa")))
_RESOLVER_ARPA: Final = wire.to_wire("resolver.arpa")  # RFC 9462 §6.4: known, and empty here
# RFC 6303 §4 and RFC 7793: reverse zones of addresses that mean nothing outside.
PRIVATE_REVERSE: Final = frozenset(
    wire.to_wire(f"{zone}.arpa")
    for zone in (
        "10.in-addr",
        *(f"{n}.172.in-addr" for n in range(16, 32)),
        "168.192.in-addr",
        "254.169.in-addr",
        *(f"{n}.100.in-addr" for n in range(64, 128)),
        "127.in-addr",
        "0.in-addr",
        "2.0.192.in-addr",
        "100.51.198.in-addr",
        "113.0.203.in-addr",
        "255.255.255.255.in-addr",
        "d.f.ip6",
        *(f"{n}.e.f.ip6" for n in "89ab"),
        "8.b.d.0.1.0.0.2.ip6",
        "1." + "0." * 31 + "ip6",
        "0." * 32 + "ip6",
    )
)
_SRV_TARGET = wire.RECORD_HEAD + 6  # behind priority, weight and port
# Never data (RFC 6895 §3.1): 0, OPT, and TKEY … MAILA with the transfers among them.
_META: Final = frozenset({0, wire.OPT, *range(128, 255)})
_SOA_TAIL: Final = wire.to_wire("localhost") + wire.to_wire("nobody.invalid") + bytes(3) + b"\x01"


class Answer(NamedTuple):
    """What to say; `records` are without owner, `zone` the SOA record for a negative answer.

    At the end of aliases `owner` is the name of `records`, and `path` the complete CNAME records
    that lead there. `beside` are complete records for the additional section. `onward` is the name
    of others to which the path leads: what is there must be asked elsewhere.
    """

    rcode: Rcode
    records: list[bytes]
    zone: bytes = b""
    source: Source = Source.OWNED
    owner: bytes = wire.POINTER
    path: tuple[bytes, ...] = ()
    beside: tuple[bytes, ...] = ()
    onward: bytes = b""


_NO_ROUTES: Final[Mapping[bytes, "Scope"]] = MappingProxyType({})
REFUSED: Final = Answer(Rcode.REFUSED, [], source=Source.POLICY)


@dataclass(frozen=True, slots=True, eq=False)
class Scope:
    """What one sandbox sees, ready for look-ups; `tables` has its added hosts first.

    `networks` names the tables, in the same order; the added hosts have the empty name. `wild`
    are the networks with wildcards. `partition` says who answers its foreign questions: its
    upstreams, and itself where they are asked from inside of it. `label` is what its questions
    are counted under: the name of its first network. `rate` questions a second may be sent on (0:
    no limit). `forwarded` are zones of a special use that somebody can be asked for all the same.
    `search` are the domains of its search list, and names with fewer dots than `ndots` are tried
    with them first. `routes` are the scopes of zones that have servers of their own. `sealed` says
    that nobody else may be asked, `leaves_host` that any question may leave by the host's own
    sockets.
    """

    sandbox: str
    tables: tuple[protocol.Names, ...]
    zones: frozenset[bytes]
    upstreams: tuple[protocol.Upstream, ...]
    ttl: int = 5
    keeps_single: bool = False
    networks: tuple[str, ...] = ()
    wild: tuple[tuple[str, protocol.Names], ...] = ()
    label: str = ""
    rate: int = 0
    forwarded: frozenset[bytes] = frozenset()
    search: tuple[bytes, ...] = ()
    ndots: int = 0
    routes: Mapping[bytes, "Scope"] = field(default_factory=lambda: _NO_ROUTES)
    sealed: bool = False
    partition: tuple[tuple[protocol.Upstream, ...], str] = field(init=False)
    leaves_host: bool = field(init=False)
    _straight: "Scope | None" = field(init=False, default=None, repr=False)

    def __post_init__(self) -> None:
        away = any(not each.inside for each in self.upstreams)
        object.__setattr__(self, "leaves_host", away)
        inside = any(each.inside for each in self.upstreams)
        object.__setattr__(self, "partition", (self.upstreams, self.sandbox if inside else ""))

    @property
    def nobody(self) -> wire.Explain:
        """Why there is nobody to ask, where there is not."""
        if self.sealed:
            return reasons.SEALED
        return reasons.NOT_READY if self.label else reasons.NO_NETWORK

    @property
    def straight(self) -> "Scope":
        """The same for names that no search list made; the same object each time.

        Made when it is wanted: few sandboxes ever ask for an alias out of their networks. It is
        never kept in itself: a new scope of each sandbox follows each change of a table, and what
        refers to itself stays until a search for garbage finds it.
        """
        if not self.search:
            return self
        if self._straight is None:
            routes = {zone: each.straight for zone, each in self.routes.items()}
            object.__setattr__(self, "_straight", replace(self, search=(), routes=routes))
        return self._straight or self

    def route(self, name: bytes) -> "Scope":
        """The scope that says whom a foreign `name` is asked of: of the longest zone it is in.

        Among these are the zones in `forwarded`, whose names go to the usual servers.
        """
        for zone in (name, *wire.parents(name)) if self.routes else ():
            if found := self.routes.get(zone):
                return found
            if zone in self.forwarded:
                return self
        return self

    @classmethod
    def of(cls, view: protocol.View, tables: Iterable[protocol.Names]) -> "Scope":
        """`view` over `tables`, which are in its order."""
        tables = tuple(tables)
        named = zip(view.tables, tables, strict=False)  # tests of one table give it no name
        forwarded = frozenset(view.routes).union(view.forwarded if view.upstreams else ())
        usual = cls(
            sandbox=view.sandbox,
            tables=(view.own, *tables) if view.own else tables,
            zones=shared.same(frozenset(view.suffixes)),
            upstreams=shared.same(tuple(view.upstreams)),
            ttl=view.ttl,
            keeps_single=view.keeps_single,
            networks=shared.same(("", *view.tables) if view.own else tuple(view.tables)),
            wild=tuple(each for each in named if each[0] in view.wild),
            label=view.network,
            rate=view.rate,
            forwarded=shared.same(forwarded),
            search=shared.same(tuple(view.search)),
            ndots=view.ndots,
            sealed=view.sealed,
        )
        routes = {zone: replace(usual, upstreams=tuple(own)) for zone, own in view.routes.items()}
        return replace(usual, routes=routes) if routes else usual


def answer(query: wire.Query, scope: Scope) -> Answer | None:
    """The answer that is known here, or None: ask the sandbox's upstreams."""
    kind = query.kind
    if query.klass != wire.IN or kind in _META:
        return REFUSED
    for names in scope.tables:
        if entry := names.get(query.name):
            return _owned(query, entry, scope)
    if scope.wild and (found := wildcard(query.name, scope)):
        return _owned(query, found.entry, scope)
    return _unowned(query, scope)


class Match(NamedTuple):
    """A wildcard that stands for a name: its network, the name above it, its records."""

    network: str
    zone: bytes
    entry: protocol.Entry


def wildcard(name: bytes, scope: Scope) -> Match | None:
    """The wildcard for a name that no table has, in the first network that has one.

    It is the one below the nearest name that exists (RFC 4592 §3.3.1).
    """
    for network, names in scope.wild:
        if name in names:
            continue  # there is something below it
        for zone in wire.parents(name):
            entry = names.get(wire.WILDCARD + zone)
            if entry is not None:
                return Match(network, zone, entry)
            if zone in names:
                break
    return None


def _owned(query: wire.Query, entry: protocol.Entry, scope: Scope) -> Answer:
    records = entry.get(query.kind)
    if records:
        beside = _targets(records, scope) if query.kind == wire.SRV else ()
        return Answer(Rcode.NOERROR, records, beside=beside)
    if query.kind == wire.ANY and (sets := [found for found in entry.values() if found]):
        return Answer(Rcode.NOERROR, sets[0])  # one RRset (RFC 8482 §4.1)
    if alias := entry.get(wire.CNAME):
        return _followed(query, alias[0], scope)
    return _nothing(query, query.name, scope)


def _nothing(query: wire.Query, name: bytes, scope: Scope) -> Answer:
    """The name is there, without records of the type; at the top of a zone stands its SOA."""
    zone = _zone(name, scope)
    if query.kind == wire.SOA and zone == name and name in scope.zones:
        return Answer(Rcode.NOERROR, [_start(scope.ttl)])
    return Answer(Rcode.NOERROR, [], soa(zone, scope.ttl))


def _zone(name: bytes, scope: Scope) -> bytes:
    """The nearest zone of ours that the name is in; a name outside of all is its own."""
    at = 0
    while name[at]:
        if name[at:] in scope.zones:
            return name[at:]
        at += name[at] + 1
    return name


def _followed(query: wire.Query, alias: bytes, scope: Scope) -> Answer:
    """What is at the end of the aliases that begin with `alias` (RFC 1034 §4.3.2, 6604 §3).

    Where they lead out of our names the answer says whom to ask for. A circle is SERVFAIL.
    """
    path: list[bytes] = []
    owner = wire.POINTER
    for _ in range(MOST_ALIASES):
        path.append(owner + alias)
        owner = alias[wire.RECORD_HEAD :]
        entry = _entry(owner, scope)
        if entry is None:
            end = _unowned(query._replace(name=owner), scope)
            end = end or Answer(Rcode.NOERROR, [], onward=owner)
            return end._replace(source=Source.OWNED, owner=owner, path=tuple(path))
        if records := entry.get(query.kind):
            beside = _targets(records, scope) if query.kind == wire.SRV else ()
            return Answer(Rcode.NOERROR, records, owner=owner, path=tuple(path), beside=beside)
        if not (more := entry.get(wire.CNAME)):
            end = _nothing(query, owner, scope)
            return end._replace(owner=owner, path=tuple(path))
        alias = more[0]
    return Answer(Rcode.SERVFAIL, [])


def _targets(records: list[bytes], scope: Scope) -> tuple[bytes, ...]:
    """The addresses of the targets of SRV records, as far as we own them (RFC 2782)."""
    targets = dict.fromkeys(each[_SRV_TARGET:] for each in records)
    return tuple(
        target + each
        for target in targets
        if (entry := _entry(target, scope))
        for kind in (wire.A, wire.AAAA)
        for each in entry.get(kind, ())
    )


def owns(name: bytes, scope: Scope) -> bool:
    """Whether the name has records of ours, be it by a wildcard."""
    return _entry(name, scope) is not None


def _entry(name: bytes, scope: Scope) -> protocol.Entry | None:
    for names in scope.tables:
        if entry := names.get(name):
            return entry
    found = wildcard(name, scope)
    return found.entry if found else None


def _unowned(query: wire.Query, scope: Scope) -> Answer | None:
    """Zones that are ours, and names with a special use; None for all others."""
    name = query.name
    for names in scope.tables:
        if name in names and name not in scope.zones:
            return _nothing(query, name, scope)  # there is something below it
    if host := _served_by(name, scope):
        return Answer(Rcode.NXDOMAIN, [], soa(_zone(host, scope), scope.ttl))
    at = 0
    is_given = is_forwarded(name, scope)
    while name[at]:
        if found := _below(query, name[at:], scope, is_given=is_given):
            return found
        at += name[at] + 1
    if (
        scope.keeps_single
        and not is_given
        and at == len(name) - 1 == name[0] + 1
        and query.kind in _LOOPBACK
    ):
        # The bare name of nobody: NXDOMAIN lets the asker's search list go on (docker.md N15).
        return Answer(Rcode.NXDOMAIN, [], soa(ROOT, scope.ttl), Source.POLICY)
    return None


def is_forwarded(name: bytes, scope: Scope) -> bool:
    """Whether `name` is in a zone that is forwarded whatever its use, unless it is ours."""
    if not scope.forwarded:
        return False
    return name in scope.forwarded or any(each in scope.forwarded for each in wire.parents(name))


def is_localhost(name: bytes) -> bool:
    """Whether `name` is this very host, whoever is asked (RFC 6761 §6.3)."""
    return _LOCALHOST in (name, *wire.parents(name))


def _served_by(name: bytes, scope: Scope) -> bytes:
    """The host of ours whose service is asked for (`_port._proto.host`); empty for others' hosts.

    Whom we own, nobody else knows the services of (RFC 2782, docker.md C13), nor of `_proto.host`.
    """
    if name[1:2] != _SERVICE:
        return b""
    port = name[name[0] + 1 :]
    if port[1:2] == _SERVICE:
        host = port[port[0] + 1 :]
    else:
        host = port if name[: name[0] + 1] in _PROTOCOLS else b""
    return host if host and _entry(host, scope) is not None else b""


def _below(query: wire.Query, zone: bytes, scope: Scope, *, is_given: bool) -> Answer | None:
    """The answer for a name in `zone`, if that is a zone in which we know everything.

    `is_given`: somebody else knows the zones with a special use.
    """
    source = Source.OWNED if zone in scope.zones else Source.SPECIAL
    is_special = not is_given and (zone in PRIVATE_REVERSE or zone in NOWHERE)
    if source is Source.OWNED or is_special:
        # The zone itself is there: NXDOMAIN would deny all below it too.
        is_top = zone == query.name and zone not in NOWHERE
        if is_top and query.kind in {wire.SOA, wire.ANY}:
            return Answer(Rcode.NOERROR, [_start(scope.ttl)], source=source)
        is_there = is_top or block.is_block(query.name)
        rcode = Rcode.NOERROR if is_there else Rcode.NXDOMAIN
        return Answer(rcode, [], soa(zone, scope.ttl), source)
    if zone == _LOCALHOST:
        records = _LOOPBACK.get(query.kind, [])
        return Answer(Rcode.NOERROR, records, b"" if records else soa(zone, scope.ttl), source)
    if zone == _RESOLVER_ARPA:
        return Answer(Rcode.NOERROR, [], soa(zone, scope.ttl), source)
    return None


def soa(zone: bytes, ttl: int) -> bytes:
    """The SOA record of `zone`, with owner."""
    return zone + _start(ttl)


def _start(ttl: int) -> bytes:
    """The SOA record of any zone, after its owner; "no" lasts `ttl` seconds (RFC 2308 §3)."""
    times = b"".join(seconds.to_bytes(4, "big") for seconds in (3600, 600, 86400, ttl))
    return wire.record(wire.SOA, ttl, _SOA_TAIL + times)
