"""How the host's links are is told at once, by what the kernel says of each."""

import asyncio
import contextlib
import errno
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from lb.cable import Cable
from lb.kernel import carriers
from sdd import errors
from sdd.linux import namespaces
from tests.kernel.spaces import Space, Spaces
from tests.support import eventually_async

pytestmark = pytest.mark.kernel

TURNS = 500  # each is two messages of more than a KiB: far more than a socket's queue takes


@asynccontextmanager
async def heard(
    space: Space, dump: Callable[[], carriers.Messages] = carriers.dumped
) -> AsyncIterator[dict[str, Cable]]:
    """What was told last of each link; fails at the end when nobody listens any more."""
    told: dict[str, Cable] = {}
    with contextlib.closing(namespaces.Namespaces()) as doors:
        host = f"/run/netns/{space.name}"
        following = carriers.follow(doors, told.update, host, dump=dump)
        ear = asyncio.ensure_future(following)  # noqa: TID251 - ended below
        try:
            yield told
            assert not ear.done(), ear
        finally:
            ear.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await ear


async def test_the_other_end_is_what_counts(spaces: Spaces) -> None:
    host, box = spaces.make("host"), spaces.make("box")
    host.run("ip", "link", "add", "br0", "up", "type", "bridge")
    host.run("ip", "link", "add", "w", "type", "veth", "peer", "name", "eth0", "netns", box.name)
    host.run("ip", "link", "set", "w", "master", "br0", "up")
    async with heard(host) as told:
        await eventually_async(lambda: told.get("w") is Cable.DOWN, 60, f"at the start: {told}")
        for state, cable in (("up", Cable.UP), ("down", Cable.DOWN), ("up", Cable.UP)):
            box.run("ip", "link", "set", "eth0", state)
            await eventually_async(lambda: told["w"] is cable, 60, f"{state}: {told}")  # noqa: B023 - awaited
        host.run("ip", "link", "set", "w", "nomaster")
        host.run("ip", "link", "set", "w", "down")
        host.run("ip", "link", "set", "w", "name", "v")
        host.run("ip", "link", "set", "v", "up")
        await eventually_async(
            lambda: (told["w"], told.get("v")) == (Cable.GONE, Cable.UP), 60, f"renamed: {told}"
        )
        host.run("ip", "link", "del", "v")
        await eventually_async(lambda: told["v"] is Cable.GONE, 60, f"deleted: {told}")


async def test_what_was_too_much_to_hear_is_looked_at(spaces: Spaces, tmp_path: Path) -> None:
    host = spaces.make("host")
    host.run("ip", "link", "add", "w", "up", "type", "veth", "peer", "name", "x")
    host.run("ip", "link", "set", "x", "up")
    async with heard(host) as told:
        await eventually_async(lambda: told.get("w") is Cable.UP, 60, f"at the start: {told}")
        turns = "link set x down\nlink set x up\n" * TURNS
        batch = tmp_path / "batch"
        batch.write_text(turns + "link set x down\nlink add late up type bridge\n")
        host.run("ip", "-batch", str(batch))  # nobody listens meanwhile
        await eventually_async(
            lambda: told["w"] is Cable.DOWN and "late" in told, 60, "the last is told"
        )


async def test_where_links_swarm_all_that_is_heard_is_told(spaces: Spaces) -> None:
    """The kernel's list changes faster than it can be read, and no descriptor is left for it."""
    host = spaces.make("host")
    host.run("ip", "link", "add", "w", "up", "type", "veth", "peer", "name", "x")
    host.run("ip", "link", "set", "x", "up")
    refusals: list[Exception] = [
        errors.Unavailable("the kernel's list (type 18) changes faster than it is read"),
        OSError(errno.EMFILE, "too many open files"),
    ]
    goes_on = threading.Event()

    def dump() -> carriers.Messages:
        if not goes_on.is_set():
            raise refusals[0 if len(asked) % 2 else 1]
        return carriers.dumped()

    asked: list[str] = []
    async with heard(host, dump) as told:
        for state, cable in (("down", Cable.DOWN), ("up", Cable.UP)):
            await eventually_async(
                lambda: _put(host, state, asked) and told.get("w") is cable,  # noqa: B023 - awaited
                60,
                f"{state}: {told}",
            )
        assert "lo" not in told
        goes_on.set()
        await eventually_async(lambda: "lo" in told, 60, "all are looked at in the end")


def _put(host: Space, state: str, asked: list[str]) -> bool:
    """Again and again: what comes before anybody listens is not heard."""
    asked.append(state)
    host.run("ip", "link", "set", "x", {"up": "down", "down": "up"}[state])
    host.run("ip", "link", "set", "x", state)
    return True


async def test_who_begins_anew_tells_of_what_is_gone_since(spaces: Spaces) -> None:
    host, links = spaces.make("host"), carriers.Links()
    host.run("ip", "link", "add", "w", "up", "type", "veth", "peer", "name", "x")
    told: dict[str, Cable] = {}
    with contextlib.closing(namespaces.Namespaces()) as doors:
        for wanted in (Cable.DOWN, Cable.GONE):
            async with asyncio.TaskGroup() as group:
                following = carriers.follow(
                    doors, told.update, f"/run/netns/{host.name}", links=links
                )
                ear = group.create_task(following, name="ear")
                await eventually_async(lambda: told.get("w") is wanted, 60, f"told: {told}")  # noqa: B023 - awaited
                ear.cancel()
            host.run("ip", "link", "del", "w", check=False)
