"""The rules of `nft_rules` as a table again, without reading what the comments already say."""

from collections.abc import Collection, Mapping
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
    uplink: str = "",
) -> table.Table:
    """What is there; with `only`, nothing but those virtual addresses is looked at.

    What is as in `likely` need not be taken to pieces to be known.

    Every flaw concerns the frame: damage by hand is rare and the table is then written anew.
    """
    if not nft_netlink.present(connection):
        return table.EMPTY
    if only is None:
        comments = nft_netlink.comments(connection)
        services, flaws = _services(connection, comments, None, likely)
        chains = {nft_text.chain(vip) for vip in services}
        shared = nft_text.chains_of(uplink)
        flaws.extend(nft_netlink.frame_flaws(connection, shared, comments, chains))
    else:
        if len(only) > nft_netlink.FEW:
            comments = nft_netlink.comments(connection)
        else:
            comments = {}
            for vip in only:
                comments |= nft_netlink.comments(connection, nft_text.chain(vip))
        services, flaws = _services(connection, comments, only, likely)
    return table.Table(
        services=MappingProxyType(services),
        flaws=tuple(table.Flaw(what=what) for what in flaws),
    )


def _services(
    connection: netlink.Connection,
    comments: nft_netlink.Comments,
    only: Collection[IPAddress] | None,
    likely: Services,
) -> tuple[dict[IPAddress, table.VirtualService], list[str]]:
    targets = {
        vip: nft_netlink.target(data)
        for vip, data in nft_netlink.by_address(connection, "vip", only)
    }
    own = {vip for vip, _ in nft_netlink.by_address(connection, "own", only)}
    services, flaws = {}, []
    for vip in sorted(targets.keys() | own, key=_order):
        chain = nft_text.chain(vip)
        found = nft_text.service_of(vip, comments.get(chain, ()), likely.get(vip))
        if found is None or targets.get(vip) != chain or vip not in own:
            flaws.append(f"the rules of {vip} are not as sdd writes them")
        else:
            services[vip] = found
    return services, flaws


def _order(address: IPAddress) -> tuple[int, int]:
    return address.version, int(address)
