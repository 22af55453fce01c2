"""A kernel in memory that passes the contract suite of the real one.

It knows what tests lean on: pairs die together, a bridge frees its ports, links on a link get its
MTU and never a larger one, a link that goes down takes its routes and IPv6 addresses along, a route
needs a link that is up and a gateway that can be reached, and addresses bring the routes to their
subnets.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from netns import contract, firewall, steps, world
from netns.world import Kind
from sdd.model.network import IPAddress

_LO = world.Link(name=world.LOOPBACK, kind=Kind.LOOPBACK, up=False, mtu=65536)
End = tuple[str, str]  # (path of the namespace, link name)


_Inside = (
    steps.AddLink
    | steps.AddPair
    | steps.AddChild
    | steps.SetLink
    | steps.DropLink
    | steps.AddAddress
    | steps.DropAddress
    | steps.AddRoute
    | steps.DropRoute
)


class Refused(Exception):
    """The step cannot be done; the text is the reason, `lacks` what was not there."""

    def __init__(self, reason: str, lacks: str = "") -> None:
        super().__init__(reason)
        self.lacks = lacks


@dataclass(slots=True)
class _Space:
    inode: int
    links: dict[str, world.Link] = field(default_factory=lambda: {_LO.name: _LO})
    addresses: set[world.Address] = field(default_factory=set)
    routes: set[world.Route] = field(default_factory=set)


class FakeKernel:
    """`adopt` makes a namespace that is not ours; `spaces` may be damaged by tests."""

    def __init__(self) -> None:
        self._inode = 4026532000
        self.spaces: dict[str, _Space] = {world.HOST: _Space(0)}
        self.named: set[str] = set()
        self.table: firewall.Table | None = None
        self.forwarding: set[int] = set()
        self.switched: set[int] = set()
        self._twins: dict[End, End] = {}
        self._parents: dict[End, str] = {}  # of children and VLAN links, all on the host

    async def read(self, scope: contract.Scope) -> contract.Have:
        """What is there, within the scope."""
        asked = scope.paths if scope.links is not None else self.spaces.keys()
        paths = [path for path in (world.HOST, *asked) if path in self.spaces]
        named = self.named if scope.links is None else self.named & (scope.paths | scope.leaving)
        return contract.Have(
            spaces={
                path: _frozen(self.spaces[path], None if path else scope.links) for path in paths
            },
            named={path: self.spaces[path].inode for path in named},
            table=self.table if scope.is_wide else None,
            forwarding=frozenset(self.forwarding if scope.is_wide else ()),
            switched=frozenset(self.switched if scope.is_wide else ()),
        )

    async def apply(self, plan: Sequence[steps.Step]) -> tuple[contract.Refusal, ...]:
        """Does all it can; the refusals say what not."""
        refusals: list[contract.Refusal] = []
        for step in plan:
            if contract.is_hopeless(step, refusals):
                continue
            try:
                self._do(step)
            except Refused as exc:
                refused = contract.Refusal(step=step, reason=str(exc), lacks=exc.lacks)
                refusals.append(refused)
        return tuple(refusals)

    async def change(self, scope: contract.Scope, decide: contract.Decide) -> contract.Change:
        """Reads, decides, applies."""
        have = await self.read(scope)
        plan = decide(have)
        return contract.Change(
            have=have, plan=plan, refusals=await self.apply(plan) if plan else ()
        )

    def adopt(self, path: str) -> int:
        """Somebody else makes a namespace; its inode."""
        self._inode += 1
        self.spaces[path] = _Space(self._inode)
        return self._inode

    def remove_link(self, path: str, name: str) -> None:
        """The link goes, with its twin, its addresses and routes; its ports become free."""
        space = self._space(path)
        if space.links.pop(name, None) is None:
            return
        self._strip(space, name)
        for port in [each for each in space.links.values() if each.master == name]:
            space.links[port.name] = replace(port, master="")
        self._parents.pop((path, name), None)
        if path == world.HOST:
            for end in [each for each, parent in self._parents.items() if parent == name]:
                self.remove_link(*end)
        twin = self._twins.pop((path, name), None)
        if twin is not None:
            self._twins.pop(twin, None)
            self.remove_link(*twin)

    def remove_space(self, path: str) -> None:
        """The namespace ends with all its links."""
        for name in list(self.spaces[path].links if path in self.spaces else ()):
            self.remove_link(path, name)
        self.spaces.pop(path, None)
        self.named.discard(path)

    def resize(self, name: str, mtu: int) -> None:
        """A link of the host gets another MTU; what stands on it is lowered, never raised."""
        links = self.spaces[world.HOST].links
        links[name] = replace(links[name], mtu=mtu)
        for path, child in [end for end, parent in self._parents.items() if parent == name]:
            if self.spaces[path].links[child].mtu <= mtu:
                continue
            if path == world.HOST:
                self.resize(child, mtu)
            else:
                inside = self.spaces[path].links
                inside[child] = replace(inside[child], mtu=mtu)

    def set_down(self, path: str, name: str) -> None:
        """The link goes down and loses what the kernel takes then."""
        space = self._space(path)
        space.links[name] = replace(space.links[name], up=False)
        space.routes = {each for each in space.routes if each.link != name or _stays(each)}
        space.addresses = {
            each
            for each in space.addresses
            if each.link != name or each.interface.version == 4  # noqa: PLR2004 - IPv4 stays
        }

    def _do(self, step: steps.Step) -> None:
        match step:
            case steps.MakeSpace():
                self._make_space(step)
            case steps.DropSpace():
                self._drop_space(step)
            case steps.WriteTable():
                self._write_table(step)
            case steps.Forward():
                self._forward(step)
            case _:
                self._do_inside(step)

    def _do_inside(self, step: _Inside) -> None:
        match step:
            case steps.AddLink():
                self._add_link(step)
            case steps.AddPair():
                self._add_pair(step)
            case steps.AddChild():
                self._add_child(step)
            case steps.SetLink():
                self._set_link(step)
            case steps.DropLink():
                self._drop_link(step)
            case steps.AddAddress():
                self._add_address(step)
            case steps.DropAddress():
                self._drop_address(step)
            case steps.AddRoute():
                self._add_route(step)
            case steps.DropRoute():
                self._drop_route(step)

    def _strip(self, space: _Space, name: str) -> None:
        space.addresses = {each for each in space.addresses if each.link != name}
        space.routes = {each for each in space.routes if each.link != name}

    def _space(self, path: str) -> _Space:
        if path not in self.spaces:
            raise Refused(f"there is no network namespace at {path!r}", path)
        return self.spaces[path]

    def _make_space(self, step: steps.MakeSpace) -> None:
        if step.space not in self.spaces:
            self.adopt(step.space)
            _bring_up_loopback(self.spaces[step.space])
        self.named.add(step.space)

    def _drop_space(self, step: steps.DropSpace) -> None:
        self.remove_space(step.space)

    def _add_link(self, step: steps.AddLink) -> None:
        self._born(step.space, step.link)

    def _add_pair(self, step: steps.AddPair) -> None:
        inside = self._space(step.inside)
        if step.inner.name in inside.links:
            raise Refused("File exists")
        self._born(step.space, step.outer)
        inside.links[step.inner.name] = _infant(step.inner)
        ends = ((step.space, step.outer.name), (step.inside, step.inner.name))
        self._twins |= dict((ends, ends[::-1]))

    def _add_child(self, step: steps.AddChild) -> None:
        inside, host = self._space(step.inside), self._space(step.space)
        if step.link.parent not in host.links:
            raise Refused(f"there is no link {step.link.parent!r}", step.link.parent)
        if step.link.name in inside.links:
            raise Refused("File exists")
        below = host.links[step.link.parent]
        inside.links[step.link.name] = _with_mtu(_infant(step.link), below)
        self._parents[(step.inside, step.link.name)] = step.link.parent

    def _born(self, path: str, link: world.Link) -> None:
        space = self._space(path)
        if link.name in space.links:
            raise Refused("File exists")
        if link.master and link.master not in space.links:
            raise Refused(f"there is no link {link.master!r}", link.master)
        if link.parent and link.parent not in space.links:
            raise Refused(f"there is no link {link.parent!r}", link.parent)
        space.links[link.name] = _plain(link)
        if link.parent:
            space.links[link.name] = _with_mtu(_plain(link), space.links[link.parent])
            self._parents[(path, link.name)] = link.parent

    def _set_link(self, step: steps.SetLink) -> None:
        space, wanted = self._space(step.space), step.link
        found = space.links.get(wanted.name)
        if found is None:
            raise Refused(f"there is no link {wanted.name!r}", wanted.name)
        if wanted.master and wanted.master not in space.links:
            raise Refused(f"there is no link {wanted.master!r}", wanted.master)
        if not wanted.up:
            self.set_down(step.space, wanted.name)
        elif not found.up and found.kind is Kind.LOOPBACK:
            _bring_up_loopback(space)
        elif not found.up:
            _bring_prefixes(space, wanted.name)
        space.links[wanted.name] = replace(
            _plain(wanted),
            kind=found.kind,
            mark=wanted.mark or found.mark,
            mac=wanted.mac or found.mac,
            mtu=wanted.mtu or found.mtu,
            settings=frozenset((dict(found.settings) | dict(wanted.settings)).items()),
            sysctls=frozenset((dict(found.sysctls) | dict(wanted.sysctls)).items()),
        )

    def _drop_link(self, step: steps.DropLink) -> None:
        self.remove_link(step.space, step.name)

    def _add_address(self, step: steps.AddAddress) -> None:
        space, address = self._space(step.space), step.address
        if address.link not in space.links:
            raise Refused(f"there is no link {address.link!r}", address.link)
        if address in space.addresses or replace(address, ours=False) in space.addresses:
            raise Refused("File exists")
        space.addresses.add(address)
        if space.links[address.link].up:
            space.routes |= set(world.kernel_routes([address]))

    def _drop_address(self, step: steps.DropAddress) -> None:
        space = self._space(step.space)
        space.addresses.discard(step.address)
        space.routes = {each for each in space.routes if each.link != step.address.link}
        if step.address.link in space.links and space.links[step.address.link].up:
            _bring_prefixes(space, step.address.link)

    def _add_route(self, step: steps.AddRoute) -> None:
        space, route = self._space(step.space), step.route
        link = space.links.get(route.link)
        if link is None or not link.up:
            raise Refused(f"the link {route.link!r} is not up")
        if route.gateway is not None and not _reaches(space, route.link, route.gateway):
            raise Refused("Nexthop has invalid gateway")
        rivals = {each for each in space.routes if _slot(each) == _slot(route)}
        if rivals and route.ours and not step.replace:
            raise Refused("File exists")
        space.routes = (space.routes - rivals if step.replace else space.routes) | {route}

    def _drop_route(self, step: steps.DropRoute) -> None:
        self._space(step.space).routes.discard(step.route)

    def _write_table(self, step: steps.WriteTable) -> None:
        self.table = step.table

    def _forward(self, step: steps.Forward) -> None:
        for versions in (self.forwarding, self.switched):
            (versions.add if step.on else versions.discard)(step.version)


def _stays(route: world.Route) -> bool:
    """The local way to an address goes with the address, not with its link's coming down."""
    return route.table == world.LOCAL_TABLE


def _bring_up_loopback(space: _Space) -> None:
    """It has its addresses as soon as it is up."""
    space.links[_LO.name] = replace(_LO, up=True)
    there = {each.interface for each in space.addresses if each.link == _LO.name}
    space.addresses |= {each for each in world.LOOPBACK_ADDRESSES if each.interface not in there}
    _bring_prefixes(space, _LO.name)


def _bring_prefixes(space: _Space, name: str) -> None:
    space.routes |= set(world.kernel_routes(each for each in space.addresses if each.link == name))


def _reaches(space: _Space, name: str, address: IPAddress) -> bool:
    return any(
        each.gateway is None and each.link == name and address in each.destination
        for each in space.routes
    )


def _frozen(space: _Space, names: frozenset[str] | None) -> world.Space:
    seen = {name for name in space.links if names is None or name in names}
    links = {name: space.links[name] for name in seen}
    return world.Space(
        inode=space.inode,
        links=world.recognised(links, space.addresses),
        addresses=frozenset(each for each in space.addresses if each.link in seen),
        routes=frozenset(each for each in space.routes if each.link in seen),
    )


def _infant(link: world.Link) -> world.Link:
    """As a link is born in another namespace: down, without alias and settings."""
    born = _plain(link)
    return replace(born, mark=world.UNFINISHED, up=False, settings=frozenset(), sysctls=frozenset())


def _plain(link: world.Link) -> world.Link:
    """What can be read back of a wanted link."""
    mode = link.mode if link.kind in world.CHILDREN else 0
    return replace(link, twin="", parent="", mode=mode, adopts=False)


def _with_mtu(link: world.Link, below: world.Link) -> world.Link:
    return replace(link, mtu=link.mtu or below.mtu)


def _slot(route: world.Route) -> tuple[int, object, int]:
    return (route.table, route.destination, route.metric)
