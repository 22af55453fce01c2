"""What a pass hands over is visible soon, and what the worker cannot do is known to the end."""

import asyncio
from collections.abc import Mapping, Sequence
from socket import socket
from typing import cast

import msgspec
import pytest

from resolver import protocol
from resolver.control import handover, link, snapshot
from sdd import errors
from sdd.model import ids

WANT = snapshot.Snapshot(
    ids.Revision(7),
    views={
        box: protocol.View(sandbox=box, digest=box, tables=[], suffixes=[], own={}, upstreams=[])
        for box in ("ann", "bob")
    },
)


LISTENING = protocol.Listening(1, 40001, 40002)


class Worker:
    """The link's two verbs that matter here; `problems` are told at the first `apply`, with `serving`."""

    def __init__(
        self,
        problems: Mapping[str, str] | None = None,
        serving: Mapping[str, protocol.Listening] | None = None,
    ) -> None:
        self.inventory = protocol.Inventory(protocol.RELEASE, 1, 0, {}, {}, {})
        self.is_dead = False
        self.applied = asyncio.Event()
        self._problems = dict(problems or {})
        self._serving = dict(serving or {})

    async def send(self, _message: protocol.Sockets, _links: Sequence[socket]) -> None:
        """Takes everything."""

    async def apply(self, revision: int) -> protocol.Applied:
        if self.is_dead:
            self.applied.set()
            raise errors.Unavailable("the DNS worker hung up", code=link.CODE)
        told, self._problems = self._problems, {}
        self.applied.set()
        return protocol.Applied(revision, told, self._serving if told else {})


def over(worker: Worker, *, is_staged: bool = False) -> handover.Handover:
    return handover.Handover(cast("link.Link", worker), WANT, is_staged=is_staged)


def listen(box: str) -> protocol.Listen:
    return protocol.Listen(box, LISTENING)


async def test_what_was_sent_is_applied_while_the_rest_is_under_way() -> None:
    worker = Worker()
    one = over(worker)

    async def work() -> str:
        await one.send((listen("ann"), ()))
        await worker.applied.wait()
        return "done"

    async with asyncio.timeout(60):
        assert await one.during(work()) == "done"
    assert worker.inventory.listeners.keys() == {"ann"}
    assert not one.has_new


def lend(box: str, count: int, family: protocol.Family) -> protocol.Lend:
    return protocol.Lend(box, family, protocol.Outward(1, count, count))


async def test_what_sandboxes_have_towards_upstreams_is_known_by_family() -> None:
    worker = Worker()
    four, six = protocol.Family
    worker.inventory = msgspec.structs.replace(
        worker.inventory, outward={"bob": {six: protocol.Outward(1, 2, 2)}, "gone": {}}
    )
    one = over(worker)
    await one.send((listen("ann"), ()), (lend("ann", 3, four), ()))
    await one.send((lend("bob", 4, four), ()), (lend("bob", 5, six), ()))
    assert one.has_sockets
    await one.apply()
    assert worker.inventory.outward == {
        "ann": {four: protocol.Outward(1, 3, 3)},
        "bob": {four: protocol.Outward(1, 4, 4), six: protocol.Outward(1, 5, 5)},
    }
    await one.send((lend("ann", 0, four), ()), (lend("bob", 0, six), ()))
    await one.apply()
    assert worker.inventory.outward == {"bob": {four: protocol.Outward(1, 4, 4)}}
    assert worker.inventory.listeners.keys() == {"ann"}


async def test_whoever_has_problems_is_lent_others_or_none() -> None:
    worker = Worker({"ann": "little room"}, {"ann": LISTENING})
    one = over(worker)
    await one.send((listen("ann"), ()), (lend("ann", 3, protocol.Family.IPV4), ()))
    await one.apply()
    assert worker.inventory.listeners == {"ann": LISTENING}
    given = worker.inventory.outward["ann"]
    assert given[protocol.Family.IPV4] != protocol.Outward(1, 3, 3)
    await one.send((lend("ann", 0, protocol.Family.IPV4), ()))
    await one.apply()
    assert protocol.Family.IPV4 not in worker.inventory.outward.get("ann", {})


async def test_all_that_a_sandbox_is_given_is_used_from_the_same_moment_on() -> None:
    has_begun = asyncio.Event()

    class Slow(Worker):
        async def send(self, _message: protocol.Sockets, _links: Sequence[socket]) -> None:
            has_begun.set()
            await asyncio.sleep(0)

    worker = Slow()
    one = over(worker)
    async with asyncio.timeout(60), asyncio.TaskGroup() as both:
        both.create_task(one.send((listen("ann"), ()), (lend("ann", 3, protocol.Family.IPV4), ())))
        await has_begun.wait()
        await one.apply()
    assert worker.inventory.listeners.keys() == worker.inventory.outward.keys() == {"ann"}


async def test_names_are_applied_while_a_sandbox_is_waited_for() -> None:
    worker = Worker()
    one = over(worker, is_staged=True)

    async def work() -> None:
        await worker.applied.wait()

    async with asyncio.timeout(60):
        await one.during(work())
    assert worker.inventory.revision == WANT.revision
    assert not one.has_new


async def test_what_failed_once_is_told_and_not_taken_for_there_at_the_end() -> None:
    worker = Worker({"ann": "its TCP socket does not listen"})
    one = over(worker)
    for box in ("ann", "bob"):
        await one.send((listen(box), ()))
        await one.apply()
    assert one.problems == {"ann": "its TCP socket does not listen"}
    assert worker.inventory.listeners.keys() == worker.inventory.views.keys() == {"bob"}


async def test_a_worker_that_dies_meanwhile_ends_nothing_of_the_work() -> None:
    worker = Worker()
    worker.is_dead = True
    one = over(worker)

    async def work() -> None:
        await one.send((listen("ann"), ()))
        await worker.applied.wait()

    async with asyncio.timeout(60):
        await one.during(work())
    assert one.has_new


async def test_whoever_waits_hears_whether_the_worker_serves_on_what_it_was_given() -> None:
    worker = Worker({"ann": "no room"})
    one = over(worker)

    async def exchanged(box: str) -> bool:
        await one.send((listen(box), ()))
        return await one.served(box)

    async def work() -> tuple[bool, bool]:
        first, second = await asyncio.gather(exchanged("ann"), exchanged("bob"))
        return first, second

    async with asyncio.timeout(60):
        assert await one.during(work()) == (False, True)


@pytest.mark.parametrize("new", [False, True])
async def test_with_problems_a_sandbox_may_be_served_all_the_same(new: bool) -> None:
    """On some of what it was given, or on what it had."""
    older, newer = protocol.Listening(1, 40003, 40004), listen("ann").listening
    worker = Worker({"ann": "little room"}, {"ann": newer if new else older})
    worker.inventory = msgspec.structs.replace(worker.inventory, listeners={"ann": older})
    one = over(worker)
    await one.send((listen("ann"), ()))
    async with asyncio.timeout(60):
        assert await one.during(one.served("ann")) == new
    await one.apply()
    assert worker.inventory.listeners == one.serving == {"ann": newer if new else older}


async def test_a_worker_cannot_make_up_what_it_serves_on() -> None:
    worker = Worker({"ann": "no room"}, {"ann": protocol.Listening(1, 1, 1), "bob": LISTENING})
    one = over(worker)
    await one.send((listen("ann"), ()))
    await one.apply()
    assert worker.inventory.listeners == one.serving == {}


async def test_whoever_waits_hears_that_the_worker_died() -> None:
    worker = Worker()
    worker.is_dead = True
    one = over(worker)
    await one.send((listen("ann"), ()))

    async def work() -> None:
        with pytest.raises(errors.Unavailable):
            await one.served("ann")

    async with asyncio.timeout(60):
        await one.during(work())
