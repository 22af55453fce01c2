"""Hot sockets have their readers called at once, and take nothing from the loop."""

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator

import pytest

from resolver.listen import selector

Body = Callable[[selector.Selector], Coroutine[None, None, None]]


def run(body: Body) -> None:
    hot = selector.Selector()
    with asyncio.Runner(loop_factory=lambda: selector.Loop(hot)) as runner:
        runner.run(asyncio.wait_for(body(hot), 60))


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, others = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, others:
        yield ours, others


Ends = tuple[socket.socket, socket.socket]


def test_a_reader_hears_of_its_socket_and_no_more_once_removed(ends: Ends) -> None:
    ours, others = ends

    async def body(hot: selector.Selector) -> None:
        heard = asyncio.Event()

        def read() -> None:
            assert ours.recv(9) == b"hello"
            heard.set()

        hot.add_hot(ours.fileno(), read)
        others.send(b"hello")
        await heard.wait()
        hot.remove_hot(ours.fileno())
        others.send(b"again")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert ours.recv(9, socket.MSG_DONTWAIT) == b"again"

    run(body)


def test_timers_and_other_descriptors_have_their_turn_while_a_hot_one_never_rests(
    ends: Ends,
) -> None:
    ours, others = ends

    async def body(hot: selector.Selector) -> None:
        calls = 0

        def busy() -> None:  # never empties its socket, so it can always be read
            nonlocal calls
            calls += 1

        others.send(b"for ever")
        hot.add_hot(ours.fileno(), busy)
        loop = asyncio.get_running_loop()
        near, far = socket.socketpair()
        with near, far:
            near.setblocking(False)
            far.send(b"usual")
            assert await loop.sock_recv(near, 9) == b"usual"
        await asyncio.sleep(0.01)
        told = asyncio.Event()
        threading.Timer(0.01, loop.call_soon_threadsafe, (told.set,)).start()
        await told.wait()
        assert calls > 1
        hot.remove_hot(ours.fileno())

    run(body)


def test_what_a_reader_schedules_comes_at_once(ends: Ends) -> None:
    ours, others = ends

    async def body(hot: selector.Selector) -> None:
        loop = asyncio.get_running_loop()
        asked: asyncio.Future[bytes] = loop.create_future()

        def read() -> None:
            loop.call_soon(asked.set_result, ours.recv(9))

        hot.add_hot(ours.fileno(), read)
        others.send(b"question")
        assert await asked == b"question"
        hot.remove_hot(ours.fileno())

    run(body)


def test_a_timer_that_a_reader_sets_comes_in_time(ends: Ends) -> None:
    ours, others = ends

    async def body(hot: selector.Selector) -> None:
        loop = asyncio.get_running_loop()
        rung: asyncio.Future[None] = loop.create_future()

        def read() -> None:
            ours.recv(9)
            loop.call_later(0.01, rung.set_result, None)

        hot.add_hot(ours.fileno(), read)
        others.send(b"question")
        await rung  # the loop has nothing else to wake up for within the limit of `run`
        hot.remove_hot(ours.fileno())

    run(body)


def test_a_defect_of_one_reader_is_told_and_ends_nobody(
    ends: Ends, capfd: pytest.CaptureFixture[str]
) -> None:
    ours, others = ends

    async def body(hot: selector.Selector) -> None:
        failed = asyncio.Event()

        def broken() -> None:
            ours.recv(9)
            failed.set()
            raise RuntimeError("a defect of ours")

        hot.add_hot(ours.fileno(), broken)
        others.send(b"x")
        await failed.wait()
        hot.remove_hot(ours.fileno())

    run(body)
    assert "a defect of ours" in capfd.readouterr().err


def test_one_that_was_removed_by_another_of_the_same_look_is_not_called(ends: Ends) -> None:
    ours, others = ends

    async def body(hot: selector.Selector) -> None:
        first = asyncio.Event()
        calls: list[int] = []
        both = {ours.fileno(): others.fileno(), others.fileno(): ours.fileno()}

        def reader(me: int) -> Callable[[], None]:
            def read() -> None:
                calls.append(me)
                hot.remove_hot(both[me])
                first.set()

            return read

        for each in both:
            hot.add_hot(each, reader(each))
        others.send(b"to ours")
        ours.send(b"to others")
        await first.wait()
        await asyncio.sleep(0)
        assert len(set(calls)) == 1
        hot.remove_hot(calls[0])

    run(body)


def test_a_hot_one_has_its_turn_while_another_descriptor_never_rests(ends: Ends) -> None:
    ours, others = ends

    async def body(hot: selector.Selector) -> None:
        heard = asyncio.Event()
        near, far = socket.socketpair()
        with near, far:
            far.send(b"never read")
            asyncio.get_running_loop().add_reader(near.fileno(), bool)

            def read() -> None:
                heard.set()

            hot.add_hot(ours.fileno(), read)
            await asyncio.sleep(0)
            others.send(b"hello")
            await heard.wait()
            asyncio.get_running_loop().remove_reader(near.fileno())
        hot.remove_hot(ours.fileno())

    run(body)


def test_A8_73_a_hot_one_waits_for_a_few_of_a_thousand_things_to_do(ends: Ends) -> None:
    ours, others = ends

    async def body(hot: selector.Selector) -> None:
        loop = asyncio.get_running_loop()
        done: list[int] = []
        seen: list[int] = []
        all_done = asyncio.Event()

        def work(number: int) -> None:
            done.append(number)
            if number == 1:
                others.send(b"question")
            if number == 1000:
                all_done.set()

        def read() -> None:
            ours.recv(9)
            seen.append(len(done))

        hot.add_hot(ours.fileno(), read)
        for number in range(1, 1001):
            loop.call_soon(work, number)
        await all_done.wait()
        hot.remove_hot(ours.fileno())
        assert done == list(range(1, 1001))
        assert seen
        assert seen[0] <= selector.A_TURN

    run(body)


def test_A8_61_descriptors_that_wait_for_their_turn_are_told_of_once() -> None:
    async def body(hot: selector.Selector) -> None:
        del hot
        loop = asyncio.get_running_loop()
        pairs = [socket.socketpair() for _ in range(20 * selector.A_TURN)]
        called: list[int] = []

        def read(near: socket.socket) -> None:
            called.append(near.fileno())
            near.recv(9, socket.MSG_DONTWAIT)

        for near, far in pairs:
            loop.add_reader(near.fileno(), read, near)
            far.send(b"once")
        for _ in range(20 * len(pairs)):  # turns, of which each does something for some of them
            await asyncio.sleep(0)
        assert sorted(called) == sorted(near.fileno() for near, _ in pairs)
        for near, far in pairs:
            loop.remove_reader(near.fileno())
            near.close()
            far.close()

    run(body)
