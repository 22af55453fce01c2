"""What every balancing kernel does with a table: the fake, nftables and IPVS run this same suite."""

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address, ip_interface
from types import MappingProxyType

import pytest

from lb import plan, table, world
from sdd import errors
from sdd.model.network import IPAddress
from sdd.model.service import Scheduler

HOME = (ip_interface("10.77.0.100/24"), ip_interface("fd77::64/64"))
WEB = ip_address("10.77.0.200")
WEB6 = ip_address("fd77::200")
API = ip_address("10.77.0.201")


def backends(*weights: int, family: int = 4) -> tuple[table.Backend, ...]:
    """One backend per weight: .1, .2, …"""
    stem = "10.77.0." if family == 4 else "fd77::"
    return tuple(
        table.Backend(address=ip_address(f"{stem}{number}"), weight=weight)
        for number, weight in enumerate(weights, start=1)
    )


def virtual(
    vip: IPAddress = WEB,
    *weights: int,
    number: int = 7,
    scheduler: Scheduler = Scheduler.RR,
    persistence_s: int = 0,
) -> table.VirtualService:
    return table.VirtualService(
        number=number,
        vip=vip,
        scheduler=scheduler,
        persistence_s=persistence_s,
        backends=backends(*weights, family=vip.version),
    )


def table_of(*services: table.VirtualService) -> table.Table:
    return table.Table(services=MappingProxyType({each.vip: each for each in services}))


class LbKernelContract:
    """Subclasses give `kernel` and `place` (an empty namespace with the addresses of HOME)."""

    async def bring(
        self, kernel: world.Kernel, place: table.Place, want: table.Table
    ) -> Sequence[plan.Step]:
        """From what is there to `want`, as the reconciler does; the steps it took."""
        have = await kernel.read(place)
        steps = plan.diff(have, want)
        done = await kernel.apply(place, have, steps)
        assert done.refusals == ()
        touched = [vip for vip in plan.touched(steps) if vip is not None]
        assert done.shown == await kernel.read(place, touched)
        found = await kernel.read(place)
        assert found == want
        return steps

    async def test_an_untouched_namespace_reads_as_empty(
        self, kernel: world.Kernel, place: table.Place
    ) -> None:
        assert await kernel.read(place) == table.EMPTY

    async def test_what_was_applied_is_read_back_and_needs_no_step(
        self, kernel: world.Kernel, place: table.Place
    ) -> None:
        want = table_of(virtual(WEB, 1, 2, 3), virtual(WEB6, 1, 1), virtual(API, 5, number=8))
        assert await self.bring(kernel, place, want)
        assert plan.diff(await kernel.read(place), want) == ()

    @pytest.mark.parametrize("scheduler", [Scheduler.MH, Scheduler.WRR])
    async def test_hundreds_of_backends_are_there_and_one_comes_and_goes(
        self, kernel: world.Kernel, place: table.Place, scheduler: Scheduler
    ) -> None:
        members = tuple(
            table.Backend(address=ip_address("10.77.4.0") + at, weight=at % 3) for at in range(300)
        )
        whole = replace(virtual(WEB, scheduler=scheduler), backends=members)
        other = virtual(API, 1, 1, number=8, scheduler=scheduler)
        await self.bring(kernel, place, table_of(whole, other))
        less = replace(whole, backends=members[:100] + members[101:])
        (step,) = await self.bring(kernel, place, table_of(less, other))
        assert step == plan.RemoveBackend(WEB, members[100].address)
        await self.bring(kernel, place, table_of(whole, other))
        few = replace(whole, backends=members[:3])
        await self.bring(kernel, place, table_of(few, other))
        await self.bring(kernel, place, table_of(other))

    @pytest.mark.parametrize("scheduler", list(Scheduler))
    async def test_every_scheduler_is_taken(
        self, kernel: world.Kernel, place: table.Place, scheduler: Scheduler
    ) -> None:
        await self.bring(kernel, place, table_of(virtual(WEB, 2, 1, scheduler=scheduler)))

    async def test_affinity_is_kept(self, kernel: world.Kernel, place: table.Place) -> None:
        await self.bring(kernel, place, table_of(virtual(WEB, 1, 1, persistence_s=300)))

    async def test_a_service_without_backends_is_there(
        self, kernel: world.Kernel, place: table.Place
    ) -> None:
        await self.bring(kernel, place, table_of(virtual(WEB), virtual(WEB6)))

    async def test_B9_04_weight_zero_is_kept_as_a_backend(
        self, kernel: world.Kernel, place: table.Place
    ) -> None:
        await self.bring(kernel, place, table_of(virtual(WEB, 1, 0, 1)))

    async def test_every_change_ends_as_wanted(
        self, kernel: world.Kernel, place: table.Place
    ) -> None:
        for want in (
            table_of(virtual(WEB, 1, 1)),
            table_of(virtual(WEB, 1, 1, 1)),
            table_of(virtual(WEB, 4, 1, 1, scheduler=Scheduler.WRR)),
            table_of(virtual(WEB, 4, 1, scheduler=Scheduler.MH), virtual(WEB6, 1)),
            table_of(virtual(WEB, 4, 0, scheduler=Scheduler.MH), virtual(API, 1, number=9)),
            table_of(virtual(API, number=9)),
            table_of(virtual(API, 1, number=10)),
            table.EMPTY,
        ):
            await self.bring(kernel, place, want)

    async def test_reading_some_tells_of_those_alone(
        self, kernel: world.Kernel, place: table.Place
    ) -> None:
        web, api = virtual(WEB, 1, 2), virtual(API, 3, number=8)
        await self.bring(kernel, place, table_of(web, api))
        assert await kernel.read(place, (WEB,)) == table_of(web)
        assert await kernel.read(place, (WEB6,)) == table.EMPTY

    async def test_connections_of_some_tell_of_those_alone(
        self, kernel: world.Kernel, place: table.Place
    ) -> None:
        web, api = virtual(WEB, 1, 0), virtual(API, 3, number=8)
        await self.bring(kernel, place, table_of(web, api))
        found = await kernel.connections(place, (WEB,))
        every = [each for each in await kernel.loads(place) if each.vip == WEB]
        assert {(each.protocol, each.address, each.weight, each.active) for each in found} == {
            (each.protocol, each.address, each.weight, each.active) for each in every
        }
        assert await kernel.connections(place, (WEB6,)) == ()

    async def test_what_it_offers_it_takes(self, kernel: world.Kernel, place: table.Place) -> None:
        offered = await kernel.schedulers()
        assert {Scheduler.RR, Scheduler.MH} <= set(offered)
        for each in offered:
            await self.bring(kernel, place, table_of(virtual(WEB, 1, scheduler=each)))

    async def test_removing_what_is_gone_is_no_refusal(
        self, kernel: world.Kernel, place: table.Place
    ) -> None:
        have = table_of(virtual(WEB, 1))
        assert (await kernel.apply(place, have, plan.diff(have, table.EMPTY))).refusals == ()
        assert await kernel.read(place) == table.EMPTY

    async def test_an_adopted_namespace_has_the_same_number(
        self, kernel: world.Kernel, place: table.Place
    ) -> None:
        found = await kernel.inode(place)
        assert found != 0
        assert await kernel.inode(replace(place, inode=found)) == found

    async def test_a_missing_namespace_is_not_found(self, kernel: world.Kernel) -> None:
        nowhere = table.Place(netns="/run/netns/t-lb-nowhere")
        assert await kernel.inode(nowhere) == 0
        with pytest.raises(errors.NotFound):
            await kernel.read(nowhere)
        with pytest.raises(errors.NotFound):
            await kernel.apply(nowhere, table.EMPTY, plan.diff(table.EMPTY, table_of(virtual(WEB))))
