"""One town per test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.kernel.resolver.town import Town


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    one = Town(tmp_path)
    yield one
    await one.close()
