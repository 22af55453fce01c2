"""What the machine lacks is told with advice; what nobody foresaw is not taken for it."""

import errno
import os

import pytest

from sdd import errors, lacks

MANY = OSError(errno.EMFILE, os.strerror(errno.EMFILE))
SWARMS = errors.Unavailable("the list changes faster than it is read")


@pytest.mark.parametrize(
    ("exc", "sentence", "hint"),
    [
        (MANY, "too many open files", "LimitNOFILE"),
        (MemoryError(), "cannot allocate memory", "memory"),
        (RuntimeError("can't start new thread"), "no thread can be started", "TasksMax"),
        (SWARMS, SWARMS.sentence, ""),
        (ExceptionGroup("a", [ExceptionGroup("b", [SWARMS]), MANY]), SWARMS.sentence, ""),
    ],
    ids=repr,
)
def test_what_is_lacking_is_said(exc: BaseException, sentence: str, hint: str) -> None:
    found = lacks.told(exc)
    assert found is not None
    assert found.sentence == sentence
    assert hint in found.hint


@pytest.mark.parametrize(
    "exc",
    [
        OSError(errno.EBADF, "bad descriptor"),
        KeyError("b"),
        RuntimeError("another"),
        errors.Defect("ours"),
        errors.Invalid("wrong"),
        ExceptionGroup("a", [MANY, KeyError("b")]),
    ],
    ids=repr,
)
def test_what_nobody_foresaw_is_nothing_that_the_machine_lacks(exc: BaseException) -> None:
    assert lacks.told(exc) is None
