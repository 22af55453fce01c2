"""What work costs is what it costs, whatever else the process does meanwhile."""

import asyncio
import threading
import time

from sdd.linux import cost

LITTLE_S, MUCH_S = 0.02, 0.1


def burn(seconds: float) -> float:
    """At least so many of this thread's, and how many: a guest may be stopped amid its time."""
    begun = time.thread_time()
    while (burnt := time.thread_time() - begun) < seconds:
        pass
    return burnt


async def test_threads_are_charged_to_whoever_hands_them_work() -> None:
    with cost.counted() as spent:
        burnt = await asyncio.to_thread(cost.charged(lambda: burn(LITTLE_S)))
    assert burnt <= spent.seconds < burnt + MUCH_S


async def test_what_others_do_meanwhile_is_not_charged() -> None:
    async def other() -> None:
        await asyncio.to_thread(cost.charged(lambda: burn(MUCH_S)))

    thread = threading.Thread(target=burn, args=(MUCH_S,))
    async with asyncio.TaskGroup() as group:
        group.create_task(other(), name="other")
        with cost.counted() as spent:
            thread.start()
            with spent.here():
                burnt = burn(LITTLE_S)
    thread.join()
    assert burnt <= spent.seconds < burnt + MUCH_S


async def test_work_that_fails_costs_as_well_and_nobody_is_charged_who_does_not_count() -> None:
    def fail() -> None:
        burn(LITTLE_S)
        raise ValueError

    with cost.counted() as spent:
        failed = await asyncio.gather(asyncio.to_thread(cost.charged(fail)), return_exceptions=True)
    assert isinstance(failed[0], ValueError)
    assert spent.seconds >= LITTLE_S
    before = spent.seconds
    cost.charged(lambda: burn(LITTLE_S))()
    assert spent.seconds == before
