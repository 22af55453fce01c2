"""Everything that can be done to a kernel, as values.

Each step says the namespace it happens in (`space`, "" = the host) and the object it is for
(`subject`: the id of a network, sandbox or endpoint, "" = the host as a whole).
"""

from dataclasses import dataclass

from netns import firewall, world


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeSpace:
    """A named namespace at `space`, which `ip netns` calls `name`, born with `lo` up."""

    space: str
    name: str
    subject: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DropSpace:
    """A namespace that we made goes, with everything in it."""

    space: str
    subject: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AddLink:
    """A link of the namespace itself, marked and set as wanted."""

    link: world.Link
    subject: str
    space: str = world.HOST


@dataclass(frozen=True, slots=True, kw_only=True)
class AddPair:
    """A veth pair: `outer` stays with the host, `inner` is born in `inside`."""

    outer: world.Link
    inner: world.Link
    inside: str
    subject: str
    space: str = world.HOST


@dataclass(frozen=True, slots=True, kw_only=True)
class AddChild:
    """A macvlan or ipvlan link on a link of the host, born in `inside`."""

    link: world.Link
    inside: str
    subject: str
    space: str = world.HOST


@dataclass(frozen=True, slots=True, kw_only=True)
class SetLink:
    """An existing link becomes as wanted: mark, MAC, MTU, master, settings, up."""

    link: world.Link
    subject: str
    space: str = world.HOST


@dataclass(frozen=True, slots=True, kw_only=True)
class DropLink:
    """A link of ours goes; a veth takes its twin along."""

    name: str
    subject: str
    space: str = world.HOST


@dataclass(frozen=True, slots=True, kw_only=True)
class AddAddress:
    """An address, marked as ours."""

    address: world.Address
    subject: str
    space: str = world.HOST


@dataclass(frozen=True, slots=True, kw_only=True)
class DropAddress:
    """An address of ours goes."""

    address: world.Address
    subject: str
    space: str = world.HOST


@dataclass(frozen=True, slots=True, kw_only=True)
class AddRoute:
    """A route: marked as ours, or one that the kernel would make itself, which may be there.

    `replace` takes the place of a foreign one to the same prefix.
    """

    route: world.Route
    subject: str
    space: str
    replace: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DropRoute:
    """A route of ours goes."""

    route: world.Route
    subject: str
    space: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteTable:
    """The host's own nft table becomes exactly this, in one transaction."""

    table: firewall.Table
    subject: str = ""
    space: str = world.HOST


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward:
    """The host forwards packets of this IP version, or stops what we had started (not `on`)."""

    version: int
    on: bool = True
    subject: str = ""
    space: str = world.HOST


Step = (
    MakeSpace
    | DropSpace
    | AddLink
    | AddPair
    | AddChild
    | SetLink
    | DropLink
    | AddAddress
    | DropAddress
    | AddRoute
    | DropRoute
    | WriteTable
    | Forward
)
