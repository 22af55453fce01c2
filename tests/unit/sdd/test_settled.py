"""A later process believes that all was done only when nothing but hands can have undone it."""

import math
import os
from pathlib import Path

import pytest

from sdd.model.ids import Revision
from sdd.model.progress import Backend, Failure, Outcome
from sdd.settled import FILE, Settled, life
from tests.support import at_once

LIFE = ("boot", "host", "1.0", "nftables")
NOW = 1000.0
REVISION = Revision(7)


def settled(folder: Path, words: tuple[str, ...] = LIFE, now: float = NOW) -> Settled:
    return Settled(folder, words, clock=lambda: now)


def done(revision: int = REVISION, *, fails: bool = False, again_s: float = math.inf) -> Outcome:
    failures = (Failure(subject="web", sentence="no"),) if fails else ()
    return Outcome(revision=Revision(revision), failures=failures, again_s=again_s)


def test_what_was_realised_is_known_to_the_next_process(tmp_path: Path) -> None:
    settled(tmp_path).note(Backend.LB, done())
    later = settled(tmp_path)
    assert later.was_realised(Backend.LB, REVISION)
    assert not later.was_realised(Backend.LB, Revision(8)), "the state is a new one"
    assert not later.was_realised(Backend.PORTS, REVISION), "of it nothing was told"


def test_a_process_knows_only_of_those_before_it(tmp_path: Path) -> None:
    one = settled(tmp_path)
    one.note(Backend.LB, done())
    assert not one.was_realised(Backend.LB, REVISION)


@pytest.mark.parametrize("at", range(len(LIFE)))
def test_another_boot_host_release_or_balancer_knows_nothing(tmp_path: Path, at: int) -> None:
    settled(tmp_path).note(Backend.LB, done())
    other = tuple("other" if number == at else word for number, word in enumerate(LIFE))
    assert not settled(tmp_path, other).was_realised(Backend.LB, REVISION)


def test_what_failed_last_was_not_realised(tmp_path: Path) -> None:
    one = settled(tmp_path)
    one.note(Backend.LB, done())
    one.note(Backend.LB, done(fails=True))
    assert not settled(tmp_path).was_realised(Backend.LB, REVISION)
    one.note(Backend.LB, done())
    assert settled(tmp_path).was_realised(Backend.LB, REVISION)


def test_what_time_changes_is_not_what_hands_change(tmp_path: Path) -> None:
    settled(tmp_path).note(Backend.LB, done(again_s=5))
    assert settled(tmp_path, now=NOW + 4).was_realised(Backend.LB, REVISION)
    assert not settled(tmp_path, now=NOW + 5).was_realised(Backend.LB, REVISION)


def test_where_a_namespace_is_gone_nothing_is_known(tmp_path: Path) -> None:
    settled(tmp_path).note(Backend.LB, done())
    for spaces, knows in ((("/proc/self/ns/net",), True), ((str(tmp_path / "gone"),), False)):
        later = Settled(tmp_path, LIFE, spaces, clock=lambda: NOW)
        assert later.was_realised(Backend.LB, REVISION) is knows


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "3", '{"life": 1}', "[" * 200_000, "\0" * 200_000),
        *(
            '{"life": LIFE, "backends": {"lb": ' + mark + "}}"
            for mark in ("[1]", '[14, "soon"]', '["x", 1]', "[1, 2, 3]", "[1e999, 1]", "null")
        ),
    ],
)
def test_a_file_that_is_none_of_ours_says_nothing(tmp_path: Path, text: str) -> None:
    one = settled(tmp_path)
    one.note(Backend.LB, done())
    words = str(list(LIFE)).replace("'", '"')
    (tmp_path / FILE).write_text(text.replace("LIFE", words))
    assert not settled(tmp_path).was_realised(Backend.LB, REVISION)


def test_what_cannot_be_written_leaves_no_older_marks(tmp_path: Path) -> None:
    one = settled(tmp_path)
    one.note(Backend.LB, done())
    (tmp_path / FILE).with_suffix(".new").mkdir()  # in the way of what is to be written
    one.note(Backend.NETNS, done())
    assert not settled(tmp_path).was_realised(Backend.LB, REVISION)


def test_a_pipe_in_its_place_is_not_waited_for(tmp_path: Path) -> None:
    for each in (tmp_path / FILE, (tmp_path / FILE).with_suffix(".new")):
        os.mkfifo(each)
    one = at_once(lambda: settled(tmp_path))
    at_once(lambda: one.note(Backend.LB, done()))
    assert settled(tmp_path).was_realised(Backend.LB, REVISION)


def test_what_cannot_be_written_ends_nothing(tmp_path: Path) -> None:
    one = settled(tmp_path / "gone")
    one.note(Backend.LB, done())
    assert not settled(tmp_path / "gone").was_realised(Backend.LB, REVISION)


def test_the_life_of_one_kernel_is_called_the_same() -> None:
    assert life("1.0") == life("1.0")
    assert life("1.0") != life("1.1")
