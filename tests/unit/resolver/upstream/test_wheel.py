import asyncio

from resolver.upstream.wheel import TICK_S, Wheel
from tests.support import eventually_async


async def test_deadlines_come_in_time_and_what_was_dropped_never() -> None:
    loop = asyncio.get_running_loop()
    wheel, came = Wheel(), list[tuple[str, float]]()
    begin = loop.time()

    def over(name: str) -> None:
        came.append((name, loop.time()))

    dropped = wheel.add(begin + 0.2, lambda: over("dropped"))
    for name, after_s in (("late", 0.3), ("soon", 0.15), ("past", -1.0)):
        wheel.add(begin + after_s, lambda name=name: over(name))  # type: ignore[misc]
    wheel.drop(dropped)
    wheel.drop(dropped)
    await eventually_async(lambda: len(came) == 3, 60, "all but one came")
    assert [name for name, _ in came] == ["past", "soon", "late"]
    assert all(
        at >= begin + after_s - TICK_S
        for (_, at), after_s in zip(came, (-1, 0.15, 0.3), strict=True)
    )
