"""Which servers answer what is not ours, and so what a sandbox's resolv.conf says.

In: a sandbox, the state, the daemon's settings. Out: values. A sandbox's own servers come before
its networks', those before the daemon's, those before the host's. Servers given by users are
dialled from inside the sandbox, the daemon's and the host's from the host's namespace; a sandbox
that is on internal networks only gets none of the latter (CVE-2024-29018).
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from resolver import protocol
from resolver.files import resolvconf
from resolver.message import wire
from resolver.names import records
from sdd.model import nameserver, network, sandbox
from sdd.model.nameserver import Nameserver
from sdd.state import ClusterState

ASKED, NETWORK, DAEMON = "--dns", "network --dns", "daemon"
ZONE = "network --dns-forward-zone"
OURS = "the server of sdd"
_WITHIN = "its names are those of a network that the sandbox is on"
LINK = "it names a link of the host, which no sandbox has"
_NONE = "no upstream: names that are not ours get"
_NOWHERE = "no upstream, for it is on no network: names that are not ours get"
# Who has a server of ours gets these through it.
_ENCRYPTED = "resolv.conf names only plain servers on port 53"
_NO_OTHER = "no other upstream: names that are not ours, nor in a zone above, get"


class Bind(StrEnum):
    """How port 53 of a sandbox's server address leads to the server."""

    NAT = "nat"  # by rules: port 53 stays free for a server of the sandbox's own
    DIRECT = "direct"  # the server holds port 53 itself: no rules


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonDns:
    """The daemon's own settings and what the host's files say.

    `direct` is the host file whose servers can be reached from sandboxes without a server of ours
    (the resolved stub's own upstreams where the host's file names the stub only). `ttl` is the
    lifetime in seconds of the answers for our names, `rate` how many foreign questions a second a
    sandbox may ask (0: no limit), `ca` the file of authorities for encrypted
    servers (empty: the system's). `forwarded` are zones that are forwarded whatever their use.
    """

    servers: tuple[Nameserver, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    host: resolvconf.Host = field(default_factory=resolvconf.Host)
    direct: resolvconf.Host = field(default_factory=resolvconf.Host)
    ttl: int = 5
    rate: int = 2000
    ca: str = ""
    bind: Bind = Bind.NAT
    forwarded: tuple[str, ...] = ()

    @property
    def host_servers(self) -> frozenset[network.IPAddress]:
        """Those that are asked from the host's namespace, by us or by its own stub, over routes."""
        own = (each.address for each in self.servers)
        every = (*own, *self.host.servers, *self.direct.servers)
        return frozenset(each for each in every if not (each.is_loopback or each.is_link_local))


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One server to ask: `inside` the sandbox or from the host; `origin` in a person's words."""

    server: Nameserver
    inside: bool
    origin: str
    ca: str = ""


def served(state: ClusterState, box: sandbox.Sandbox) -> bool:
    """Whether the sandbox has a server of ours: it is, or was, on a network that has names."""
    return box.keeps_server or any(net.has_names for net in networks(state, box))


def networks(state: ClusterState, box: sandbox.Sandbox) -> tuple[network.Network, ...]:
    """The sandbox's networks in gateway order, but for the one that ports lead over."""
    ends = state.endpoints_by_sandbox.get(box.id, ())
    nets = (state.networks[each.network] for each in ends)
    return tuple(net for net in nets if not net.is_ingress)


def servers(state: ClusterState, box: sandbox.Sandbox, daemon: DaemonDns) -> tuple[Server, ...]:
    """Whom to ask, best first; never the sandbox's own server, that would be a loop."""
    nets = networks(state, box)
    if box.dns.servers:
        return _servers(box.dns.servers, ASKED, inside=True, ca=daemon.ca)
    if given := [each for net in nets for each in net.dns]:
        return _servers(given, NETWORK, inside=True, ca=daemon.ca)
    if not any(not net.internal for net in nets):
        return ()
    if daemon.servers:
        return _servers(daemon.servers, DAEMON, inside=False, ca=daemon.ca)
    return _servers(daemon.host.servers, daemon.host.path, inside=False)


def sealed(state: ClusterState, box: sandbox.Sandbox) -> bool:
    """Whether the sandbox is kept from asking anybody: by its networks, not for want of servers."""
    nets = networks(state, box)
    return bool(nets) and all(net.internal for net in nets)


def zones(
    state: ClusterState, box: sandbox.Sandbox, daemon: DaemonDns
) -> Mapping[str, tuple[Server, ...]]:
    """Whom to ask for the names of which zone instead, from inside the sandbox.

    Of several networks with the same zone the first one's servers are asked, of a zone within one
    of ours none.
    """
    found: dict[str, tuple[Server, ...]] = {}
    idle = _idle(state, box, daemon)
    for net in networks(state, box):
        given: dict[str, list[nameserver.Server]] = {}
        for each in net.dns_zones:
            if each.zone not in idle:
                given.setdefault(each.zone, []).append(each.server)
        for zone, own in given.items():
            if zone not in found and (able := _servers(own, ZONE, inside=True, ca=daemon.ca)):
                found[zone] = able
    return found


def _idle(state: ClusterState, box: sandbox.Sandbox, daemon: DaemonDns) -> Collection[str]:
    """The forward zones in which all names are ours, in any of the sandbox's networks."""
    nets = networks(state, box)
    given = {each.zone for net in nets for each in net.dns_zones}
    if not given:
        return ()
    is_alone = not servers(state, box, daemon)
    named = (net for net in nets if net.has_names)
    ours = {zone for net in named for zone in records.zones(net, is_alone=is_alone)}
    wired = ((zone, wire.to_wire(zone)) for zone in sorted(given))
    return [zone for zone, name in wired if not ours.isdisjoint((name, *wire.parents(name)))]


def for_worker(found: Iterable[Server]) -> tuple[protocol.Upstream, ...]:
    """The same as the worker gets it."""
    return tuple(
        protocol.Upstream(
            address=str(each.server.address),
            port=each.server.port,
            inside=each.inside,
            transport=each.server.transport,
            name=each.server.name,
            path=each.server.path,
            ca=each.ca if each.server.transport in nameserver.ENCRYPTED else "",
        )
        for each in found
    )


def wanted(state: ClusterState, box: sandbox.Sandbox, daemon: DaemonDns) -> resolvconf.Wanted:
    """The sandbox's resolv.conf: our server alone, or the real ones where it has none of ours.

    Exactly one nameserver line for our server: with more, musl asks all at once and names flap.
    """
    search, search_from = _search(state, box, daemon)
    options, options_from = _options(box, daemon)
    origins = [("search", search_from)] if search else []
    if not served(state, box):
        told = (*origins, *([("options", options_from)] if options else []))
        bare = resolvconf.Wanted(servers=(), search=search, options=options, origins=told)
        return _direct(state, box, daemon, bare)
    found = servers(state, box, daemon)
    origins = [("nameserver", OURS), *origins, *_of_options(options, options_from)]
    special = zones(state, box, daemon)
    rcode = "NXDOMAIN" if sealed(state, box) else "SERVFAIL"
    none = _NONE if networks(state, box) else _NOWHERE
    notes = () if found else (f"{_NO_OTHER if special else none} {rcode}",)
    return resolvconf.Wanted(
        servers=(resolvconf.EMBEDDED,),
        search=search,
        options=resolvconf.with_ndots(options),
        upstreams=(
            *(
                (str(each.server), f"{ZONE} {zone}")
                for zone, own in special.items()
                for each in own
            ),
            *((str(each.server), _where(each)) for each in found),
        ),
        others=daemon.host.others,
        origins=tuple(origins),
        notes=(
            *notes,
            *(f"left out: {zone} ({ZONE}): {_WITHIN}" for zone in _idle(state, box, daemon)),
            *_linked(state, box),
            *_looping(daemon.host),
            *_skipped(daemon.host),
        ),
    )


def _direct(
    state: ClusterState, box: sandbox.Sandbox, daemon: DaemonDns, bare: resolvconf.Wanted
) -> resolvconf.Wanted:
    """Docker's rule for its default bridge (docker.md R5), without its public fall-back."""
    given, origin = tuple(map(nameserver.whole, box.dns.servers)), ASKED
    why = {each: _ENCRYPTED for each in given if not each.is_plain}
    if not given:
        given, origin = daemon.servers, DAEMON
        if not given:
            given, origin = tuple(map(nameserver.whole, daemon.direct.servers)), daemon.direct.path
        ends = state.endpoints_by_sandbox.get(box.id, ())
        families = {4, *(address.version for end in ends for address in end.hosts)}
        why = {each: words for each in given if (words := _unreachable(each, families))}
    found = tuple(dict.fromkeys(each.address for each in given if each not in why))
    left_out = (f"left out: {each} ({origin}): {words}" for each, words in why.items())
    notes = () if found else ("no nameserver can be reached from here; give one with --dns",)
    return replace(
        bare,
        servers=found,
        others=daemon.direct.others,
        origins=(*((("nameserver", origin),) if found else ()), *bare.origins),
        notes=(*notes, *left_out, *_skipped(daemon.direct)),
    )


def _servers(
    servers: Iterable[nameserver.Server], origin: str, *, inside: bool, ca: str = ""
) -> tuple[Server, ...]:
    return tuple(
        Server(server=server, inside=inside, origin=origin, ca=ca)
        for server in dict.fromkeys(map(nameserver.whole, servers))
        if not server.is_ours and not (inside and server.names_link)
    )


def unasked(state: ClusterState, box: sandbox.Sandbox) -> tuple[tuple[Nameserver, str], ...]:
    """Servers that it was given and that are never asked for it, and by which option.

    Older releases took addresses that name a link.
    """
    if not served(state, box):
        return ()
    nets = networks(state, box)
    given = (
        *((each, ASKED) for each in box.dns.servers),
        *((each, NETWORK) for net in nets for each in net.dns),
        *((each.server, ZONE) for net in nets for each in net.dns_zones),
    )
    every = dict.fromkeys((nameserver.whole(each), origin) for each, origin in given)
    return tuple(each for each in every if each[0].names_link)


def _unreachable(server: Nameserver, families: Collection[int]) -> str:
    """Why programs of a sandbox with addresses of `families` cannot ask it; empty if they can."""
    if not server.is_plain:
        return _ENCRYPTED
    if server.address.is_loopback:
        return "a loopback address of the host"
    return "" if server.address.version in families else "no address here is of its family"


def _of_options(given: tuple[str, ...], origin: str) -> list[tuple[str, str]]:
    """Where the options come from; what was added to those that somebody gave."""
    added = [each for each in resolvconf.with_ndots(given) if each not in given]
    told = [("options", origin)] if given else []
    return [*told, *((each, OURS) for each in added)]


def _linked(state: ClusterState, box: sandbox.Sandbox) -> tuple[str, ...]:
    return tuple(f"left out: {each} ({origin}): {LINK}" for each, origin in unasked(state, box))


def _looping(host: resolvconf.Host) -> tuple[str, ...]:
    """That the host's file names the sandbox's own server, as in a container of Docker's."""
    own = resolvconf.EMBEDDED
    return (f"left out of {host.path}: nameserver {own}: {OURS}",) if own in host.servers else ()


def _skipped(host: resolvconf.Host) -> tuple[str, ...]:
    return (
        *(f"left out of {host.path}, no address: nameserver {bad}" for bad in host.invalid),
        *(f"left out of {host.path}: {line}" for line in host.skipped),
    )


def keeps_single(box: sandbox.Sandbox, daemon: DaemonDns) -> bool:
    """Whether bare names are never forwarded.

    Whoever sets ndots has a search list in mind: bare names are meant for it (docker.md N15).
    """
    return any(map(resolvconf.is_ndots, _options(box, daemon)[0]))


def searches(
    state: ClusterState, box: sandbox.Sandbox, daemon: DaemonDns
) -> tuple[tuple[str, ...], int]:
    """The search list, and `ndots`: names of fewer dots are asked with its domains first.

    Both as resolv.conf has them; with more dots glibc comes to the list after "no address".
    """
    ndots = resolvconf.ndots(resolvconf.with_ndots(_options(box, daemon)[0]))
    return _search(state, box, daemon)[0], ndots


def given_search(state: ClusterState, box: sandbox.Sandbox) -> tuple[str, ...]:
    """The search domains that it or its networks were given; empty where the daemon's count."""
    of_networks = (name for net in networks(state, box) for name in net.dns_search)
    return resolvconf.searched(box.dns.search or of_networks)


def _where(server: Server) -> str:
    return server.origin if server.inside else f"{server.origin}, asked from the host"


def _search(
    state: ClusterState, box: sandbox.Sandbox, daemon: DaemonDns
) -> tuple[tuple[str, ...], str]:
    given = tuple(name for net in networks(state, box) for name in net.dns_search)
    choices = (
        (box.dns.search, "--dns-search"),
        (given, "network --dns-search"),
        (daemon.search, DAEMON),
        (daemon.host.search, daemon.host.path),
    )
    found, origin = next((each for each in choices if each[0]), ((), ""))
    return resolvconf.searched(found), origin


def _options(box: sandbox.Sandbox, daemon: DaemonDns) -> tuple[tuple[str, ...], str]:
    choices = (
        (box.dns.options, "--dns-opt"),
        (daemon.options, DAEMON),
        (daemon.host.options, daemon.host.path),
    )
    return next((each for each in choices if each[0]), ((), OURS))
