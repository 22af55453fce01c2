import asyncio
from contextlib import aclosing

from sdd.control.journal import Journal
from sdd.model.event import Action, Event, Kind
from sdd.state import EMPTY
from tests.unit.sdd.control.test_changes import FULL


def journal(capacity: int = 100) -> Journal:
    times = iter(range(1, 1000))
    return Journal(lambda: float(next(times)), capacity)


def test_the_first_state_is_where_the_telling_starts() -> None:
    one = journal()
    one.put(FULL)
    assert one.after(0) == ()
    one.put(EMPTY)
    found = one.after(0)
    assert [each.number for each in found] == [1, 2, 3, 4, 5]
    assert len({each.at for each in found}) == 1
    assert one.after(3) == found[3:]


def test_the_daemons_own_events_are_among_them() -> None:
    one = journal()
    one.tell(Kind.DAEMON, Action.RELOAD, attributes={"changed": "debug"})
    (event,) = one.after(0)
    assert (event.kind, event.action, event.number) == (Kind.DAEMON, Action.RELOAD, 1)


def test_it_is_bounded_and_tells_a_slow_reader_what_it_missed() -> None:
    one = journal(capacity=3)
    for _ in range(10):
        one.tell(Kind.DAEMON, Action.START)
    assert [each.number for each in one.after(0)] == [8, 9, 10]
    lost, *rest = one.after(2)
    assert (lost.action, lost.attributes["count"], lost.number) == (Action.LOST, "5", 7)
    assert [each.number for each in rest] == [8, 9, 10]
    assert one.after(10) == ()


async def test_a_follower_gets_what_was_and_what_comes() -> None:
    one = journal()
    one.tell(Kind.DAEMON, Action.START)
    seen: list[Event | None] = []
    async with aclosing(one.follow(0, 60)) as events:
        assert one.followers == 0
        seen.append(await anext(events))
        assert one.followers == 1
        waiting = asyncio.get_running_loop().create_task(anext(events), name="next")
        await asyncio.sleep(0)
        one.tell(Kind.DAEMON, Action.RELOAD)
        one.tell(Kind.DAEMON, Action.REPAIR)
        seen += [await waiting, await anext(events)]
    assert [each and each.action for each in seen] == [Action.START, Action.RELOAD, Action.REPAIR]
    assert one.followers == 0


async def test_what_comes_while_it_is_being_read_is_not_missed() -> None:
    one = journal()
    one.tell(Kind.DAEMON, Action.START)
    async with aclosing(one.follow(0, 60)) as events:
        await anext(events)
        one.tell(Kind.DAEMON, Action.RELOAD)
        found = await asyncio.wait_for(anext(events), 60)
    assert found is not None
    assert found.action is Action.RELOAD


async def test_silence_is_told_too() -> None:
    async with aclosing(journal().follow(0, 0.01)) as events:
        assert await anext(events) is None
