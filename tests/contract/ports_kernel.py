"""What every kernel that publishes ports does: the fake and the real one run this same suite."""

from collections.abc import Callable
from ipaddress import ip_address

import pytest

from lb import table
from lb.ports import image, world
from lb.ports.image import Image
from lb.ports.table import Bind, Entry
from lb.ports.way import Way
from sdd.model.port import Protocol
from sdd.model.service import Scheduler

WEB, API, WEB6 = ip_address("10.77.0.2"), ip_address("10.77.0.3"), ip_address("fd77::2")
WAYS = (
    Way(Bind(version=4, protocol=Protocol.TCP, number=8080), WEB, 80),
    Way(Bind(version=6, protocol=Protocol.SCTP, number=8080), WEB6, 80),
)
LOOPBACK = ip_address("127.0.0.1")
Take = Callable[[Protocol, int], object]


def bind(number: int = 8080, version: int = 4, **options: object) -> Bind:
    protocol = options.pop("protocol", Protocol.TCP)
    return Bind(version=version, protocol=protocol, number=number, **options)  # type: ignore[arg-type]  # options of one case each


def entry(to: Bind, *addresses: object, **options: object) -> Entry:
    backends = tuple(table.Backend(address=each, weight=1) for each in addresses)  # type: ignore[arg-type]  # addresses
    return Entry(bind=to, subject="web", port=80, backends=backends, **options)  # type: ignore[arg-type]  # same


def made_of(*entries: Entry) -> Image:
    return frozenset(element for each in entries for element in image.of(each))


EVERYTHING = made_of(
    entry(bind(), WEB, devices=frozenset({"br-web"})),
    entry(bind(8081), WEB, is_outward=True),
    entry(bind(version=6), WEB6),
    entry(bind(address=LOOPBACK), WEB, masked=frozenset({WEB})),
    entry(bind(5300, protocol=Protocol.UDP), WEB, API, scheduler=Scheduler.RR),
    entry(bind(5300, 6, protocol=Protocol.UDP), WEB6, masked=frozenset({WEB6})),
    entry(bind(132, protocol=Protocol.SCTP), WEB, API, scheduler=Scheduler.MH),
    entry(bind(9, 6, address=ip_address("fd00::1")), WEB6, masked=frozenset({WEB6})),
)


class PortsKernelContract:
    """Subclasses give `kernel` (of an untouched host) and `take` (another program gets a port)."""

    async def test_an_untouched_host_reads_as_nothing(self, kernel: world.Kernel) -> None:
        assert await kernel.read() == image.NONE

    async def test_what_was_written_is_read_back(self, kernel: world.Kernel) -> None:
        await kernel.write((), EVERYTHING, EVERYTHING)
        assert await kernel.read() == EVERYTHING

    async def test_one_change_leaves_the_rest(self, kernel: world.Kernel) -> None:
        one, other = made_of(entry(bind(), WEB)), made_of(entry(bind(81), WEB, API))
        await kernel.write((), one, one)
        await kernel.write((), other - one, None)
        assert await kernel.read() == one | other
        await kernel.write(one - other, (), None)
        assert await kernel.read() == other
        await kernel.write(other, one, None)
        assert await kernel.read() == one

    async def test_a_port_that_leads_elsewhere(self, kernel: world.Kernel) -> None:
        before, after = made_of(entry(bind(), WEB)), made_of(entry(bind(), API))
        await kernel.write((), before, before)
        await kernel.write(before - after, after - before, None)
        assert await kernel.read() == after

    async def test_nothing_at_all_takes_the_table_along(self, kernel: world.Kernel) -> None:
        await kernel.write((), EVERYTHING, EVERYTHING)
        await kernel.write((), (), ())
        assert await kernel.read() == image.NONE

    @pytest.mark.parametrize("protocol", [Protocol.TCP, Protocol.UDP])
    async def test_C89_a_port_of_another_program_is_refused_and_the_others_are_held(
        self, kernel: world.Kernel, take: Take, protocol: Protocol
    ) -> None:
        take(protocol, 8081)
        wanted = [bind(number, protocol=protocol) for number in (8080, 8081)]
        refused = await kernel.hold(wanted)
        assert refused.keys() == {wanted[1]}
        assert "has it" in refused[wanted[1]]
        assert await kernel.hold(wanted[:1]) == {}
        await kernel.release(wanted)

    async def test_C98_every_address_of_both_versions_and_one_of_them(
        self, kernel: world.Kernel
    ) -> None:
        wanted = [bind(8082), bind(8082, 6), bind(8082, protocol=Protocol.UDP)]
        assert await kernel.hold(wanted) == {}
        await kernel.release(wanted)
        assert await kernel.hold([bind(8082, address=LOOPBACK)]) == {}
        await kernel.release([bind(8082, address=LOOPBACK)])

    async def test_a_port_of_every_address_is_in_the_way_of_one_address(
        self, kernel: world.Kernel
    ) -> None:
        every, one = bind(8084), bind(8084, address=LOOPBACK)
        assert await kernel.hold([every]) == {}
        assert "has it" in (await kernel.hold([one]))[one]
        await kernel.release([every])
        assert await kernel.hold([one]) == {}
        await kernel.release([one])

    async def test_releasing_what_is_not_held_is_fine(self, kernel: world.Kernel) -> None:
        await kernel.release([bind(8083)])

    async def test_127_0_0_1_waits_for_a_link_that_is_not_there(self, kernel: world.Kernel) -> None:
        assert await kernel.open_loopback({"br-nowhere"}, {"br-no"}) == {"br-nowhere"}

    async def test_forgetting_what_never_flowed_is_fine(self, kernel: world.Kernel) -> None:
        await kernel.forget([entry(bind(53, protocol=Protocol.UDP), WEB)], (API,), WAYS)

    async def test_nobody_is_connected_where_nothing_was_led(self, kernel: world.Kernel) -> None:
        assert not await kernel.busy(WAYS)
        assert not await kernel.busy(())
