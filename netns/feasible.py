"""A wish for a namespace, and what is there → the wish as far as it can be fulfilled. Pure."""

from dataclasses import replace

from netns import world


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


def with_mtus(wanted: world.Wanted, found: world.Space, host: world.Space) -> world.Wanted:
    """`wanted`, and of children that asked for no MTU that of the parent.

    The kernel lowers it with the parent's, and macvlan's it never raises again (macvlan.c,
    NETDEV_CHANGEMTU).
    """
    mtus = {
        link.name: host.links[link.parent].mtu
        for link in wanted.links
        if link.kind in world.CHILDREN and not link.mtu and link.parent in host.links
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
