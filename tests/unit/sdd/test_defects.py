"""A defect ends its unit, is counted each time and told the first time that it comes from a place."""

import asyncio
from collections.abc import Iterator

import pytest

from sdd.defects import Defects, Unit
from sdd.model.raised import Raised


class Ear:
    """Hears what is told."""

    def __init__(self) -> None:
        self.heard: list[tuple[Unit, str, str]] = []
        self.defects = Defects(self.tell)

    def tell(self, unit: Unit, raised: Raised, about: str) -> None:
        self.heard.append((unit, raised.what, about))


def fail(text: str) -> None:
    raise RuntimeError(text)


def test_what_is_raised_within_ends_there_and_is_told_once_for_its_place() -> None:
    ear = Ear()
    held = ear.defects.holding(Unit.QUESTION)
    for text in ("one", "two"):  # another text, the same mistake
        with held:
            fail(text)
    with held:
        raise KeyError
    assert ear.heard == [
        (Unit.QUESTION, "RuntimeError('one')", ""),
        (Unit.QUESTION, "KeyError()", ""),
    ]
    assert ear.defects.count(Unit.QUESTION) == 3
    assert ear.defects.counts == {Unit.QUESTION: 3}
    assert ear.defects.count(Unit.SOCKET) == 0


def test_one_place_is_told_of_each_unit_and_whoever_it_is_about() -> None:
    ear = Ear()
    raised = Raised.of(ValueError("x"))
    for about in ("lb", "netns", "lb"):
        ear.defects.met(Unit.PASS, raised, about)
    ear.defects.met(Unit.OBJECT, raised, "lb")
    told = [(unit, about) for unit, _, about in ear.heard]
    assert told == [(Unit.PASS, "lb"), (Unit.PASS, "netns"), (Unit.OBJECT, "lb")]


def test_the_end_of_a_generator_and_a_cancellation_go_their_way() -> None:
    ear = Ear()
    held = ear.defects.holding(Unit.LISTENER)

    def turns() -> Iterator[None]:
        while True:
            with held:
                yield

    running = turns()
    next(running)
    running.close()  # type: ignore[attr-defined]  # a generator has it
    with pytest.raises(asyncio.CancelledError), held:
        raise asyncio.CancelledError
    assert not ear.heard


def test_without_a_log_of_its_own_it_goes_to_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    with Defects().holding(Unit.SOCKET):
        fail("boom")
    told = capfd.readouterr().err
    assert told.startswith("a defect ended a socket; told once\nTraceback")
    assert "RuntimeError: boom" in told
