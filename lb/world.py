"""What the reconciler asks of a kernel that balances; the fake and the real ones pass one suite."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from types import MappingProxyType
from typing import Protocol

from lb import plan, table
from sdd.model import port as port_model
from sdd.model.network import IPAddress
from sdd.model.service import Scheduler

NO_SCHEDULER = "SDD-LB-SCHEDULER"  # the kernel lacks what the service asks for, in every sandbox


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One step the kernel did not take; `vip` None concerns the whole namespace."""

    vip: IPAddress | None
    sentence: str
    hint: str = ""
    code: str = "SDD-LB-KERNEL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a kernel counts for one backend of one virtual service; None where it does not count.

    `protocol` is tcp (SCTP too) or udp. `address` None stands for a service without backends.
    Packets and bytes are since the entry was made, `in_` towards
    the backend; rates are per second.
    """

    vip: IPv4Address | IPv6Address
    protocol: str
    scheduler: str
    persistence_s: int = 0
    address: IPv4Address | IPv6Address | None = None
    forward: str = "Masq"
    weight: int = 0
    active: int = 0
    inactive: int = 0
    connections: int | None = None
    in_packets: int | None = None
    out_packets: int | None = None
    in_bytes: int | None = None
    out_bytes: int | None = None
    connection_rate: int | None = None
    in_packet_rate: int | None = None
    out_packet_rate: int | None = None
    in_byte_rate: int | None = None
    out_byte_rate: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What became of some steps: which were refused, and what is there now of all they touched.

    `ended` are the last counts of backends that left, which the kernel forgets with them, and of
    all where it had to forget them.
    """

    refusals: tuple[Refusal, ...] = ()
    shown: table.Table
    ended: tuple[Load, ...] = ()


NOTHING_KNOWN: Mapping[IPAddress, table.VirtualService] = MappingProxyType({})
PortKey = tuple[str, int, IPAddress]  # tcp or udp, the target, backend


class Kernel(Protocol):
    """Reads and changes the tables of namespaces; knows no state, no service id, no time.

    `counts_s` is how often reading its counts tells something new.
    """

    @property
    def counts_s(self) -> float:
        """Seconds."""
        ...

    def foresee(self, services: Iterable[table.VirtualService]) -> None:
        """Have ready what makes them where nothing of ours is: somebody may come to need it."""
        ...

    async def inode(self, place: table.Place) -> int:
        """The number that identifies the namespace at the place's path now; 0 while there is none.

        Raises `errors.Unavailable` when nobody can tell: the path of an adopted one may hang.
        """
        ...

    async def read(
        self,
        place: table.Place,
        only: Collection[IPAddress] | None = None,
        likely: Mapping[IPAddress, table.VirtualService] = NOTHING_KNOWN,
    ) -> table.Table:
        """What is there, flaws included: everything, or the virtual addresses in `only`.

        What is `likely` and found so may be the very same value: that saves taking it apart.
        Raises `errors.NotFound` when there is no such namespace.
        """
        ...

    async def apply(
        self, place: table.Place, have: table.Table, steps: Sequence[plan.Step]
    ) -> Change:
        """Take `steps` from `have`; whatever one step meets, the others are taken all the same.

        Reads back in the same visit: each visit waits for its turn. Raises `errors.NotFound` when
        there is no such namespace.
        """
        ...

    async def schedulers(self) -> tuple[Scheduler, ...]:
        """Those that services can have on this host."""
        ...

    async def loads(self, place: table.Place) -> tuple[Load, ...]:
        """The kernel's own counts, by virtual address, protocol and backend.

        Raises `errors.NotFound` when there is no such namespace.
        """
        ...

    async def counters(self, place: table.Place) -> tuple[Load, ...]:
        """As `loads`, with 0 `active` and `inactive` where to count connections is dear."""
        ...

    async def connections(
        self, place: table.Place, vips: Collection[IPAddress]
    ) -> tuple[Load, ...]:
        """As `loads` of `vips` alone, and what is counted of them may be left out.

        Weights and open connections are told. Raises `errors.NotFound` as `loads` does.
        """
        ...

    async def led_to(
        self,
        place: table.Place,
        vip: IPAddress,
        port: int,
        protocol: port_model.Protocol = port_model.Protocol.TCP,
        client: IPAddress | None = None,
    ) -> IPAddress | None:
        """The backend of the connection or flow from the sandbox's own `port` to `vip`, if known.

        With `client`, from that port of somebody who comes through the sandbox. `vip` itself
        when it was led nowhere. Raises `errors.NotFound` as `read` does.
        """
        ...
