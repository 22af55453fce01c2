"""Verdicts that wait together are written together, and each caller hears of its own."""

import asyncio
from pathlib import Path

import pytest

from sdd import errors
from sdd.control.claims import Claims
from sdd.control.ground import Ground
from sdd.control.recording import MOST, Make, Recording
from sdd.model import health, ids
from tests.unit.lb import states

UP, DOWN = (health.Said(each, "told") for each in (health.Status.UP, health.Status.DOWN))
END = ids.EndpointId("web1-front")


def names(count: int) -> list[ids.ServiceId]:
    return [ids.ServiceId(f"web{number}") for number in range(count)]


class Store:
    """Commits what it is given once `open` is set, or refuses all."""

    def __init__(self, members: int) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.refusal: Exception | None = None
        self.written: list[tuple[health.Verdict, ...]] = []
        self.asked = asyncio.Event()
        self.lost = 0  # so many times another node was faster
        self.ground = Ground(
            now=states.state(
                states.net("front", 1),
                states.box("web1"),
                states.plug("web1", "front", "10.0.1.1/24"),
                *(states.svc(each, "front", check=states.CHECKED) for each in names(members)),
                *(states.member(each, "web1", "front") for each in names(members)),
            ),
            claims=Claims(),
            node=states.NODE,
            at=0.0,
            entropy=bytes,
            exec_root=Path("/run/sdd"),
            pools=(),
            transports=frozenset(),
        )

    async def commit(self, make: Make) -> object:
        self.asked.set()
        plan = make(self.ground)
        await self.open.wait()
        while self.lost:
            self.lost -= 1
            plan = make(self.ground)
        if self.refusal is not None:
            raise self.refusal
        if plan is not None:
            self.written.append(plan.result)
        return plan


async def told(recording: Recording, count: int, said: health.Said = DOWN) -> list[object]:
    every = (recording.record(each, END, said) for each in names(count))
    return await asyncio.gather(*every, return_exceptions=True)


async def test_those_who_come_at_the_same_moment_are_one_transaction() -> None:
    store = Store(150)
    assert await told(Recording(store.commit), 150) == [None] * 150
    assert [len(each) for each in store.written] == [150]


async def test_those_who_come_while_others_are_written_wait_and_are_the_next_one() -> None:
    store = Store(5)
    recording = Recording(store.commit)
    store.open.clear()
    async with asyncio.TaskGroup() as group:
        group.create_task(recording.record(names(1)[0], END, DOWN), name="first")
        await store.asked.wait()
        for each in names(5)[1:]:
            group.create_task(recording.record(each, END, DOWN), name=each)
            await asyncio.sleep(0)
        store.open.set()
    assert [len(each) for each in store.written] == [1, 4]


async def test_more_than_a_transaction_takes_are_written_in_several() -> None:
    store = Store(MOST + 1)
    assert await told(Recording(store.commit), MOST + 1) == [None] * (MOST + 1)
    assert [len(each) for each in store.written] == [MOST, 1]


async def test_a_member_that_went_meanwhile_keeps_no_other_from_being_written() -> None:
    store = Store(2)
    assert await told(Recording(store.commit), 3) == [None] * 3
    assert [each.service for each in store.written[0]] == names(2)


async def test_a_refusal_is_told_to_each_whose_verdict_it_is_about_and_to_no_later_one() -> None:
    store = Store(3)
    recording = Recording(store.commit)
    store.refusal = errors.Exhausted("the disk is full")
    assert await told(recording, 2) == [store.refusal] * 2
    store.refusal = None
    assert await told(recording, 3) == [None] * 3
    assert [len(each) for each in store.written] == [3]


async def test_a_refusal_before_anything_is_looked_at_is_told_as_well() -> None:
    async def refuse(_: Make) -> object:
        raise errors.Unavailable("the store is closed")

    with pytest.raises(errors.Unavailable, match="closed"):
        await Recording(refuse).record(names(1)[0], END, DOWN)


async def test_where_others_were_faster_the_newest_are_taken_along() -> None:
    store = Store(2)
    recording = Recording(store.commit)
    store.open.clear()
    store.lost = 1
    async with asyncio.TaskGroup() as group:
        group.create_task(recording.record(names(1)[0], END, DOWN), name="first")
        await store.asked.wait()
        group.create_task(recording.record(names(2)[1], END, DOWN), name="second")
        await asyncio.sleep(0)
        store.open.set()
    assert [len(each) for each in store.written] == [2]


async def test_who_writes_for_others_and_is_cancelled_leaves_them_to_the_next() -> None:
    store = Store(3)
    recording = Recording(store.commit)
    store.open.clear()
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(recording.record(each, END, DOWN), name=each) for each in names(3)
        ]
        await store.asked.wait()
        tasks[0].cancel()
        await asyncio.sleep(0)
        store.open.set()
    assert [[each.service for each in one] for one in store.written] == [names(3)[1:]]


async def test_of_two_words_on_one_member_the_last_one_counts() -> None:
    store = Store(1)
    recording = Recording(store.commit)
    (of,) = names(1)
    await asyncio.gather(recording.record(of, END, UP), recording.record(of, END, DOWN))
    assert [[each.status for each in one] for one in store.written] == [[health.Status.DOWN]]
