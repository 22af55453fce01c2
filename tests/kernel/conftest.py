"""Kernel tests leave nothing behind, and the end of the session checks it."""

import ctypes
import gc
import os
from collections.abc import Iterator

import pytest

from tests import support
from tests.kernel import spaces as noun

CLONE_NEWNS = 0x00020000  # linux/sched.h


@pytest.fixture(scope="session", autouse=True)
def _nothing_is_left() -> Iterator[None]:
    """In a mount namespace of our own, so that neighbours' mounts are not taken for our leaks."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), "cannot unshare mounts; kernel tests need root")
    support.run("mount", "--make-rprivate", "/")
    before = noun.traces()
    yield
    gc.collect()
    left = noun.traces().since(before)
    assert not left, f"kernel tests of process {os.getpid()} left behind:\n" + "\n".join(left)


@pytest.fixture
def spaces() -> Iterator[noun.Spaces]:
    """`spaces.make("tag")` → a namespace that is gone after the test."""
    made = noun.Spaces()
    yield made
    made.close()
