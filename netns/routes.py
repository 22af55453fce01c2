"""(have, want) → the steps on the routes of one namespace, in order. Pure.

Ours are made and removed. Those that the kernel makes itself, of addresses, are put back when
somebody took them away; gateways are reached by them, so they come first.
"""

from collections.abc import Collection, Iterator

from netns import steps, world


def diff(
    wanted: world.Wanted,
    found: world.Space,
    *,
    gone: Collection[str],
    shaken: Collection[str],
    up: Collection[str],
) -> Iterator[steps.Step]:
    """The steps, after those on links and addresses.

    Of the links the `gone` ones are removed or made again before, the `shaken` ones lose routes by
    steps before, and the others of those that are `up` keep what they have.
    """
    subjects = {link.name: link.mark or wanted.subject for link in wanted.links}
    yield from _prefixes(wanted, found, subjects, up)
    yield from _own(wanted, found, subjects, gone, shaken)


_Subjects = dict[str, str]


def _prefixes(
    wanted: world.Wanted, found: world.Space, subjects: _Subjects, up: Collection[str]
) -> Iterator[steps.Step]:
    """The ways to addresses and subnets that somebody took away or bent.

    To a subnet any on-link route will do.

    The kernel makes them itself when an address comes, or its link comes up.
    """
    there = {_way(route) for route in found.routes if route.gateway is None}
    standing = (route for route in wanted.routes if not route.ours and route.link in up)
    missing = [route for route in standing if _way(route) not in there]
    if not missing:
        return
    # The ways to addresses that others gave on the host are theirs; nobody read them.
    is_host = wanted.owner is world.Owner.HOST
    given = (each for each in found.addresses if each.ours or not is_host)
    old = {_way(route) for route in world.kernel_routes(given)}
    bent = {(route.link, _slot(route)) for route in found.routes if route.gateway is not None}
    for route in sorted(missing, key=_way_of):
        is_bent = (route.link, _slot(route)) in bent
        if _way(route) not in old:
            continue
        if wanted.owner is world.Owner.GUEST and is_bent:
            continue  # the container's own route wins
        subject = subjects[route.link]
        yield steps.AddRoute(space=wanted.path, route=route, subject=subject, replace=is_bent)


def _own(
    wanted: world.Wanted,
    found: world.Space,
    subjects: _Subjects,
    gone: Collection[str],
    shaken: Collection[str],
) -> Iterator[steps.Step]:
    wishes = {_key(route) for route in wanted.routes}
    lost = (
        route
        for route in found.routes
        if route.ours and route.link not in gone and _key(route) not in wishes
    )
    for route in sorted(lost, key=_way_of):
        subject = subjects.get(route.link, "")
        yield steps.DropRoute(space=wanted.path, route=route, subject=subject)
    there = {_key(route) for route in found.routes if route.link not in gone}
    foreign = {_slot(route) for route in found.routes if not route.ours}
    for route in sorted((each for each in wanted.routes if each.ours), key=_way_of):
        if _key(route) in there and route.link not in shaken:
            continue
        if wanted.owner is world.Owner.GUEST and _slot(route) in foreign:
            continue  # the container's own route wins
        yield steps.AddRoute(
            space=wanted.path,
            route=route,
            subject=subjects[route.link],
            replace=wanted.owner is world.Owner.SDD,
        )


def _way(route: world.Route) -> tuple[str, int, object]:
    return (route.link, route.table, route.destination)


def _key(route: world.Route) -> tuple[object, ...]:
    """The route, whoever made it."""
    return (route.link, route.table, route.destination, route.gateway, route.metric)


def _way_of(route: world.Route) -> tuple[int, int, int, int, int, str]:
    prefix = route.destination
    start = int(prefix.network_address)
    return (route.table, prefix.version, start, prefix.prefixlen, route.metric, route.link)


def _slot(route: world.Route) -> tuple[int, object, int]:
    """What two routes cannot share."""
    return (route.table, route.destination, route.metric)
