"""Who waits for the backends, and what they hear."""

import asyncio

import pytest

from sdd import errors
from sdd.control.progress import Progress
from sdd.model import absence, ids
from sdd.model.progress import Backend, Failure, Outcome


def at(revision: int, *failures: Failure) -> Outcome:
    return Outcome(revision=ids.Revision(revision), failures=failures)


def failure(subject: str) -> Failure:
    return Failure(subject=subject, sentence=f"{subject} failed")


async def test_everyone_must_have_reached_the_revision() -> None:
    progress = Progress(tuple(Backend))
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(
            progress.realised(ids.Revision(5), {"x"}, 10), name="the command"
        )
        progress.report(Backend.NETNS, at(5))
        progress.report(Backend.LB, at(4))
        progress.report(Backend.PORTS, at(5))
        progress.report(Backend.RESOLVER, at(9))
        await asyncio.sleep(0)
        assert not waiting.done()
        progress.report(Backend.LB, at(6))
    assert waiting.result() == ()


async def test_only_failures_of_the_subjects_and_of_everything_count() -> None:
    progress = Progress((Backend.NETNS, Backend.LB))
    progress.report(Backend.NETNS, at(5, failure("x"), failure("other")))
    progress.report(Backend.LB, at(5, failure("*")))
    failures = await progress.realised(ids.Revision(5), {"x", "y"}, 1)
    assert [each.subject for each in failures] == ["x", "*"]


async def test_a_later_pass_overrides_an_earlier_failure() -> None:
    progress = Progress((Backend.LB,))
    progress.report(Backend.LB, at(5, failure("x")))
    progress.report(Backend.LB, at(5))
    assert await progress.realised(ids.Revision(5), {"x"}, 1) == ()


async def test_the_silent_are_named() -> None:
    progress = Progress(tuple(Backend))
    progress.report(Backend.LB, at(7))
    progress.report(Backend.NETNS, at(6))
    with pytest.raises(errors.TimedOut) as caught:
        await progress.realised(ids.Revision(7), (), 0.01)
    assert "netns, ports, resolver" in caught.value.sentence
    assert "lb" not in caught.value.sentence


def test_the_snapshot_does_not_change() -> None:
    progress = Progress(tuple(Backend))
    before = progress.snapshot()
    progress.report(Backend.LB, at(7))
    assert before == {}
    assert progress.snapshot() == {Backend.LB: at(7)}


async def test_what_carries_connections_is_waited_for_well_or_not_and_not_for_ever() -> None:
    progress = Progress(tuple(Backend))
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(progress.carried(ids.Revision(5)), name="names of many")
        progress.report(Backend.NETNS, at(5))
        progress.report(Backend.PORTS, at(6))
        progress.report(Backend.LB, at(4))
        await asyncio.sleep(0)
        assert not waiting.done()
        progress.report(Backend.LB, at(5, failure("x")))
    await progress.carried(ids.Revision(6), patience_s=0.001)


def test_what_two_backends_meet_in_the_same_words_is_in_one_outcome() -> None:
    progress = Progress(tuple(Backend))
    gone = absence.of("box", "a", "/ns/a", is_adopted=True)
    for backend in (Backend.RESOLVER, Backend.LB, Backend.NETNS):
        progress.report(backend, at(5, gone, failure(backend)))
    told = {backend: outcome.failures for backend, outcome in progress.snapshot().items()}
    assert told == {
        Backend.NETNS: (gone, failure("netns")),
        Backend.LB: (failure("lb"),),
        Backend.RESOLVER: (failure("resolver"),),
    }
    assert progress.has_failed(Backend.LB, "box")  # it did, whoever tells it


async def test_why_a_namespace_is_missing_is_told_alone() -> None:
    progress = Progress(tuple(Backend))
    why, gone = failure("box"), absence.of("box", "a", "/ns/a", is_adopted=False)
    others = absence.of("other", "b", "/ns/b", is_adopted=False)
    progress.report(Backend.NETNS, at(5, why))
    for backend in (Backend.LB, Backend.PORTS, Backend.RESOLVER):
        progress.report(backend, at(5, gone, others))
    assert await progress.realised(ids.Revision(5), {"box"}, 1) == (why,)
    assert progress.snapshot()[Backend.LB].failures == (others,)
    assert progress.snapshot()[Backend.RESOLVER].failures == ()
