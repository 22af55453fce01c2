"""A real worker and a conversation with it, for whoever asks for one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenario.worker import Session, Worker, running


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    """Ends with the test."""
    with running(tmp_path) as one:
        yield one


@pytest.fixture
def session(worker: Worker) -> Session:
    """The first conversation with `worker`."""
    return worker.session()
