"""Failures as they are told."""

from sdd.model.progress import Failure, told_once


def failure(subject: str, sentence: str, hint: str = "") -> Failure:
    return Failure(subject=subject, sentence=sentence, hint=hint)


def test_each_reason_is_told_once_by_the_first_whom_it_concerns() -> None:
    net, other = failure("net", "no bridge"), failure("other", "full", "enlarge it")
    followers = [failure(f"end{number}", "no bridge") for number in range(3)]
    assert told_once([net, *followers, other]) == ((net, 4), (other, 1))
    assert told_once([]) == ()
