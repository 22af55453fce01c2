"""A wish for a namespace, and what is there → the wish as far as it can be fulfilled. Pure."""

from collections.abc import Mapping
from dataclasses import replace

from netns import world

_TAG = 4  # VLAN_HLEN


def without(wanted: world.Wanted, host: world.Wanted, blocked: frozenset[str]) -> world.Wanted:
    """`wanted` without what depends on names that foreign links hold."""
    if not blocked:
        return wanted
    lost = blocked | {link.name for link in host.links if blocked & {link.master, link.parent}}
    is_host = wanted.path == world.HOST
    gone = {link.name for link in wanted.links if (link.name if is_host else link.twin) in lost}
    return replace(
        wanted,
        links=tuple(link for link in wanted.links if link.name not in gone),
        addresses=frozenset(each for each in wanted.addresses if each.link not in gone),
        routes=frozenset(each for each in wanted.routes if each.link not in gone),
    )


def with_mtus(
    wanted: world.Wanted, found: world.Space, host: world.Space, own: Mapping[str, world.Link]
) -> world.Wanted:
    """`wanted`, and of links on others that asked for no MTU that of the link under them.

    `own` are the wanted links of the host. The kernel lowers it with the lower link's and never
    raises it again (macvlan_device_event, vlan_device_event).
    """
    mtus = {
        link.name: _mtu_below(link, host, own)
        for link in wanted.links
        if link.parent and not link.mtu
    }
    known = {name for name in mtus if name in found.links and found.links[name].mtu}
    if not any(mtus[name] for name in known):
        return wanted
    return replace(
        wanted,
        links=tuple(
            replace(link, mtu=mtus[link.name]) if link.name in known else link
            for link in wanted.links
        ),
    )


def _mtu_below(link: world.Link, host: world.Space, own: Mapping[str, world.Link]) -> int:
    """What `link` may have at most: 0 where nothing is known of the link under it."""
    below = host.links.get(link.parent)
    if below is None:
        return 0
    # Frames of MACsec have no room for a tag (netif_reduces_vlan_mtu).
    tag = _TAG if link.kind is world.Kind.VLAN and below.kind is world.Kind.MACSEC else 0
    return max(0, _mtu(below, host, own) - tag)


def _mtu(found: world.Link, host: world.Space, own: Mapping[str, world.Link]) -> int:
    """The MTU that a link of the host has, or will have if it is ours."""
    wanted = own.get(found.name)
    if wanted is None or not found.mark:
        return found.mtu
    return wanted.mtu or (_mtu_below(wanted, host, own) if wanted.parent else 0) or found.mtu
