"""One daemon per test file is enough for most: tests use names of their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.appliance import Appliance, appliance

HERE = Path(__file__).parent
HANGS_S = 600  # on a machine that others keep busy a test takes ten times of what it takes alone


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder is end to end; no one has to remember the markers."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(HANGS_S))


@pytest.fixture(scope="module")
def daemon(request: pytest.FixtureRequest) -> Iterator[Appliance]:
    """A started appliance, shared by the tests of one file."""
    tag = Path(str(request.node.path)).stem.removeprefix("test_")[:8]
    with appliance(tag) as one:
        yield one
