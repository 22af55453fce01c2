import contextlib
import select
import socket
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from resolver.listen import datagrams
from sdd.defects import Defects, Unit

NOW = 1.0


@dataclass(slots=True, eq=False)
class Given:
    tail: bytes
    given: int = 0
    until: float = 2.0


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with bound() as one:
        yield one


@contextlib.contextmanager
def bound() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as one:
        one.bind(("127.0.0.1", 0))
        yield one


def nobody(slot: int, data: bytes) -> bytes | None:
    raise AssertionError((slot, data))


def shout(slot: int, data: bytes) -> bytes | None:
    del slot
    return data.upper()


def replies(link: socket.socket, count: int) -> list[bytes]:
    found: list[bytes] = []
    while len(found) < count and select.select([link], [], [], 2)[0]:
        found.append(link.recv(9000))
    return found


def test_an_empty_socket_is_zero(listener: socket.socket) -> None:
    assert datagrams.Batch().serve(listener.fileno(), {}, nobody, NOW) == 0


def test_a_known_reply_keeps_the_askers_id(listener: socket.socket) -> None:
    known = {b"question": Given(b"reply, and longer than what was asked")}
    with bound() as asker:
        for number in range(3):
            asker.sendto(b"%02dquestion" % number, listener.getsockname())
        assert datagrams.Batch().serve(listener.fileno(), known, nobody, NOW) == 3
        tail = known[b"question"].tail
        assert replies(asker, 3) == [b"%02d" % number + tail for number in range(3)]
    assert known[b"question"].given == 3


def test_everybody_gets_his_own_reply(listener: socket.socket) -> None:
    batch = datagrams.Batch()
    with contextlib.ExitStack() as stack:
        askers = [stack.enter_context(bound()) for _ in range(10)]
        for number, asker in enumerate(askers):
            asker.sendto(b"ask %d" % number, listener.getsockname())
        assert batch.serve(listener.fileno(), {}, shout, NOW) == 10
        for number, asker in enumerate(askers):
            assert replies(asker, 1) == [b"ASK %d" % number]


def test_what_is_not_answered_leaves_the_others_their_replies(listener: socket.socket) -> None:
    def odd(slot: int, data: bytes) -> bytes | None:
        assert slot == int(data)
        return data if slot % 2 else None

    batch = datagrams.Batch()
    with bound() as asker:
        for number in range(9):
            asker.sendto(b"%d" % number, listener.getsockname())
        assert batch.serve(listener.fileno(), {}, odd, NOW) == 9
        assert replies(asker, 4) == [b"1", b"3", b"5", b"7"]


def test_a_peer_can_be_answered_later(listener: socket.socket) -> None:
    batch = datagrams.Batch()
    peers = []

    def later(slot: int, data: bytes) -> bytes | None:
        del data
        peers.append(batch.peer(slot))
        return None

    with bound() as asker:
        asker.sendto(b"question", listener.getsockname())
        batch.serve(listener.fileno(), {}, later, NOW)
        assert peers == [asker.getsockname()]


def test_a_batch_is_bounded_and_buffers_are_as_large_as_before(listener: socket.socket) -> None:
    batch = datagrams.Batch()
    with bound() as asker:
        for _ in range(datagrams.MOST + 6):
            asker.sendto(b"x", listener.getsockname())
        assert batch.serve(listener.fileno(), {}, shout, NOW) == datagrams.MOST
        assert batch.serve(listener.fileno(), {}, shout, NOW) == 6
        assert replies(asker, 70) == [b"X"] * 70
        # The vectors held the short replies' sizes: a long query must still come in whole.
        asker.sendto(b"y" * 1000, listener.getsockname())
        assert batch.serve(listener.fileno(), {}, shout, NOW) == 1
        assert replies(asker, 1) == [b"Y" * 1000]


def test_A8_50_a_datagram_beyond_the_buffer_is_not_read(listener: socket.socket) -> None:
    batch = datagrams.Batch()
    with bound() as asker:
        asker.sendto(b"z" * 60_000, listener.getsockname())
        asker.sendto(b"next", listener.getsockname())
        assert batch.serve(listener.fileno(), {}, shout, NOW) == 2
        assert replies(asker, 1) == [b"NEXT"]


def test_an_asker_that_is_gone_costs_nobody_else_a_reply(listener: socket.socket) -> None:
    batch = datagrams.Batch()
    with bound() as gone, bound() as stays:
        gone.sendto(b"first", listener.getsockname())
        stays.sendto(b"second", listener.getsockname())
        gone.close()
        assert batch.serve(listener.fileno(), {}, shout, NOW) == 2
        assert replies(stays, 1) == [b"SECOND"]
        # The refusal comes back as an error of the next call: it must not hide a datagram.
        stays.sendto(b"third", listener.getsockname())
        while not batch.serve(listener.fileno(), {}, shout, NOW):
            assert select.select([listener], [], [], 2)[0]
        assert replies(stays, 1) == [b"THIRD"]


@pytest.mark.parametrize("count", [1, 3])
def test_a_defect_of_one_question_is_none_of_its_neighbours(
    listener: socket.socket, capfd: pytest.CaptureFixture[str], count: int
) -> None:
    """The defect's own reply is missing; the buffers are whole for what comes next."""

    def fail(slot: int, data: bytes) -> bytes | None:
        if data == b"00bad":
            raise ZeroDivisionError
        return shout(slot, data)

    known = {b"known": Given(b"K")}  # shorter than what may come: the vectors are cut for it
    batch = datagrams.Batch()
    with bound() as asker:
        for text in (b"00bad", b"01known", b"02other")[:count]:
            asker.sendto(text, listener.getsockname())
        assert batch.serve(listener.fileno(), known, fail, NOW) == count
        assert replies(asker, count - 1) == [b"01K", b"02OTHER"][: count - 1]
        assert "ZeroDivisionError" in capfd.readouterr().err
        for _ in range(count):
            asker.sendto(b"03" + b"x" * 500, listener.getsockname())
        assert batch.serve(listener.fileno(), known, shout, NOW) == count
        assert replies(asker, count) == [b"03" + b"X" * 500] * count


@pytest.mark.parametrize("count", [1, 3])
def test_even_an_end_within_a_batch_leaves_the_buffers_whole(
    listener: socket.socket, count: int
) -> None:
    def end(slot: int, data: bytes) -> bytes | None:
        raise KeyboardInterrupt((slot, data))

    known = {b"known": Given(b"K")}
    batch = datagrams.Batch()
    with bound() as asker:
        for text in (b"01known", b"02known", b"03other")[3 - count :]:
            asker.sendto(text, listener.getsockname())
        with pytest.raises(KeyboardInterrupt):
            batch.serve(listener.fileno(), known, end, NOW)
        for _ in range(count):
            asker.sendto(b"04" + b"x" * 500, listener.getsockname())
        assert batch.serve(listener.fileno(), known, shout, NOW) == count
        assert replies(asker, count) == [b"04" + b"X" * 500] * count


@pytest.mark.parametrize("count", [1, 3])
def test_a_reply_is_given_only_while_it_is_good(listener: socket.socket, count: int) -> None:
    known = {b"question": Given(b"old", until=NOW)}
    with bound() as asker:
        for _ in range(count):
            asker.sendto(b"idquestion", listener.getsockname())
        assert datagrams.Batch().serve(listener.fileno(), known, shout, NOW) == count
        assert replies(asker, count) == [b"IDQUESTION"] * count
    assert known[b"question"].given == 0


class Turns:
    """Steps of `Batch.turns` at times of our choice, and what was called in them."""

    def __init__(self, listener: socket.socket, otherwise: datagrams.Otherwise) -> None:
        self.faults = Defects()
        self.batch = datagrams.Batch(self.faults)
        self.known: dict[bytes, Given] = {}
        self.calls: list[tuple[str, float]] = []
        self.now = 10.0
        self._turns = self.batch.turns(
            listener.fileno(),
            self.known,
            otherwise,
            clock=lambda: self.now,
            many=lambda now: self.calls.append(("many", now)),
            behind=lambda now: self.calls.append(("behind", now)),
        )
        next(self._turns)

    def step(self, pause_s: float = 1.0) -> None:
        self.now += pause_s
        next(self._turns)


def test_who_asks_alone_after_a_pause_is_answered_at_once(listener: socket.socket) -> None:
    turns = Turns(listener, shout)
    turns.known[b"question"] = Given(b"reply", until=12.5)
    with bound() as asker:
        for asked, reply in ((b"idquestion", b"idreply"), (b"other", b"OTHER")):
            asker.sendto(asked, listener.getsockname())
            turns.step()
            assert replies(asker, 1) == [reply]
        assert turns.known[b"question"].given == 1
        asker.sendto(b"idquestion", listener.getsockname())
        turns.step()  # at 13: what was ready is over
        assert replies(asker, 1) == [b"IDQUESTION"]
    assert turns.calls == [("behind", 11.0), ("behind", 12.0), ("behind", 13.0)]


def test_without_a_pause_many_are_expected_and_without_a_question_nothing_is_done(
    listener: socket.socket,
) -> None:
    turns = Turns(listener, nobody)
    turns.step()
    turns.step(datagrams.ALONE_S / 2)
    assert turns.calls == [("many", turns.now)]


def test_A8_50_who_asks_alone_too_long_or_meets_a_defect_ends_nothing(
    listener: socket.socket, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(slot: int, data: bytes) -> bytes | None:
        if data == b"bad":
            raise ZeroDivisionError
        return shout(slot, data) if data == b"good" else None

    turns = Turns(listener, fail)
    with bound() as asker:
        for asked in (b"z" * 60_000, b"", b"bad", b"silent", b"good"):
            asker.sendto(asked, listener.getsockname())
            turns.step()
        assert replies(asker, 1) == [b"GOOD"]
    assert (turns.batch.long, turns.faults.count(Unit.QUESTION)) == (1, 1)
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_a_defect_behind_an_answer_is_told_and_ends_nothing(
    listener: socket.socket, capfd: pytest.CaptureFixture[str]
) -> None:
    turns = Turns(listener, shout)
    turns.calls = None  # type: ignore[assignment]  # so that `behind` fails
    with bound() as asker:
        for _ in range(2):
            asker.sendto(b"question", listener.getsockname())
            turns.step()
        assert replies(asker, 2) == [b"QUESTION"] * 2
    assert turns.faults.count(Unit.LISTENER) == 2
    assert capfd.readouterr().err.count("AttributeError") == 1  # it is one mistake
