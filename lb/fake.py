"""A balancing kernel in memory: the contract suite holds it to what the real ones do."""

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from lb import growth, plan, table, world
from sdd import errors
from sdd.model import absence
from sdd.model.network import IPAddress
from sdd.model.port import Protocol
from sdd.model.service import Scheduler


class FakeKernel:
    """Namespaces are made by `make`; `offers` are the schedulers this kernel has."""

    counts_s = 0.001

    def __init__(self, offers: Collection[Scheduler] = tuple(Scheduler)) -> None:
        self.tables: dict[str, table.Table] = {}
        self.applied: list[tuple[str, tuple[plan.Step, ...]]] = []
        self.led: dict[tuple[IPAddress, int], IPAddress] = {}
        self.counts: dict[growth.Key, growth.Growth] = {}
        self.read_loads = 0
        self.foreseen: list[table.VirtualService] = []
        self._inodes: dict[str, int] = {}
        self._offers = frozenset(offers)

    def make(self, netns: str) -> None:
        """A namespace appears (or is made anew) at this path."""
        self._inodes[netns] = max(self._inodes.values(), default=0) + 1
        self.tables[netns] = table.EMPTY

    def delete(self, netns: str) -> None:
        """The namespace goes, with all that is in it."""
        self._inodes.pop(netns, None)
        self.tables.pop(netns, None)

    def foresee(self, services: Iterable[table.VirtualService]) -> None:
        """Remembers them."""
        self.foreseen.extend(services)

    async def inode(self, place: table.Place) -> int:
        """Its number, or 0."""
        return self._inodes.get(place.netns, 0)

    async def read(
        self,
        place: table.Place,
        only: Collection[IPAddress] | None = None,
        likely: Mapping[IPAddress, table.VirtualService] = world.NOTHING_KNOWN,
    ) -> table.Table:
        """What `apply` and the tests have put there."""
        del likely
        found = self._table(place)
        return found if only is None else table.narrowed(found, only)

    async def apply(
        self, place: table.Place, have: table.Table, steps: Sequence[plan.Step]
    ) -> world.Change:
        """Take the steps one by one; a scheduler this kernel lacks refuses its service."""
        del have  # a kernel that knows what it holds needs no reminder
        found = self._table(place)
        gone = plan.leaving(steps)
        ended = tuple(each for each in self._loads(found) if (each.vip, each.address) in gone)
        refused: dict[IPAddress | None, world.Refusal] = {}
        for step in steps:
            vip = plan.subject(step)
            match step:
                case plan.AddService(service) | plan.EditService(service) if (
                    service.scheduler not in self._offers
                ):
                    refused[vip] = world.Refusal(
                        vip=vip,
                        sentence=f"the kernel has no scheduler {service.scheduler.value!r},"
                        f" it offers: {', '.join(self._offers)}",
                        code=world.NO_SCHEDULER,
                    )
                case _ if vip not in refused or vip in self.tables[place.netns].services:
                    self.tables[place.netns] = plan.result(self.tables[place.netns], (step,))
        self.applied.append((place.netns, tuple(steps)))
        for vip, address in gone:
            for protocol in ("tcp", "udp"):
                self.counts.pop((vip, protocol, address), None)
        vips = [vip for vip in plan.touched(steps) if vip is not None]
        shown = table.narrowed(self.tables[place.netns], vips)
        return world.Change(refusals=tuple(refused.values()), shown=shown, ended=ended)

    async def schedulers(self) -> tuple[Scheduler, ...]:
        """As it was made with."""
        return tuple(self._offers)

    async def loads(self, place: table.Place) -> tuple[world.Load, ...]:
        """Weights, and what a test put into `counts`."""
        self.read_loads += 1
        return self._loads(self._table(place))

    async def counters(self, place: table.Place) -> tuple[world.Load, ...]:
        """The same: it knows no connections."""
        return await self.loads(place)

    async def connections(
        self, place: table.Place, vips: Collection[IPAddress]
    ) -> tuple[world.Load, ...]:
        """Weights: it knows no connections."""
        return self._loads(table.narrowed(self._table(place), vips))

    def _loads(self, whole: table.Table) -> tuple[world.Load, ...]:
        return tuple(
            self._load(service, protocol, backend)
            for service in whole.services.values()
            for protocol in ("tcp", "udp")
            for backend in (service.backends if protocol == "tcp" else service.open) or (None,)
        )

    def _load(
        self, service: table.VirtualService, protocol: str, backend: table.Backend | None
    ) -> world.Load:
        load = world.Load(
            vip=service.vip,
            protocol=protocol,
            scheduler=service.scheduler,
            persistence_s=service.persistence_s,
        )
        if backend is None:
            return load
        counts = self.counts.get((service.vip, protocol, backend.address), growth.NONE)
        return replace(
            load, address=backend.address, weight=backend.weight, **dataclasses.asdict(counts)
        )

    async def led_to(
        self,
        place: table.Place,
        vip: IPAddress,
        port: int,
        protocol: Protocol = Protocol.TCP,
        client: IPAddress | None = None,
    ) -> IPAddress | None:
        """What a test put into `led`, whatever the protocol."""
        del protocol, client
        self._table(place)
        return self.led.get((vip, port))

    def _table(self, place: table.Place) -> table.Table:
        if place.netns not in self.tables:
            raise errors.NotFound("there is no such namespace", code=absence.CODE)
        return self.tables[place.netns]
