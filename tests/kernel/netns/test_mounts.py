"""That a named namespace lost its file is heard at once, also while a program holds it."""

import asyncio
import subprocess

import pytest

from netns.kernel import mounts
from sdd.linux import namespaces
from sdd.model.look import Look
from tests.kernel.netns.conftest import Host
from tests.support import eventually_async, run

pytestmark = pytest.mark.kernel

HOLD = ("sh", "-c", "read never")  # until its input ends


async def test_a_namespace_that_loses_its_file_is_told_while_it_is_held(host: Host) -> None:
    lost, stays, absent = (
        str(host.root / f"t-netns-{name}") for name in ("lost", "stays", "absent")
    )
    for path in (lost, stays):
        await host.doors.create(path)
    looks: list[Look] = []
    expected: list[Look] = []
    asked: list[None] = []

    def paths() -> list[str]:
        asked.append(None)
        return [lost, stays, absent]

    command = ["nsenter", f"--net={lost}", *HOLD]
    async with asyncio.TaskGroup() as group:
        with subprocess.Popen(command, stdin=subprocess.PIPE) as holder:  # noqa: ASYNC220 - it starts at once, and ends with its input
            held, inode = f"/proc/{holder.pid}/ns/net", namespaces.inode(lost)
            await eventually_async(lambda: namespaces.inode(held) == inode, 30, "it is held")
            task = group.create_task(mounts.follow(paths, looks.append), name="mounts")
            await _seen(host, asked)
            for _ in range(3):
                run("umount", lost)
                expected.append(Look(spaces=frozenset({lost})))
                await eventually_async(lambda: looks == expected, 30, "it is told")
                run("mount", "--bind", held, lost)
                await _seen(host, asked)
            task.cancel()
    assert looks == expected


async def _seen(host: Host, asked: list[None]) -> None:
    """Whoever asks for the second time has looked since we came."""
    other = str(host.root / "t-netns-other-mount")
    for _ in range(2):
        asked.clear()
        await host.doors.create(other)
        await host.doors.delete(other)
        await eventually_async(lambda: asked, 30, "it is looked at")


async def test_another_namespace_in_the_place_of_one_is_told(host: Host) -> None:
    path, other = (str(host.root / f"t-netns-{name}") for name in ("one", "other"))
    for each in (path, other):
        await host.doors.create(each)
    looks: list[Look] = []
    asked: list[None] = []

    def paths() -> list[str]:
        asked.append(None)
        return [path]

    async with asyncio.TaskGroup() as group:
        task = group.create_task(mounts.follow(paths, looks.append), name="mounts")
        await eventually_async(lambda: asked, 30, "it begins to look")
        await host.doors.create(str(host.root / "t-netns-third"))
        await eventually_async(lambda: len(asked) > 1, 30, "it has looked")
        run("mount", "--bind", other, path)
        await eventually_async(lambda: looks, 30, "it is told")
        run("umount", path)
        await eventually_async(lambda: len(looks) == 2, 30, "and that the first one is back")
        task.cancel()
    assert looks == [Look(spaces=frozenset({path}))] * 2
