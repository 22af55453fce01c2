"""A real worker and a conversation with it, for whoever asks for one; and what starts workers."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from resolver.control import link
from tests.scenario.launched import Bench
from tests.scenario.worker import Session, Worker, running
from tests.standing import Clock


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    """Ends with the test."""
    with running(tmp_path) as one:
        yield one


@pytest.fixture
def session(worker: Worker) -> Session:
    """The first conversation with `worker`."""
    return worker.session()


@pytest.fixture
async def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    """Workers that live have all the time of a busy machine."""
    for name in ("HELLO_S", "PROMPT_S", "ANSWER_S"):
        monkeypatch.setattr(link, name, 60.0)
    root = tmp_path / ("deep" * 20) / "exec"  # longer than sun_path
    one = Bench(root)
    yield one
    for each in one.made:
        each.close()
    for pid in one.workers():
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)  # noqa: ASYNC222 - it was killed, this ends at once
    for each in one.made:
        each._reap()


@pytest.fixture
async def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time-outs of sdd in this process are over only when it had many turns meanwhile."""
    monkeypatch.setattr(asyncio.get_running_loop(), "time", Clock(time.monotonic))
