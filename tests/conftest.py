"""What holds for every test: repeatable examples, and no task left when a coroutine test ends.

Property tests draw the same bounded examples every time; `fuzz` draws many and new ones.
"""

import asyncio
import inspect
import os
from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, settings

TURNS_TO_END = 5  # of the event loop: a cancelled task needs one or two to be done

settings.register_profile(
    "repeatable",
    derandomize=True,
    max_examples=60,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "fuzz",
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "3000")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--fuzz-seconds",
        type=int,
        metavar="N",
        help="how long each fuzz target runs (300 in `./run-tests fuzz`, else 3)",
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that are coroutines also check that they end what they began."""
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
            # First to be set up, so last to be torn down: after every fixture has closed.
            item.fixturenames.insert(0, "_no_task_is_left")


@pytest.fixture
async def _no_task_is_left() -> AsyncIterator[None]:
    """A task that outlives its test is one that nobody awaits: its errors vanish."""
    before = asyncio.all_tasks()
    yield
    for _ in range(TURNS_TO_END):
        await asyncio.sleep(0)
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    assert not left, f"still running: {sorted(str(task.get_coro()) for task in left)}"
