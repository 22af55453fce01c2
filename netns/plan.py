"""(have, want) → the steps between, in order. Pure.

The order: what is in the way goes, namespaces come, the fence stands before there is anything to
fence in, then the host's links and routes, then each sandbox: addresses, link up, routes. Only
links with our mark, and addresses and routes that we gave, are ever changed or removed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from netns import contract, desired, failures, feasible, firewall, routes, steps, world
from sdd.model import progress

_FRESH = world.Space(
    links={world.LOOPBACK: world.Link(name=world.LOOPBACK, kind=world.Kind.LOOPBACK)},
    addresses=world.LOOPBACK_ADDRESSES,
    routes=frozenset(world.kernel_routes(world.LOOPBACK_ADDRESSES)),
)  # what MakeSpace makes: loopback is up from the first moment


def obstacles(have: contract.Have, want: desired.Want) -> tuple[progress.Failure, ...]:
    """What makes some wishes impossible: lost guests, names that others hold."""
    lost = (_lost(have, each) for each in want.spaces.values() if not _usable(have, each))
    host = have.spaces[world.HOST]
    blocked = _blocked(host, want.host)
    rivals = {link.name: link for link in want.host.links if link.name in blocked}
    taken = (
        failures.taken(link.mark, rivals[name], host.links[name])
        for link in want.host.links
        for name in (link.name, link.master)
        if name in blocked
    )
    return (*lost, *taken)


def _blocked(host: world.Space, wanted: world.Wanted) -> frozenset[str]:
    """The names of wanted host links that foreign links have; a pair's is settled by the kernel."""
    return frozenset(
        link.name
        for link in wanted.links
        if link.kind is not world.Kind.VETH
        and link.name in host.links
        and not host.links[link.name].mark
        and _found(host, link) is None
        and not (link.kind in world.CHILDREN and _is_robbed(host.links[link.name], link))
    )


def _lost(have: contract.Have, wanted: world.Wanted) -> progress.Failure:
    """Why a guest cannot be used."""
    why = have.hanging.get(wanted.path)
    return failures.lost(wanted) if why is None else failures.hanging(wanted, why)


def _usable(have: contract.Have, wanted: world.Wanted) -> bool:
    if wanted.owner is not world.Owner.GUEST:
        return True
    found = have.spaces.get(wanted.path)
    return found is not None and wanted.inode in (0, found.inode)


def diff(have: contract.Have, want: desired.Want) -> tuple[steps.Step, ...]:
    """The steps after which `have` is as wanted; empty when it is."""
    work = _work(have, want)
    return (
        *_removals(have, want, work),
        *_new_spaces(have, want),
        *_host_wide(have, want),
        *_host_links(work),
        *_pairs(work),
        *_host_rest(work),
        *_children(work),
        *(step for each in work.values() if each.wanted.path for step in _inside(each)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """One namespace to work on: how it should be, how it is, and what of it must go first."""

    wanted: world.Wanted
    found: world.Space
    doomed: Mapping[str, world.Link]

    def standing(self, link: world.Link) -> world.Link | None:
        """What is there in place of the wanted `link`, after the removals."""
        found = None if link.name in self.doomed else _found(self.found, link)
        if found is not None and found.master in self.doomed:
            return replace(found, master="")  # a bridge that goes frees its ports
        return found


def _found(space: world.Space, link: world.Link) -> world.Link | None:
    """The link of that name, if it is the wanted one, one cut short in the making, or adopted."""
    found = space.links.get(link.name)
    if found is None or (found.kind is not link.kind and not _suits(found, link)):
        return None
    if found.mark == world.UNFINISHED or _is_robbed(found, link):
        # Host names are made of ids; an eth0 cut short may be anybody's.
        is_sure = not (link.twin or link.kind in world.CHILDREN)
        return replace(found, mark=world.UNFINISHED) if is_sure else None
    return found if found.mark == link.mark or (link.adopts and not found.mark) else None


def _is_robbed(found: world.Link | None, link: world.Link) -> bool:
    """Whether somebody took all our marks off the wanted link: the MAC made of its id is left."""
    if found is None or found.mark or found.kind is not link.kind:
        return False
    return bool(link.mac) and found.mac == link.mac


def _suits(found: world.Link, link: world.Link) -> bool:
    """Whether a link of another kind will do: as a parent, anything the user made will."""
    return link.adopts and link.kind is world.Kind.VLAN and not found.mark


def _work(have: contract.Have, want: desired.Want) -> dict[str, _Work]:
    founds = {
        path: have.spaces.get(path, _FRESH)
        for path, wanted in want.spaces.items()
        if _usable(have, wanted)
    }
    halves = _halves(founds, want)
    blocked = _blocked(founds[world.HOST], want.host)
    doomed = {
        path: _strays(found, want.spaces[path]) | halves.get(path, {})
        for path, found in founds.items()
    }
    fallen = frozenset(doomed[world.HOST])
    return {
        path: _Work(
            wanted=feasible.with_mtus(
                feasible.without(want.spaces[path], want.host, blocked),
                found,
                founds[world.HOST],
                want.links,
            ),
            found=found,
            doomed=doomed[path] | _orphans(found, want.spaces[path], fallen),
        )
        for path, found in founds.items()
    }


def _orphans(
    found: world.Space, wanted: world.Wanted, fallen: frozenset[str]
) -> dict[str, world.Link]:
    """The links that stand on links of the host that go: the kernel takes them along."""
    names = (link.name for link in wanted.links if link.parent in fallen)
    return {name: found.links[name] for name in names if name in found.links}


def _strays(found: world.Space, wanted: world.Wanted) -> dict[str, world.Link]:
    """What is ours and nobody wants, or not as it is."""
    kept = {link.name for link in wanted.links if _found(found, link) is not None}
    ours = {name: link for name, link in found.links.items() if link.mark and name not in kept}
    return ours | (_robbed(found, wanted) if wanted.owner is not world.Owner.GUEST else {})


def _robbed(found: world.Space, wanted: world.Wanted) -> dict[str, world.Link]:
    """Links on others that lost all our marks; what parent they are on nobody knows.

    In a guest an equal one may be its own: Docker makes the same MAC of the same address.
    """
    return {
        link.name: replace(found.links[link.name], mark=link.mark)
        for link in wanted.links
        if link.kind in world.CHILDREN and _is_robbed(found.links.get(link.name), link)
    }


def _halves(
    founds: Mapping[str, world.Space], want: desired.Want
) -> dict[str, dict[str, world.Link]]:
    """The ends that stand of pairs that do not: neither end can be made alone."""
    doomed: dict[str, dict[str, world.Link]] = {}
    outers = {link.name: link for link in want.host.links}
    for path, found in founds.items():
        for inner in want.spaces[path].links:
            if not inner.twin:
                continue
            ends = ((world.HOST, founds[world.HOST], outers[inner.twin]), (path, found, inner))
            standing = [(where, _found(space, link)) for where, space, link in ends]
            if any(link is None for _, link in standing):
                for where, link in standing:
                    if link is not None:
                        doomed.setdefault(where, {})[link.name] = link
    return doomed


def _removals(
    have: contract.Have, want: desired.Want, work: Mapping[str, _Work]
) -> Iterator[steps.Step]:
    leaving: set[str] = set()  # ids whose host end goes: it takes the inner end along
    for path in sorted(work):
        for link in work[path].doomed.values():
            if link.mark not in leaving or path == world.HOST:
                yield steps.DropLink(space=path, name=link.name, subject=link.mark)
            if path == world.HOST and link.kind is world.Kind.VETH:
                leaving.add(link.mark)
    for path in sorted(have.spaces.keys() - want.spaces.keys()):
        for link in have.spaces[path].links.values():
            if link.mark and link.mark not in leaving:
                yield steps.DropLink(space=path, name=link.name, subject=link.mark)
    for path in sorted(have.named):
        if path not in want.spaces:
            yield steps.DropSpace(space=path)


def _new_spaces(have: contract.Have, want: desired.Want) -> Iterator[steps.Step]:
    for path, wanted in want.spaces.items():
        if wanted.owner is world.Owner.SDD and not have.named.get(path):
            yield steps.MakeSpace(space=path, name=wanted.name, subject=wanted.subject)


def _host_wide(have: contract.Have, want: desired.Want) -> Iterator[steps.Step]:
    missing = want.forwarding - have.forwarding
    table = _guarded(want.table, (have.switched & have.forwarding) | missing)
    if have.table != table:
        yield steps.WriteTable(table=table)
    for version in sorted(missing):
        yield steps.Forward(version=version)
    if not want.table.fences:
        for version in sorted(have.switched):
            yield steps.Forward(version=version, on=False)


def _guarded(table: firewall.Table, versions: frozenset[int]) -> firewall.Table:
    """A host that forwards for our sake alone must not become everybody's router."""
    return replace(table, guarded=versions) if table.fences else table


def _host_links(work: Mapping[str, _Work]) -> Iterator[steps.Step]:
    host = work[world.HOST]
    inside = _outer_names(work)
    for link in host.wanted.links:
        if link.name not in inside and link.kind not in world.CHILDREN:
            yield from _host_link(host, link)


def _host_rest(work: Mapping[str, _Work]) -> Iterator[steps.Step]:
    """Links on links, once those are there, and what all links of the host carry."""
    host = work[world.HOST]
    for link in host.wanted.links:
        if link.kind in world.CHILDREN:
            yield from _host_link(host, link)
    yield from _addresses(host)
    yield from _routes(host)


def _host_link(host: _Work, link: world.Link) -> Iterator[steps.Step]:
    standing = host.standing(link)
    if standing is None:
        yield steps.AddLink(link=link, subject=link.mark)
    elif differs(standing, link):
        yield steps.SetLink(link=_changes(standing, link), subject=link.mark)


def _changes(standing: world.Link, link: world.Link) -> world.Link:
    """What of `link` may be set: an adopted one only comes up."""
    if standing.mark:
        return link
    return world.Link(name=link.name, kind=link.kind, master=standing.master, up=link.up)


def _outer_names(work: Mapping[str, _Work]) -> frozenset[str]:
    """The host links that are ends of pairs, also those into namespaces that are unusable."""
    return frozenset(
        link.name for link in work[world.HOST].wanted.links if link.kind is world.Kind.VETH
    )


def _pairs(work: Mapping[str, _Work]) -> Iterator[steps.Step]:
    host = work[world.HOST]
    outers = {link.name: link for link in host.wanted.links}
    for path, each in work.items():
        for inner in each.wanted.links:
            if not inner.twin:
                continue
            outer = outers[inner.twin]
            standing = host.standing(outer)
            if standing is None:
                yield steps.AddPair(outer=outer, inner=inner, inside=path, subject=outer.mark)
            elif differs(standing, outer):
                yield steps.SetLink(link=outer, subject=outer.mark)
        if path == world.HOST:
            yield from _twins_on_the_host(each)


def _twins_on_the_host(host: _Work) -> Iterator[steps.Step]:
    for link in host.wanted.links:
        standing = host.standing(link)
        if link.twin and (standing is None or differs(standing, link)):
            yield steps.SetLink(link=link, subject=link.mark)


def _children(work: Mapping[str, _Work]) -> Iterator[steps.Step]:
    for path, each in work.items():
        for link in each.wanted.links:
            if path and link.parent and each.standing(link) is None:
                yield steps.AddChild(link=link, inside=path, subject=link.mark)


def _inside(each: _Work) -> Iterator[steps.Step]:
    yield from _addresses(each)
    for link in each.wanted.links:
        standing = each.standing(link)
        if standing is None or differs(standing, link):
            subject = link.mark or each.wanted.subject
            yield steps.SetLink(space=each.wanted.path, link=link, subject=subject)
    yield from _routes(each)


def differs(found: world.Link, wanted: world.Link) -> bool:
    """Whether `found` lacks anything that `wanted` asks for; unsaid things do not count."""
    if wanted.adopts and not found.mark:
        return found.up != wanted.up
    known = dict(found.settings)
    return (
        found.mark != wanted.mark
        or found.up != wanted.up
        or found.master != wanted.master
        or (found.kind in world.CHILDREN and _modes(found) != _modes(wanted))
        or (wanted.mac not in ("", found.mac))
        or (wanted.mtu not in (0, found.mtu))
        # A setting that the kernel does not report cannot be had: IPv6 may be switched off.
        or any(known.get(setting, value) != value for setting, value in wanted.settings)
        or not wanted.sysctls <= found.sysctls
    )


def _modes(link: world.Link) -> tuple[int, int]:
    return link.mode, link.flags


def _subjects(each: _Work) -> Mapping[str, str]:
    return {link.name: link.mark or each.wanted.subject for link in each.wanted.links}


def _lost_addresses(each: _Work) -> frozenset[world.Address]:
    """Ours that nobody wants any more, on links that stay."""
    wanted = {(one.link, one.interface) for one in each.wanted.addresses}
    return frozenset(
        one
        for one in each.found.addresses
        if one.ours and (one.link, one.interface) not in wanted and one.link not in each.doomed
    )


def _addresses(each: _Work) -> Iterator[steps.Step]:
    path, subjects = each.wanted.path, _subjects(each)
    for address in sorted(_lost_addresses(each), key=_place_of):
        subject = subjects.get(address.link, "")
        yield steps.DropAddress(space=path, address=address, subject=subject)
    there = {(one.link, one.interface) for one in each.found.addresses}
    own = each.found.links.get(world.LOOPBACK)
    for address in sorted(each.wanted.addresses, key=_place_of):
        if address.link == world.LOOPBACK and (own is None or not own.up):
            continue  # it gets them from the kernel when it comes up
        if address.link in each.doomed or (address.link, address.interface) not in there:
            subject = subjects[address.link]
            yield steps.AddAddress(space=path, address=address, subject=subject)


def _place_of(address: world.Address) -> tuple[str, int, int]:
    interface = address.interface
    return (address.link, interface.version, int(interface))


def _routes(each: _Work) -> Iterator[steps.Step]:
    standing = {link.name: each.standing(link) for link in each.wanted.links}
    lost = {address.link for address in _lost_addresses(each)}
    return routes.diff(
        each.wanted,
        each.found,
        gone=each.doomed.keys(),
        shaken=each.doomed.keys() | lost,
        up={name for name, link in standing.items() if link is not None and link.up},
    )
