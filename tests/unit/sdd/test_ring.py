import asyncio
import threading
from contextlib import aclosing

from hypothesis import given
from hypothesis import strategies as st

from sdd.ring import Kept, Missed, Ring


@given(st.integers(1, 5), st.integers(0, 12), st.integers(0, 12))
def test_nothing_is_told_twice_and_nothing_is_silently_lost(
    capacity: int, count: int, read: int
) -> None:
    ring: Ring[int] = Ring(capacity)
    for thing in range(1, count + 1):
        ring.add(thing)
    found = ring.after(read)
    told = [each.number for each in found if isinstance(each, Kept)]
    missed = sum(each.count for each in found if isinstance(each, Missed))
    assert told == [each.thing for each in found if isinstance(each, Kept)]
    if read:
        assert missed + len(told) == max(0, count - read)
    else:
        assert told == list(range(max(1, count - capacity + 1), count + 1))


async def test_what_a_thread_adds_wakes_a_follower() -> None:
    ring: Ring[str] = Ring(10)
    async with aclosing(ring.follow(0, 60)) as things:
        thread = threading.Timer(0.05, ring.add, ["late"])
        thread.start()
        found = await asyncio.wait_for(anext(things), 60)
    thread.join()
    assert found == Kept(1, "late")
    assert ring.followers == 0


async def test_a_follower_that_is_too_slow_hears_how_much_it_missed() -> None:
    ring: Ring[int] = Ring(2)
    ring.add(1)
    async with aclosing(ring.follow(0, 60)) as things:
        assert await anext(things) == Kept(1, 1)
        for thing in (2, 3, 4, 5):
            ring.add(thing)
        assert [await anext(things) for _ in range(3)] == [Missed(3, 2), Kept(4, 4), Kept(5, 5)]


async def test_silence_is_told_too() -> None:
    async with aclosing(Ring[int](1).follow(0, 0.01)) as things:
        assert await anext(things) is None
