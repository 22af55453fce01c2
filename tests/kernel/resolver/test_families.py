"""Upstreams of both families in one sandbox: none of them is lost to the others' sockets."""

import pytest

from tests.kernel.resolver import families
from tests.kernel.resolver.town import Town

pytestmark = pytest.mark.kernel


@pytest.mark.parametrize("transport", families.TRANSPORTS)
async def test_servers_of_both_families_are_heard_through_the_same_sockets(
    town: Town, transport: str
) -> None:
    assert await families.by_turns(town, transport) == []
