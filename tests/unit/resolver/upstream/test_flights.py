"""Questions under way: what is kept of how they end, and what becomes of those that are barred."""

import dns.message
import dns.rcode
import pytest

from resolver.names import answer
from resolver.upstream import flights
from tests.support import eventually_async, room_for
from tests.unit.resolver.upstream import outside
from tests.unit.resolver.upstream.outside import Outside

SEALED = answer.Scope("s", (), frozenset(), ())
STALE = 3  # RFC 8914


def explained(said: dns.message.Message) -> list[int]:
    return [each.code for each in said.extended_errors()]


def is_good(said: dns.message.Message) -> bool:
    return [str(each[0]) for each in said.answer] == ["192.0.2.9"]


def seal(world: Outside) -> None:
    """The sandbox is on internal networks alone from now on."""
    world.sees["s"] = SEALED
    world.forwarder.bar(set(), {"s"})


async def test_A8_85_a_failure_takes_no_place_of_the_old_answer() -> None:
    async with outside.outside(outside.shortly) as world:
        (server,) = world.servers
        assert is_good(await world.said("www.example"))
        world.late_s, server.script = 60.0, outside.failing
        for _ in range(3):  # the first of them has it asked, and that has failed by then
            said = await world.said("www.example")
            assert (is_good(said), explained(said)) == (True, [STALE])
            assert not world.joins("www.example")
        assert server.heard == ["www.example"] * 2
        server.script = outside.good
        world.late_s += flights.RECHECK_S
        said = await world.said("www.example")
        assert (is_good(said), explained(said)) == (True, [])


async def test_too_many_at_once_are_no_news_of_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flights, "GLOBAL", 1)
    monkeypatch.setattr(flights, "SPARE", 0)
    async with outside.outside(outside.mute) as world:
        (server,) = world.servers
        first = world.ask("first.example")
        assert (await world.said("second.example")).rcode() == dns.rcode.SERVFAIL
        assert server.heard == ["first.example"]
        server.answer()
        assert is_good(await first)
        server.script = outside.good
        assert is_good(await world.said("second.example"))


async def test_too_few_sockets_are_no_news_of_the_name() -> None:
    async with outside.outside(outside.good) as world:
        with room_for(0):
            assert (await world.said("www.example")).rcode() == dns.rcode.SERVFAIL
        assert world.servers[0].heard == []
        assert is_good(await world.said("www.example"))


async def test_A8_22_who_is_sealed_while_he_waits_for_a_place_has_nobody_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """CVE-2024-29018; and of the server, which is not asked, nothing is said."""
    monkeypatch.setattr(flights, "GLOBAL", 1)
    monkeypatch.setattr(flights, "SPARE", 0)
    async with outside.outside(outside.mute) as world:
        (server,) = world.servers
        first, second = world.ask("first.example", "other"), world.ask("second.example")
        await eventually_async(lambda: server.waiting, 60, "the first has the place")
        seal(world)
        assert (await second).rcode() == dns.rcode.SERVFAIL
        server.answer()
        assert is_good(await first)
        await eventually_async(lambda: not world.tasks, 60, "nobody is asked any more")
        assert server.heard == ["first.example"]
        assert world.health(server).error == ""
        assert world.forwarder.tried(world.question("second.example")) == ()


async def test_A8_22_a_seal_between_the_first_step_and_the_second_ends_the_question() -> None:
    """CVE-2024-29018: not the rest over TCP, not the next server, not whoever may be back."""
    async with outside.outside(outside.cut, outside.good) as world:
        first, second = world.servers
        for number in range(3):
            world.health(second).failed(world.now() + number, world.now() + number)
        down_until = world.health(second).down_until

        def between() -> None:
            world.late_s = 60.0  # the second one is due to be tried
            seal(world)

        asked = world.ask("www.example")
        world.before_task = between
        assert (await asked).rcode() == dns.rcode.SERVFAIL
        await eventually_async(lambda: not world.tasks, 60, "nobody is asked any more")
        assert (first.heard, second.heard) == (["www.example"], [])
        assert world.health(first).error == ""
        assert world.health(second).down_until == down_until


@pytest.mark.parametrize("is_gone", [True, False])
async def test_a_flight_that_was_barred_is_joined_by_nobody(is_gone: bool) -> None:
    """It ends without an answer; whoever asks the same from then on has it asked anew."""
    async with outside.outside(outside.mute) as world:
        (server,) = world.servers
        barred = world.ask("www.example")
        await eventually_async(lambda: server.waiting, 60, "it is under way")
        if is_gone:
            world.sees["s"] = None
            world.forwarder.bar({"s"}, set())
        else:
            seal(world)
        assert (await barred).rcode() == dns.rcode.SERVFAIL
        assert not world.joins("www.example", "other")
        server.script = outside.good
        assert is_good(await world.said("www.example", "other"))
        assert server.heard == ["www.example"] * 2


async def test_a_flight_that_was_barred_for_one_goes_on_for_the_other() -> None:
    async with outside.outside(outside.mute) as world:
        (server,) = world.servers
        barred, other = world.ask("www.example"), world.ask("www.example", "other")
        await eventually_async(lambda: server.waiting, 60, "it is under way")
        seal(world)
        assert (await barred).rcode() == dns.rcode.SERVFAIL
        assert world.joins("www.example", "third")
        server.answer()
        assert is_good(await other)
        assert server.heard == ["www.example"]
