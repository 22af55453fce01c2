"""Everything in this folder runs in the lab kernel and nowhere else: `./run-tests vm` boots it."""

import os
from pathlib import Path

import pytest

from tests.kernel.conftest import spaces

__all__ = ["spaces"]

HERE = Path(__file__).parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    ours = [item for item in items if HERE in item.path.parents]
    for item in ours:
        item.add_marker(pytest.mark.vm)
    if "SDD_LAB_KERNEL" not in os.environ and ours:
        config.hook.pytest_deselected(items=ours)
        items[:] = [item for item in items if item not in ours]
