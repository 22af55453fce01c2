"""Upstreams of both families in one sandbox, with the kernel of the lab: it differs over UDP."""

from pathlib import Path

from tests.kernel.resolver import families
from tests.kernel.resolver.town import Town


async def test_servers_of_both_families_are_heard_through_the_same_sockets(tmp_path: Path) -> None:
    town = Town(tmp_path)
    try:
        assert await families.by_turns(town, *families.TRANSPORTS) == []
    finally:
        await town.close()
