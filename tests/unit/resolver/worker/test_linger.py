"""A worker that nobody needs ends; one that is needed or led never does."""

import asyncio
import socket
from pathlib import Path

import pytest

from resolver.worker import linger

SOON_S = 0.001


def _door(path: Path) -> linger.Door:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as one:
        one.bind(str(path))
        return linger.door_of(one, None)


def test_a_door_is_gone_when_its_file_is_removed_or_replaced(tmp_path: Path) -> None:
    first = _door(tmp_path / "dns.sock")
    assert not first.is_gone()
    (tmp_path / "dns.sock").unlink()
    assert first.is_gone()
    second = _door(tmp_path / "dns.sock")
    _door(tmp_path / "other").is_gone()
    (tmp_path / "other").rename(tmp_path / "dns.sock")
    assert second.is_gone()


def test_a_door_that_nobody_may_see_is_never_gone(tmp_path: Path) -> None:
    assert not linger.Door(tmp_path / "nothing").is_gone()
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with left, right:
        assert not linger.door_of(left, None).is_gone()


@pytest.mark.parametrize("is_needed", [False, True])
@pytest.mark.parametrize("is_removed", [False, True])
async def test_it_leaves_when_alone_and_needless_or_unreachable(
    tmp_path: Path, *, is_needed: bool, is_removed: bool
) -> None:
    looked, left = asyncio.Event(), asyncio.Event()

    def served() -> bool:
        looked.set()
        return is_needed

    one = linger.Linger(_door(tmp_path / "dns.sock"), served, left.set, SOON_S)
    if is_removed:
        (tmp_path / "dns.sock").unlink()
    one.alone()
    async with asyncio.timeout(60):
        await (left if is_removed or not is_needed else looked).wait()
    assert left.is_set() == (is_removed or not is_needed)
    one.accompanied()


async def test_it_never_leaves_while_somebody_is_connected(tmp_path: Path) -> None:
    left = asyncio.Event()
    one = linger.Linger(_door(tmp_path / "dns.sock"), lambda: False, left.set, SOON_S)
    one.alone()
    one.accompanied()
    later = asyncio.Event()
    asyncio.get_running_loop().call_later(SOON_S * 20, later.set)
    await later.wait()
    assert not left.is_set()
