import asyncio
from collections.abc import Collection
from ipaddress import ip_address

from sdd.control.wires import FRESH_S, Wires
from sdd.model.network import IPAddress

A, B, C = (ip_address(f"192.0.2.{number}") for number in (1, 2, 3))


class Wire:
    """Neighbours that answer when they are let; `asked` is what they heard."""

    def __init__(self) -> None:
        self.now = 0.0
        self.asked: list[tuple[str, tuple[IPAddress, ...]]] = []
        self.free = asyncio.Event()
        self.free.set()
        self.fails = False

    async def ask(self, link: str, asked: Collection[IPAddress]) -> dict[IPAddress, str]:
        self.asked.append((link, tuple(asked)))
        await self.free.wait()
        if self.fails:
            self.fails = False
            raise OSError
        return {ip: "a machine" if ip == B else "" for ip in asked}


def wires(one: Wire) -> Wires:
    return Wires(one.ask, lambda: one.now)


async def test_a_fresh_answer_is_not_asked_for_again() -> None:
    one = Wire()
    known = wires(one)
    assert await known.strangers("up0", [A, B]) == {A: "", B: "a machine"}
    assert await known.strangers("up0", [B, C]) == {A: "", B: "a machine", C: ""}
    assert await known.strangers("up1", [A]) == {A: ""}
    assert one.asked == [("up0", (A, B)), ("up0", (C,)), ("up1", (A,))]
    one.now = FRESH_S + 0.1
    assert await known.strangers("up0", [A]) == {A: ""}
    assert one.asked[3:] == [("up0", (A,))]


async def test_who_asks_at_the_same_time_shares_the_question() -> None:
    one = Wire()
    known = wires(one)
    one.free.clear()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(known.strangers("up0", [A, B])) for _ in range(3)]
        await asyncio.sleep(0)
        assert known.askers == 3
        one.free.set()
    assert [each.result() for each in tasks] == [{A: "", B: "a machine"}] * 3
    assert one.asked == [("up0", (A, B))]
    assert known.askers == 0


async def test_a_failure_is_its_askers_own() -> None:
    one = Wire()
    known = wires(one)
    one.fails = True
    failed, answered = await asyncio.gather(
        known.strangers("up0", [A]), known.strangers("up0", [A]), return_exceptions=True
    )
    assert isinstance(failed, OSError)
    assert answered == {A: ""}
    assert len(one.asked) == 2
