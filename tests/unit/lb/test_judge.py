"""Rise and fall, result by result."""

import pytest

from lb.heard import Heard
from lb.judge import Standing, doubted, is_hung, is_known_to_answer, judged, summed, taken_up
from sdd.model.health import Said, Status

UP, DOWN, STARTING = Standing(status=Status.UP), Standing(status=Status.DOWN), Standing()


def after(start: Standing, results: str, rise: int = 2, fall: int = 3) -> Standing:
    """`results`: + passed, - failed; nobody says a word."""
    for each in results:
        passed = each == "+"
        start = judged(start, passed=passed, rise=rise, fall=fall, heard=Heard.SILENCE)
    return start


@pytest.mark.parametrize(
    ("start", "results", "status"),
    [
        (STARTING, "", Status.STARTING),
        (STARTING, "+", Status.STARTING),
        (STARTING, "++", Status.UP),
        (STARTING, "+-+", Status.STARTING),
        (STARTING, "--", Status.STARTING),
        (STARTING, "---", Status.DOWN),
        (STARTING, "--+--", Status.STARTING),
        (STARTING, "--++", Status.UP),
        (UP, "--", Status.UP),
        (UP, "---", Status.DOWN),
        (UP, "--+--", Status.UP),
        (DOWN, "+", Status.DOWN),
        (DOWN, "++", Status.UP),
        (DOWN, "+-+", Status.DOWN),
    ],
)
def test_rows_of_results_turn_the_status(start: Standing, results: str, status: Status) -> None:
    assert after(start, results).status is status


@pytest.mark.parametrize("start", [UP, DOWN, STARTING])
def test_B9_19_a_flapping_check_never_turns_the_status(start: Standing) -> None:
    assert after(start, "+-" * 20).status is start.status


def test_rise_and_fall_of_one_turn_at_once() -> None:
    assert after(UP, "-", fall=1) == DOWN
    assert after(STARTING, "+", rise=1) == UP
    assert after(STARTING, "-", fall=1) == DOWN


def test_suspect_means_a_verdict_is_pending() -> None:
    assert STARTING.is_suspect
    assert after(UP, "-").is_suspect
    assert not after(UP, "-+").is_suspect


def test_a_suspicion_quickens_checks_until_enough_pass_and_turns_nothing() -> None:
    suspect = doubted(UP, rise=2, fall=3)
    assert suspect.is_suspect
    assert after(suspect, "+").is_suspect
    assert after(suspect, "++") == UP
    assert not after(suspect, "++").is_suspect


def test_a_suspicion_that_checks_confirm_is_a_failure_like_any_other() -> None:
    suspect = doubted(UP, rise=2, fall=3)
    assert not suspect.is_denied
    assert after(suspect, "-").status is Status.UP
    assert after(suspect, "-").is_denied
    assert after(suspect, "--") == DOWN
    assert after(suspect, "-+++") == UP
    assert not after(UP, "-").is_denied


@pytest.mark.parametrize("fall", [1, 2])
def test_a_suspicion_alone_turns_nothing(fall: int) -> None:
    suspect = doubted(UP, rise=2, fall=fall)
    assert suspect.status is Status.UP
    assert after(suspect, "++", fall=fall) == UP
    assert after(suspect, "-", fall=fall) == DOWN


def test_only_a_member_that_is_up_can_be_suspect() -> None:
    assert doubted(DOWN, rise=2, fall=3) == DOWN
    assert doubted(STARTING, rise=2, fall=3) == STARTING


def test_a_member_is_up_where_it_answers_in_one_ip_version() -> None:
    assert summed([UP, DOWN]) is Status.UP
    assert summed([UP, STARTING]) is Status.UP
    assert summed([STARTING, DOWN]) is Status.STARTING
    assert summed([DOWN, DOWN]) is Status.DOWN


def test_what_the_store_says_is_taken_up_for_each_address() -> None:
    assert taken_up(Said(Status.UP, "", (6,)), [False, True]) == [UP, DOWN]
    assert taken_up(Said(Status.STARTING, ""), [False, False]) == [STARTING, STARTING]


def heard(start: Standing, results: str) -> Standing:
    """`results`: ! answered, . silent, x nobody there, - failed otherwise."""
    kinds = {"!": Heard.WORDS, ".": Heard.SILENCE, "x": Heard.NOBODY, "-": Heard.WORDS}
    for each in results:
        passed = each == "!" or (each == "." and not is_hung(start, Heard.SILENCE))
        start = judged(start, passed=passed, rise=2, fall=3, heard=kinds[each])
    return start


@pytest.mark.parametrize(
    ("start", "results", "status"),
    [
        (STARTING, "..", Status.UP),
        (UP, ".....", Status.UP),
        (UP, "!..", Status.UP),
        (UP, "!...", Status.DOWN),
        (UP, "!.......", Status.DOWN),  # it does not rise by what took it down
        (UP, "!...!!", Status.UP),
        (UP, "!...!!...", Status.DOWN),
        (UP, "!---...", Status.DOWN),  # a link that was cut tells nothing of the program
        (UP, "!xxx..", Status.UP),  # another program, which may be silent
        (STARTING, "!...", Status.DOWN),
        (DOWN, "..", Status.UP),
    ],
)
def test_silence_is_a_failure_of_a_program_that_answered(
    start: Standing, results: str, status: Status
) -> None:
    assert heard(start, results).status is status


@pytest.mark.parametrize(
    ("start", "results", "was", "is_known"),
    [
        (UP, "!", False, True),
        (UP, "!x", True, True),  # it may be back at the next check: nothing to write
        (UP, "!x!", True, True),
        (UP, "!x", False, False),
        (UP, "!x.", True, False),  # another program, which may be silent
        (UP, "!xxx", True, False),
        (UP, "!...", True, True),  # it hangs, also for who looks at it next
        (DOWN, "!", False, False),  # told with its status, once it rises
        (DOWN, "!!", False, True),
        (STARTING, "!", False, False),
        (STARTING, "!!", False, True),
    ],
)
def test_what_the_store_is_told_of_a_program_that_answered(
    start: Standing, results: str, was: bool, is_known: bool
) -> None:
    last = {"!": Heard.WORDS, ".": Heard.SILENCE, "x": Heard.NOBODY}[results[-1]]
    assert is_known_to_answer(heard(start, results), last, was=was) is is_known


def test_a_doubt_does_not_forget_that_it_answered() -> None:
    assert is_hung(doubted(heard(UP, "!"), rise=2, fall=3), Heard.SILENCE)
    assert not is_hung(heard(UP, "!"), Heard.WORDS)
