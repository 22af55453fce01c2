"""Listening inside namespaces for what is refused there, and refusals to be heard."""

import asyncio
import contextlib
import resource
from collections.abc import AsyncIterator
from ipaddress import ip_address

from lb.kernel import refusals_inside
from sdd.linux import namespaces
from sdd.reconcile import Slot
from sdd.state import ClusterState
from tests.kernel.spaces import Space


@contextlib.asynccontextmanager
async def listening(wanted: list[str]) -> AsyncIterator[tuple[Slot, list[object]]]:
    """Inside the namespaces of `wanted`, read anew at each state that is put."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # as sdd does: ears have high numbers
    slot = Slot()
    told: list[object] = []
    with contextlib.closing(namespaces.Namespaces()) as doors:
        inside = refusals_inside.Inside(doors, lambda _: tuple(wanted), told.append)
        slot.put(ClusterState())
        following = asyncio.ensure_future(inside.follow(slot))  # noqa: TID251 - ended below
        try:
            yield slot, told
        finally:
            following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await following


def is_refused(client: Space, address: str, told: list[object]) -> bool:
    """Whether a connection of `client` to a port that nobody has is told."""
    client.run("bash", "-c", f"echo x > /dev/tcp/{address}/9", check=False)
    return ip_address(address) in told
