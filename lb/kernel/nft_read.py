"""The rules of `nft_rules` as a table again, as their comments record it.

What the rules do is not read here: `nft_trust` knows which may do something else.
"""

from collections.abc import Collection, Mapping, Sequence
from ipaddress import ip_address
from types import MappingProxyType

from lb import table
from lb.kernel import nft_netlink, nft_text
from sdd.linux import netlink
from sdd.model.network import IPAddress

Services = Mapping[IPAddress, table.VirtualService]


def read(
    connection: netlink.Connection,
    only: Collection[IPAddress] | None = None,
    likely: Services = MappingProxyType({}),
    records: nft_text.Records | None = None,
) -> table.Table:
    """What is there; with `only`, nothing but those virtual addresses is looked at.

    What is as in `likely`, by its `records`, need not be taken to pieces to be known.
    """
    if not nft_netlink.present(connection):
        return table.EMPTY
    if only is None or len(only) > nft_netlink.FEW:
        rules = nft_netlink.rules(connection)
    else:
        rules = {}
        for vip in only:
            rules |= nft_netlink.rules(connection, nft_text.chain(vip))
    known = {} if only is None else _recorded(likely, only, records or nft_text.Records())
    services, flaws = _services(connection, nft_netlink.comments(rules), only, known)
    return _told(services, flaws)


def whole(connection: netlink.Connection, rules: nft_netlink.Rules, uplink: str) -> table.Table:
    """All of the table, whose `rules` these are, and what is wrong with what its services share.

    Every flaw concerns the frame: damage by hand is rare and the table is then written anew.
    """
    comments = nft_netlink.comments(rules)
    services, flaws = _services(connection, comments, None, {})
    chains = {nft_text.chain(vip) for vip in services}
    shared = nft_text.chains_of(uplink)
    flaws.extend(nft_netlink.frame_flaws(connection, shared, comments, chains))
    return _told(services, flaws)


def _told(services: Services, flaws: Sequence[str]) -> table.Table:
    return table.Table(
        services=MappingProxyType(dict(services)),
        flaws=tuple(table.Flaw(what=what) for what in flaws),
    )


Recorded = Mapping[bytes, tuple[table.VirtualService, Sequence[str]]]


def _recorded(likely: Services, only: Collection[IPAddress], records: nft_text.Records) -> Recorded:
    """By the bytes of their addresses: those are compared faster than addresses."""
    those = (likely.get(vip) for vip in only)
    return {each.vip.packed: (each, records.of(each)) for each in those if each is not None}


def _services(
    connection: netlink.Connection,
    comments: nft_netlink.Comments,
    only: Collection[IPAddress] | None,
    likely: Recorded,
) -> tuple[dict[IPAddress, table.VirtualService], list[str]]:
    targets = {
        key: nft_netlink.target(data)
        for key, data in nft_netlink.by_address(connection, "vip", only)
    }
    own = {key for key, _ in nft_netlink.by_address(connection, "own", only)}
    services, flaws = {}, []
    for key in sorted(targets.keys() | own, key=_order):
        known = likely.get(key)
        vip = known[0].vip if known is not None else ip_address(key)
        chain = nft_text.chain(vip)
        there = comments.get(chain, ())
        is_known = known is not None and known[1] == there
        found = known[0] if known is not None and is_known else nft_text.service_of(vip, there)
        if found is None or targets.get(key) != chain or key not in own:
            flaws.append(f"the rules of {vip} are not as sdd writes them")
        else:
            services[vip] = found
    return services, flaws


def _order(key: bytes) -> tuple[int, bytes]:
    return len(key), key
