from dataclasses import replace

import dns.edns
import dns.flags
import dns.message
import pytest

from resolver.message import reply, wire
from resolver.message.wire import Rcode
from resolver.upstream import forward
from resolver.upstream.forward import Health, State, Trust
from resolver.upstream.rtt import Rtt
from tests.unit.resolver.questions import data, query

ASKED = data("www.example.org")
FOUND = query("www.example.org")
CASE = int.from_bytes(b"\0\x20\x20\0\0\x20" + bytes(11))
SENT = forward.question(ASKED, FOUND, 0xBEEF, CASE, mark=b"")


def test_a_question_has_our_id_a_mixed_name_and_our_opt() -> None:
    read = dns.message.from_wire(SENT.message)
    assert read.id == 0xBEEF
    assert read.question[0].name.to_text() == "WWw.Example.org."
    assert (read.edns, read.payload) == (0, 1232)
    assert read.flags & dns.flags.RD
    assert SENT.message[: SENT.end].endswith(b"\0\1\0\1")


def test_a_question_carries_do_cd_and_nothing_else_of_the_askers() -> None:
    asked = data("www.example.org", use_edns=0, want_dnssec=True, options=[COOKIE])
    found = wire.parse(asked)
    assert isinstance(found, wire.Query)
    read = dns.message.from_wire(forward.question(asked, found, 1, 0, mark=b"").message)
    assert read.ednsflags & dns.flags.DO
    assert not read.options
    assert dns.message.from_wire(forward.question(asked, found, 1, 0, mark=None).message).edns < 0


COOKIE = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, b"01234567")


def test_A8_53_only_the_exact_question_is_trusted() -> None:
    good = SENT.message[:2] + b"\x81\x80" + SENT.message[4:]
    assert forward.judge(good, SENT) is Trust.GOOD
    assert forward.judge(good[:2] + b"\x83" + good[3:], SENT) is Trust.TRUNCATED
    assert forward.judge(good[:12] + good[12 : SENT.end].lower(), SENT) is Trust.OTHER_CASE


@pytest.mark.parametrize(
    "change",
    [
        lambda good: b"\0\0" + good[2:],
        lambda good: good[:2] + b"\1" + good[3:],  # a query
        lambda good: good[:2] + b"\xa9" + good[3:],  # another opcode
        lambda good: good[:4] + b"\0\0" + good[6:],
        lambda good: good[:14] + b"x" + good[15:],
        lambda good: good[: SENT.end - 3] + b"\x1c\0\1",
        lambda good: good[: SENT.end - 1],
        lambda _: b"",
    ],
)
def test_A8_51_anything_else_is_foreign(change: object) -> None:
    good = SENT.message[:2] + b"\x81\x80" + SENT.message[4:]
    assert callable(change)
    assert forward.judge(change(good), SENT) is Trust.FOREIGN


@pytest.mark.parametrize("rcode", [1, 2, 4, 5])
def test_a_bare_error_is_a_reason_to_ask_elsewhere(rcode: int) -> None:
    bare = SENT.message[:2] + bytes((0x80, rcode)) + bytes(8)
    assert forward.judge(bare, SENT) is Trust.BARE
    assert forward.judge(b"\0\0" + bare[2:], SENT) is Trust.FOREIGN
    whole = forward.asked_again(bare, SENT)
    found = reply.read(whole, SENT.end, dnssec=False)
    assert found is not None
    assert found.rcode == rcode
    assert forward.wants_better(found)


def test_a_bare_answer_is_foreign() -> None:
    for rcode in (0, 3):
        bare = SENT.message[:2] + bytes((0x80, rcode)) + bytes(8)
        assert forward.judge(bare, SENT) is Trust.FOREIGN


def test_three_silences_in_a_row_pause_a_server_and_longer_each_time() -> None:
    health = Health()
    pauses = []
    now = 0.0
    for number in range(8):
        health.failed(now, now + 1.5)
        now += 1.5
        if number < 2:
            assert health.state(now) is State.UP
            assert health.is_doubtful
            continue
        assert health.state(now) is State.DOWN
        pauses.append(health.down_until - now)
        now = health.down_until
        assert health.state(now) is State.DUE
    assert pauses == [2, 4, 8, 16, 30, 30]
    health.answered(now, 0.1)
    assert health.state(now) is State.UP
    assert not health.is_doubtful


def test_a_slow_name_is_no_silence_of_a_server_that_answers_others() -> None:
    health = Health()
    for number in range(9):
        health.answered(number + 0.5, 0.01)
        health.failed(number, number + 1.5)
    assert health.silent == 0


def test_a_server_that_takes_long_has_longer_for_a_question_of_ours() -> None:
    assert Health().look_s == took(0.3).look_s == forward.LOOK_S
    assert took(0.6).look_s == pytest.approx(1.2)
    assert took(4.0).look_s == forward.TRY_S


def test_what_is_lost_at_one_moment_is_one_silence() -> None:
    health = Health()
    for _ in range(200):
        health.failed(1.0, 2.5)
    assert health.silent == 1
    assert health.state(2.5) is State.UP


def test_a_doubtful_server_has_a_head_start_of_its_own_time() -> None:
    health = Health()
    health.failed(0, 1)
    assert _starts(health) == (0.01, 0.01)
    health.rtt = took(0.001).rtt
    assert _starts(health) == (0.01, 0.05)
    health.rtt = took(0.04).rtt
    assert _starts(health) == (0.08, 0.08)
    health.rtt = took(9).rtt
    assert _starts(health) == (forward.TRY_S, forward.TRY_S)
    health.failed(2, 3)
    assert _starts(health) == (0.01, 0.01)


def test_a_lost_packet_of_a_far_server_makes_nobody_else_answer_for_it() -> None:
    far = Health()
    assert far.beside_s == forward.BESIDE_S
    far.answered(1.0, 0.32)
    far.failed(2.0, 3.5)
    assert far.beside_s > 0.32
    assert min(_starts(far)) > 0.32
    assert 0.32 < forward.patience_s([far], 4.0) < 1.0
    far.failed(4.0, 5.5)  # now it may as well be gone
    assert far.beside_s == forward.BESIDE_S
    assert forward.patience_s([far], 6.0) == forward.DOUBT_S


def test_what_came_late_from_a_server_that_hung_makes_nobody_wait_for_it_later() -> None:
    health = Health()
    for asked_at in (1.0, 1.4, 2.6):  # all answered when it went on
        health.answered(4.0, 4.0 - asked_at)
    health.answered(4.1, 0.001)
    health.failed(5.0, 6.5)
    assert health.beside_s == forward.BESIDE_S
    assert _starts(health) == (forward.HEAD_START_S, forward.DENIAL_S)


def _starts(health: Health) -> tuple[float, float]:
    return health.head_start_s(denies=False), health.head_start_s(denies=True)


def took(seconds: float) -> Health:
    """One that answered once, after so long."""
    return Health(rtt=Rtt((seconds,), seconds))


def silent(at: float) -> Health:
    """Left alone since `at`."""
    health = Health()
    for _ in range(forward.SILENCES):
        health.failed(at, at)
    return health


def test_servers_that_are_up_come_first_in_their_order() -> None:
    assert list(forward.order([Health(), Health(), Health()], 0)) == [0, 1, 2]
    assert list(forward.order([silent(0), Health(), silent(-9)], 1)) == [1, 2, 0]
    assert list(forward.order([silent(0)], 1)) == [0]
    assert list(forward.order([], 1)) == []


def test_a_server_that_is_due_is_probed_beside_one_that_is_up() -> None:
    assert list(forward.to_probe([Health(), silent(-9), silent(0)], 1)) == [1]
    assert list(forward.to_probe([silent(-9), silent(0)], 1)) == []
    due = silent(-9)
    due.probed(1)
    assert list(forward.to_probe([Health(), due], 1.5)) == []


def test_edns_comes_back_after_a_while() -> None:
    health = Health()
    assert health.takes_edns(0)
    health.needs_plain(100)
    assert not health.takes_edns(100 + forward.PLAIN_S - 1)
    assert health.takes_edns(100 + forward.PLAIN_S)


def test_a_server_that_forgets_case_is_found_out() -> None:
    health = Health()
    assert health.mixes()
    health.case_losses = forward.CASE_LOSSES
    assert not health.mixes()


def said(rcode: int, *, ra: bool = True) -> reply.Reply:
    made = reply.failure(ASKED, FOUND, rcode)
    if ra:
        return made
    image = made.image[:3] + bytes((made.image[3] & 0x7F,)) + made.image[4:]
    return made._replace(image=image)


def test_F7_errors_and_lame_answers_want_a_better_one() -> None:
    for rcode in set(range(16)) - {0, 3}:  # musl waits out those that it does not know
        assert forward.wants_better(said(rcode))
    assert forward.wants_better(said(Rcode.NOERROR, ra=False))
    assert not forward.wants_better(said(Rcode.NOERROR))
    assert not forward.wants_better(said(Rcode.NXDOMAIN))


def test_of_poor_replies_an_empty_one_is_best_and_refused_is_none() -> None:
    lame, failed, refused = said(Rcode.NOERROR, ra=False), said(Rcode.SERVFAIL), said(Rcode.REFUSED)
    assert forward.best([refused, failed, lame]) == lame
    assert forward.best([refused, failed]) == failed
    assert forward.best([refused]) is None
    assert forward.best([]) is None


@pytest.mark.parametrize("name", ["a.example", "a-name-of-another-length.example.org"])
def test_a_padded_question_fills_whole_blocks(name: str) -> None:
    asked, found = data(name), query(name)
    sent = forward.question(asked, found, 1, 0, mark=b"", padded=True)
    assert len(sent.message) % 128 == 0
    assert [int(each.otype) for each in dns.message.from_wire(sent.message).options] == [12]


def test_A8_59_a_question_of_ours_is_known_by_its_mark() -> None:
    sent = forward.question(ASKED, FOUND, 1, 0, mark=b"12345678", padded=True)
    read = wire.parse(sent.message)
    assert isinstance(read, wire.Query)
    assert wire.option(sent.message, read, forward.MARK) == b"12345678"
    assert wire.option(sent.message, read, forward.MARK + 1) == b""
    assert wire.option(ASKED, FOUND, forward.MARK) == b""


def test_A8_59_who_loops_is_asked_last() -> None:
    looping, other = Health(), Health()
    looping.looped(100.0)
    assert forward.order([looping, other], 101.0)[0] == 1
    assert looping.state(101.0) is State.DOWN


def test_A8_112_only_servers_that_showed_to_be_silent_are_waited_for_less() -> None:
    unknown, doubtful, gone = Health(), Health(silent=1), Health(silent=3, down_until=9.0)
    assert forward.patience_s([unknown, gone], 5.0) == forward.TOTAL_S
    assert forward.patience_s([doubtful, gone], 5.0) == forward.DOUBT_S
    assert forward.patience_s([gone, gone], 5.0) == forward.GONE_S
    assert forward.patience_s([gone], 10.0) == forward.GONE_S  # it is due: somebody finds out
    assert forward.patience_s([], 5.0) == 0.0
    # Who is never asked for this question says nothing of it.
    assert forward.patience_s([gone, gone, gone, replace(gone, silent=4)], 5.0) == forward.GONE_S
