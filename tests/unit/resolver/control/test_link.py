"""The link to a worker: it works, and whatever a worker does ends in `Unavailable`."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable

import msgspec
import pytest

from resolver import notes, parts, protocol
from resolver.control import link
from sdd import errors

HELLO = protocol.Inventory(
    release=protocol.RELEASE, pid=7, revision=3, tables={}, views={}, listeners={}
)


class Worker:
    """The other end, driven by hand."""

    def __init__(self) -> None:
        ours, self.end = socket.socketpair(
            socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK
        )
        self.ours = ours

    def say(self, *messages: protocol.Message) -> None:
        for each in messages:
            self.end.send(protocol.encode(each))

    async def heard(self) -> protocol.Told:
        data = await asyncio.get_running_loop().sock_recv(self.end, protocol.MOST_BYTES)
        return protocol.decode_to_worker(data)

    async def link(self) -> link.Link:
        self.say(HELLO)
        return await link.Link.open(self.ours)


@pytest.fixture
async def worker() -> AsyncIterator[Worker]:
    one = Worker()
    yield one
    one.end.close()
    one.ours.close()


async def test_the_inventory_comes_first(worker: Worker) -> None:
    opened = await worker.link()
    assert opened.inventory == HELLO
    opened.close()
    assert worker.end.recv(1) == b""


async def test_apply_and_count_are_answered_in_turn(worker: Worker) -> None:
    opened = await worker.link()
    both = asyncio.gather(opened.apply(4), opened.count())
    assert await worker.heard() == protocol.Apply(4)
    worker.say(protocol.Applied(4, {}))
    assert await worker.heard() == protocol.Count()
    worker.say(protocol.Counted(7, 0.0, []))
    applied, counted = await both
    assert (applied.revision, counted.pid) == (4, 7)
    opened.close()


async def test_a_new_worker_is_asked_about_itself_when_it_knows_whom_it_serves(
    worker: Worker,
) -> None:
    worker.say(msgspec.structs.replace(HELLO, revision=0))
    opened = await link.Link.open(worker.ours)
    asking = asyncio.gather(opened.inquire(protocol.ListCache(0), protocol.CacheListed))
    applying = asyncio.gather(opened.apply(4))
    assert await worker.heard() == protocol.Apply(4)
    worker.say(protocol.Applied(4, {}))
    await applying
    assert await worker.heard() == protocol.ListCache(0)
    worker.say(protocol.CacheListed([], others=False))
    await asking
    opened.close()


async def test_a_worker_that_nobody_tells_is_asked_about_itself_all_the_same(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "SERVES_S", 0.01)
    worker.say(msgspec.structs.replace(HELLO, revision=0))
    opened = await link.Link.open(worker.ours)
    asking = asyncio.gather(opened.inquire(protocol.ListCache(0), protocol.CacheListed))
    assert await worker.heard() == protocol.ListCache(0)
    worker.say(protocol.CacheListed([], others=False))
    await asking
    opened.close()


async def test_who_waits_for_a_new_worker_hears_of_its_end(worker: Worker) -> None:
    worker.say(msgspec.structs.replace(HELLO, revision=0))
    opened = await link.Link.open(worker.ours)
    asking = asyncio.gather(opened.inquire(protocol.ListCache(0), protocol.CacheListed))
    worker.end.close()
    with pytest.raises(errors.Unavailable, match="hung up"):
        await asking


async def test_a_greeting_and_an_answer_in_parts_are_whole(worker: Worker) -> None:
    first = msgspec.structs.replace(HELLO, views={"a": "v"}, more=True)
    worker.say(first)
    worker.say(msgspec.structs.replace(first, views={"b": "w"}))
    opened = await worker.link()
    assert opened.inventory.views == {"a": "v", "b": "w"}
    asking = asyncio.gather(opened.count())
    await worker.heard()
    for number in range(5):
        worker.say(protocol.Counted(7, 0.0, [([str(number)], 1.0)], more=number < 4))
    (counted,) = await asking
    assert [key for key, _ in counted.sums] == [["0"], ["1"], ["2"], ["3"], ["4"]]
    opened.close()


async def test_what_a_worker_tells_people_is_bounded_and_printable(worker: Worker) -> None:
    opened = await worker.link()
    asking = asyncio.gather(opened.ping())
    await worker.heard()
    worker.say(protocol.Pong(["\x1b[31m" + "x" * 400, *["y"] * 300]))
    (lines,) = await asking
    assert lines[0] == "?[31m" + "x" * 195
    assert len(lines) == notes.MOST
    opened.close()


async def test_a_worker_of_another_release_is_not_heard_to_its_end(worker: Worker) -> None:
    worker.say(msgspec.structs.replace(HELLO, release=protocol.RELEASE - 1, more=True))
    opened = await link.Link.open(worker.ours)
    assert opened.inventory.release == protocol.RELEASE - 1
    opened.close()


async def test_a_greeting_of_parts_without_end_is_unavailable(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "MOST_PARTS", 3)
    for _ in range(3):
        worker.say(msgspec.structs.replace(HELLO, more=True))
    with pytest.raises(errors.Unavailable, match="speaks on for more than 3"):
        await worker.link()


async def test_descriptors_ride_along(worker: Worker) -> None:
    opened = await worker.link()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sent:
        listening = protocol.Listening(inode=1, udp_port=2, tcp_port=3)
        await opened.send(protocol.Listen("s", listening), [sent])
    _, descriptors, _, _ = socket.recv_fds(worker.end, protocol.MOST_BYTES, 4)
    with socket.socket(fileno=descriptors[0]) as got:
        assert got.type == socket.SOCK_DGRAM
    opened.close()


async def test_a_slow_worker_is_waited_for(worker: Worker) -> None:
    opened = await worker.link()
    part = protocol.TablePart("t", [([b"n"], {1: [bytes(60_000)]})])
    sending = asyncio.gather(*(opened.send(part) for _ in range(50)))
    for _ in range(50):
        assert protocol.encode(await worker.heard()) == protocol.encode(part)
    await sending
    opened.close()


async def test_a_message_that_is_too_long_harms_nobody(worker: Worker) -> None:
    opened = await worker.link()
    with pytest.raises(errors.Defect):
        await opened.send(protocol.TablePart("t", [([b"n"], {1: [bytes(70_000)]})]))
    assert opened.is_open
    opened.close()


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"\xc1",
        b"\x93\xa9Inventory\x01\x02",
        protocol.encode(protocol.Applied(1, {})),
        b"x" * (protocol.MOST_BYTES + 1),
        b"\x91" * 60_000,
    ],
    ids=["end", "broken", "short", "wrong", "long", "deep"],
)
async def test_a_hostile_greeting_is_unavailable(worker: Worker, said: bytes) -> None:
    if said:
        worker.end.send(said)
    else:
        worker.end.close()
    with pytest.raises(errors.Unavailable):
        await link.Link.open(worker.ours)
    assert worker.ours.fileno() == -1


async def test_a_silent_worker_is_unavailable(worker: Worker) -> None:
    with pytest.raises(errors.Unavailable, match="says nothing"):
        await link.Link.open(worker.ours, timeout_s=0.01)
    assert worker.ours.fileno() == -1


ANSWERS: list[Callable[[Worker], object]] = [
    lambda worker: worker.end.close(),
    lambda worker: worker.end.send(b"junk"),
    lambda worker: worker.say(protocol.Applied(5, {})),
    lambda worker: worker.say(protocol.Counted(1, 0.0, [])),
    lambda worker: worker.say(HELLO),
    lambda worker: worker.say(protocol.Applied(4, {}, more=True), protocol.Counted(1, 0.0, [])),
    lambda worker: worker.say(*[protocol.Applied(4, {}, more=True)] * 9),
]


@pytest.mark.parametrize(
    "answer", ANSWERS, ids=["end", "junk", "revision", "other", "hello", "mixed", "endless"]
)
async def test_a_wrong_answer_ends_the_link(
    worker: Worker, answer: Callable[[Worker], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "MOST_PARTS", 9)
    opened = await worker.link()
    lost: list[bool] = []
    opened.lost = lambda: lost.append(True)
    asking = asyncio.gather(opened.apply(4), return_exceptions=True)
    await worker.heard()
    answer(worker)
    (outcome,) = await asking
    assert isinstance(outcome, errors.Unavailable)
    assert (opened.is_open, lost) == (False, [True])
    with pytest.raises(errors.Unavailable):
        await opened.count()


async def test_a_worker_that_speaks_unasked_or_dies_is_noticed_at_once(worker: Worker) -> None:
    opened = await worker.link()
    lost = asyncio.Event()
    opened.lost = lost.set
    worker.say(HELLO)
    async with asyncio.timeout(60):
        await lost.wait()
    assert not opened.is_open


async def test_a_cancelled_request_ends_the_link_so_that_no_answer_is_taken_for_another(
    worker: Worker,
) -> None:
    opened = await worker.link()
    async with asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(opened.apply(4))
        await worker.heard()
        asking.cancel()
    assert not opened.is_open


async def test_closing_is_no_loss(worker: Worker) -> None:
    opened = await worker.link()
    lost: list[bool] = []
    opened.lost = lambda: lost.append(True)
    opened.close()
    opened.close()
    assert lost == []
