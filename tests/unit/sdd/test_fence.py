"""Who works for a pass that was given up writes nothing once the next one has begun."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from sdd import apart, errors, fence, reconcile
from sdd.linux import netlink
from sdd.model import ids, progress
from sdd.model.look import EVERYWHERE, Look
from sdd.state import EMPTY, ClusterState
from tests.support import LoopClock

LIMIT_S = 60.0


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fence, "PATIENCE_S", 0.05)


class Thread:
    """One that works for the term in which it was made."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = fence.carried(work)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run)

    def start(self) -> "Thread":
        self._thread.start()
        return self

    def _run(self) -> None:
        try:
            self._work()
        except errors.SddError as exc:
            self._error = exc

    def end(self) -> None:
        self._thread.join(60)
        assert not self._thread.is_alive()
        if self._error is not None:
            raise self._error


def write(done: list[str], name: str) -> None:
    with fence.writing():
        done.append(name)


def test_whoever_is_of_no_pass_writes() -> None:
    done: list[str] = []
    write(done, "command")
    fence.check()
    assert done == ["command"]


def test_a_thread_of_a_term_that_is_over_writes_nothing() -> None:
    done: list[str] = []
    one, there = fence.Fence(), threading.Event()

    def stale() -> None:
        write(done, "first batch")
        begun.set()
        assert there.wait(60)
        write(done, "second batch")

    begun = threading.Event()
    with one.term():
        thread = Thread(stale).start()
        assert begun.wait(60)
    with one.term():
        write(done, "next pass")
        there.set()
        with pytest.raises(errors.Unavailable, match="was given up"):
            thread.end()
    assert done == ["first batch", "next pass"]


def test_work_that_never_began_does_not() -> None:
    done: list[str] = []
    with fence.Fence().term():
        thread = Thread(lambda: done.append("x"))
    with pytest.raises(errors.Unavailable):
        thread.start().end()
    assert not done


class Slow:
    """A thread that is amid a batch for `what` until `release`."""

    def __init__(self, what: str) -> None:
        self._within, self._free = threading.Event(), threading.Event()
        self._what = what
        self._thread = Thread(self._write).start()
        assert self._within.wait(60)

    def _write(self) -> None:
        with fence.writing(self._what):
            self._within.set()
            assert self._free.wait(60)

    def release(self) -> None:
        self._free.set()
        with pytest.raises(errors.Unavailable):  # it was in time, and is of no use
            self._thread.end()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_a_batch_under_way_keeps_its_place_from_all_later_terms(stack: ExitStack) -> None:
    one = fence.Fence()
    with one.term():
        a = Slow("a")
    with one.term():
        b = Slow("b")
    stack.callback(b.release)
    with one.term():
        for what in ("a", "b"):
            with pytest.raises(errors.Unavailable, match=f"still writes to {what}"):
                fence.writing(what).__enter__()
        with fence.writing("c"):
            pass
        a.release()
        with fence.writing("a"):
            pass
    with one.term(), fence.writing("a"), pytest.raises(errors.Unavailable):
        fence.writing("b").__enter__()


def test_a_batch_that_ends_in_time_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fence, "PATIENCE_S", 60)
    one, done = fence.Fence(), list[str]()
    with one.term():
        slow = Slow(fence.KERNEL)
    with one.term():
        thread = Thread(lambda: write(done, "new")).start()
        slow.release()
        thread.end()
    assert done == ["new"]


def test_two_backends_have_nothing_to_do_with_each_other() -> None:
    done: list[str] = []
    with fence.Fence().term():
        slow = Slow(fence.KERNEL)
    with fence.Fence().term():
        write(done, "other")
    slow.release()
    assert done == ["other"]


class Hanging:
    """Its first pass hangs in a thread until the second one has written, while `LIMIT_S` pass."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.refused = asyncio.Event()
        self._there = threading.Event()
        self._loop = asyncio.get_running_loop()

    async def realise(self, state: ClusterState, _: Look = EVERYWHERE) -> progress.Outcome:
        if not self.done:
            self.done.append("hangs")
            LoopClock().forward(LIMIT_S)
            await asyncio.to_thread(self._hang)
        await asyncio.to_thread(self._send, "second")
        self._there.set()
        return progress.Outcome(revision=state.revision)

    def _hang(self) -> None:
        assert self._there.wait(60)
        try:
            self._send("stale")
        except errors.Unavailable:
            self._loop.call_soon_threadsafe(self.refused.set)

    def _send(self, name: str) -> None:
        """Through the door to the kernel: a request that it refuses, and answers."""
        with netlink.Connection(netlink.ROUTE) as connection:
            connection.request((netlink.Message(0xFFF, 0, b""),))
        self.done.append(name)


@pytest.mark.slow
async def test_a_pass_that_is_given_up_sends_the_kernel_nothing_after_the_next_began() -> None:
    backend, slot, reports = Hanging(), reconcile.Slot(), list[progress.Outcome]()
    slot.put(EMPTY)
    running = reconcile.run(
        progress.Backend.NETNS,
        backend,
        slot,
        report=lambda _, outcome: reports.append(outcome),
        on_defect=lambda *_: None,
        jitter=lambda: 0.5,
        clock=asyncio.get_running_loop().time,
        limit_s=LIMIT_S,
    )
    async with asyncio.timeout(2 * LIMIT_S), asyncio.TaskGroup() as tasks:
        going = tasks.create_task(running, name="loop")
        await backend.refused.wait()
        going.cancel()
    assert backend.done == ["hangs", "second"]
    assert [each.code for each in reports[0].failures] == [apart.HUNG]
    assert reports[0].revision == ids.NEVER
    assert not reports[1].failures
