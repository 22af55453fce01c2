"""What balances in one sandbox: virtual services and their backends, wanted or as found.

The same value describes what should be (from `desired`) and what is (from a kernel), so that a plan
is the difference of two tables. Nothing here knows a kernel, a service id or a health state.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from types import MappingProxyType
from typing import NamedTuple, TypeVar, cast

from lb.back import Back
from sdd.model.network import IPAddress
from sdd.model.service import Scheduler

_put = object.__setattr__
T = TypeVar("T")


@dataclass(frozen=True, slots=True, init=False)
class Backend:
    """One address that serves. Weight 0 takes no new connection and keeps the live ones.

    `packed` is the address in network order, which is asked for again and again.
    """

    address: IPv4Address | IPv6Address
    weight: int
    packed: bytes = field(init=False, compare=False, repr=False)

    def __init__(
        self,
        *,
        address: IPv4Address | IPv6Address,
        weight: int = 1,
        packed: bytes = b"",
    ) -> None:
        """By hand: ten thousand are made at once, and this takes a third of the time.

        Whoever has `packed` already may give it.
        """
        _put(self, "address", address)
        _put(self, "weight", weight)
        _put(self, "packed", packed or address.packed)


class Columns(NamedTuple):
    """The backends of a service as columns: of thousands, each is looked at once.

    `addresses` in network order; `weight` is that of all, None where they differ or there is none.
    """

    addresses: tuple[bytes, ...]
    weight: int | None


class _Derived:
    """Room for what is derived from a service, once."""

    __slots__ = ("_columns", "_known", "_open")
    _columns: Columns
    _open: tuple[Backend, ...]
    _known: dict[Callable[..., object], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualService(_Derived):
    """All ports of one virtual address, spread over `backends` (ordered by address).

    `number` is the service's own (`Service.number`); `persistence_s` 0 means no affinity. Without
    any backend of weight > 0 new connections are refused, not left without an answer.
    """

    number: int
    vip: IPv4Address | IPv6Address
    scheduler: Scheduler = Scheduler.MH
    persistence_s: int = 0
    backends: tuple[Backend, ...] = ()

    @property
    def weights(self) -> dict[IPAddress, int]:
        """Address → weight."""
        return {each.address: each.weight for each in self.backends}

    @property
    def open(self) -> tuple[Backend, ...]:
        """The backends that take new connections."""
        if self.columns.weight:
            return self.backends
        found: tuple[Backend, ...] | None = getattr(self, "_open", None)
        if found is None:
            found = tuple([each for each in self.backends if each.weight])
            object.__setattr__(self, "_open", found)
        return found

    @property
    def columns(self) -> Columns:
        """All backends, in their order."""
        found: Columns | None = getattr(self, "_columns", None)
        if found is None:
            weights = {each.weight for each in self.backends}
            packed = tuple([each.packed for each in self.backends])
            found = Columns(packed, weights.pop() if len(weights) == 1 else None)
            object.__setattr__(self, "_columns", found)
        return found

    def once(self, derive: Callable[["VirtualService"], T]) -> T:
        """What `derive` makes of it: the first time; then it is known."""
        known: dict[Callable[..., object], object] | None = getattr(self, "_known", None)
        if known is None:
            known = {}
            object.__setattr__(self, "_known", known)
        if derive not in known:
            known[derive] = derive(self)
        return cast("T", known[derive])


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaw:
    """Something of ours in the kernel that is not as we make it.

    `vip` is None when it concerns the frame that all virtual services share.
    """

    vip: IPv4Address | IPv6Address | None = None
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """All virtual services of one sandbox, by virtual address, and how it answers as a member."""

    services: Mapping[IPAddress, VirtualService] = field(
        default_factory=lambda: MappingProxyType({})
    )
    flaws: tuple[Flaw, ...] = ()
    back: Back | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a table is: the namespace file of a sandbox and the sandbox's own addresses there.

    `inode` is the only namespace that may be meant (0 = whatever is at the path): an adopted one
    may end, and its path lead to a stranger's. With an `uplink` it balances for others: what
    arrives over that link, not only its own packets. `is_member`: it should have ways back.
    """

    netns: str
    inode: int = 0
    addresses: tuple[IPv4Interface | IPv6Interface, ...] = ()
    uplink: str = ""
    is_member: bool = False

    def source_for(self, vip: IPAddress) -> IPAddress | None:
        """The sandbox's own address on the network that `vip` belongs to."""
        return next((each.ip for each in self.addresses if vip in each.network), None)


EMPTY = Table()


def narrowed(whole: Table, vips: Collection[IPAddress]) -> Table:
    """What `whole` says of `vips` and of the frame."""
    kept = {vip: whole.services[vip] for vip in vips if vip in whole.services}
    return Table(
        services=MappingProxyType(kept),
        flaws=tuple(flaw for flaw in whole.flaws if flaw.vip is None or flaw.vip in kept),
    )
