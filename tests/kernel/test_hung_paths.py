"""A path of others that leads into a file system that hangs takes no thread from anybody."""

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Never

import pytest

from lb import dial
from lb.checks import Check
from lb.unmade import Unmade
from sdd.linux import guests, lookups, namespaces, sight, walk
from sdd.model import ids
from sdd.model.service import CheckKind, HealthCheck
from tests import support
from tests.automount import automount
from tests.hung import Hung, hung
from tests.kernel.spaces import Space, Spaces
from tests.support import eventually, eventually_async

pytestmark = pytest.mark.kernel

TRIES = 5
LATE_S = 60  # only what hangs comes so late


@pytest.fixture
def away(tmp_path: Path) -> Iterator[Hung]:
    with hung(tmp_path / "away") as made:
        yield made


@pytest.fixture
def box(spaces: Spaces) -> Space:
    return spaces.make("fine")


@pytest.fixture
def one() -> Iterator[namespaces.Namespaces]:
    """With one thread: who loses it loses everything."""
    with contextlib.closing(namespaces.Namespaces(workers=1)) as made:
        yield made


def lead(path: Path, to: str | Path) -> str:
    draft = path.with_name("draft")
    draft.symlink_to(to)
    draft.replace(path)
    return str(path)


def lookers() -> int:
    return sum(each.name == "lookup" for each in threading.enumerate())


async def test_work_elsewhere_goes_on(
    tmp_path: Path, box: Space, one: namespaces.Namespaces
) -> None:
    for number in range(TRIES):
        with hung(tmp_path / f"away{number}") as away:
            if await _goes_on(away, box, one):
                await _is_known_to_hang(str(away.file), one)
                return
    pytest.fail("work elsewhere waited for those who went there, each time")


async def _goes_on(away: Hung, box: Space, one: namespaces.Namespaces) -> bool:
    """Whether work elsewhere is done before those who went there give up: unless we are stopped."""
    async with asyncio.timeout(LATE_S), asyncio.TaskGroup() as tasks:
        entering = [
            tasks.create_task(_refused(one, str(away.file)), name=f"enter {number}")
            for number in range(3)
        ]
        await eventually_async(lambda: away.asked, LATE_S, "somebody went there")
        assert "lo" in await one.interfaces(box.path)
        return not any(each.done() for each in entering)


async def _is_known_to_hang(path: str, one: namespaces.Namespaces) -> None:
    """Who asks again goes there no more: else one more would be stuck."""
    before = lookers()
    await _refused(one, path)
    with pytest.raises(lookups.Hangs):
        await namespaces.wait_inode(path)
    with pytest.raises(lookups.Hangs):
        one.run_sync(path, lambda: None)
    with pytest.raises(lookups.Hangs):
        namespaces.inode(path)
    assert namespaces.hold(path) is None
    eventually(lambda: lookers() <= before, LATE_S, "nobody more is stuck")


async def _refused(doors: namespaces.Namespaces, path: str) -> None:
    with pytest.raises(lookups.Hangs) as caught:
        await doors.run(path, lambda: None)
    assert caught.value.code == "SDD-NETNS-HANGS"


async def test_a_path_that_is_mended_is_a_namespace_again(
    away: Hung, box: Space, one: namespaces.Namespaces, tmp_path: Path
) -> None:
    path = lead(tmp_path / "link", away.file)
    await _refused(one, path)
    lead(tmp_path / "link", box.path)
    assert namespaces.inode(path) == Path(box.path).stat().st_ino, "known by heart"
    assert "lo" in await one.interfaces(path)
    lead(tmp_path / "link", away.file)
    away.end()
    await asyncio.to_thread(
        eventually, lambda: not is_hanging(path), LATE_S, "they hear that it ended"
    )
    assert namespaces.inode(path) == 0


def is_hanging(path: str) -> bool:
    try:
        namespaces.inode(path)
    except lookups.Hangs:
        return True
    return False


def test_many_paths_into_one_file_system_keep_a_few_threads(away: Hung) -> None:
    paths = [str(away.path / f"file{number}") for number in range(40)]
    lookups.ALL.begin(paths)
    assert all(map(is_hanging, paths))
    assert all(map(is_hanging, paths))
    eventually(lambda: lookers() <= walk.EACH, LATE_S, "all others gave up")
    assert away.asked <= walk.EACH


def test_a_path_that_leads_around_a_hung_file_system_is_there_at_once(
    away: Hung,
) -> None:
    assert is_hanging(str(away.file))
    support.run("umount", "-l", str(away.path))
    away.file.write_text("")
    eventually(lambda: not is_hanging(str(away.file)), LATE_S, "it is there")
    assert lookers() > 0, "who went there before is stuck for ever"


def test_who_waits_for_a_mount_keeps_nobody_from_the_file_system_below(tmp_path: Path) -> None:
    before, many = lookers(), range(10 * walk.EACH)
    for number in many:
        (tmp_path / f"fine{number}").write_text("")
    with automount(tmp_path / "share") as share:
        one = lookups.Lookups(patience_s=0.2, at_once=lambda _: None)
        paths = [str(share / f"file{number}") for number in many]
        for _ in range(2):
            one.begin(paths)
            for path in paths:
                with pytest.raises(lookups.Hangs):
                    one.find(path)
            for number in many:
                assert found(one, tmp_path / f"fine{number}").inode == 0
            with pytest.raises(FileNotFoundError):
                found(one, tmp_path / "none")
        eventually(lambda: lookers() <= before + 3 * walk.EACH, LATE_S, "all others gave up")
    eventually(lambda: lookers() <= before, LATE_S, "they hear that it ended")


def found(one: lookups.Lookups, path: Path) -> lookups.Found:
    """What is there, though we may be stopped for longer than `one` is patient."""
    for _ in range(TRIES):
        with contextlib.suppress(lookups.Hangs):
            return one.find(str(path))
    pytest.fail(f"{path} hangs, each time")


def test_a_namespace_is_there_by_another_proc(box: Space, tmp_path: Path) -> None:
    """As a container's own, in which its processes are."""
    other = tmp_path / "proc"
    other.mkdir()
    support.run("mount", "-t", "proc", "proc", str(other))
    try:
        assert other.stat().st_dev != Path("/proc").stat().st_dev
        path, wanted = str(other / f"{os.getpid()}/ns/net"), Path(lookups.OWN).stat().st_ino
        by_root = f"{other}/{os.getpid()}/root{box.path}"
        assert namespaces.inode(path) == wanted
        assert namespaces.inode(by_root) == Path(box.path).stat().st_ino
        assert sight.Sight().lost({(path, wanted)}) == frozenset()
        entry = walk.Walks(1).open(path)
        os.close(entry.descriptor)
        assert entry.known.inode == wanted
    finally:
        support.run("umount", str(other))


def test_what_the_kernel_finds_is_there_whatever_a_walk_says(box: Space) -> None:
    """An adopted sandbox whose namespace is gone is removed."""

    class Lost(walk.Walks):
        def open(self, path: str) -> Never:
            raise FileNotFoundError(path)

    assert lookups.look(box.path, Lost(1)).inode == Path(box.path).stat().st_ino


def test_who_went_to_a_path_that_hangs_is_not_forgotten_and_not_lost(
    away: Hung, box: Space, tmp_path: Path
) -> None:
    path, inode = lead(tmp_path / "link", box.path), namespaces.inode(box.path)
    been, eye = guests.Guests(tmp_path / "been"), sight.Sight()
    been.enter(path)
    lead(tmp_path / "link", away.file)
    assert been.missing() == {}
    assert been.read() == been.look() == {path: inode}
    assert eye.lost({(path, inode)}) == frozenset()
    assert eye.places((path, box.path)) == {(box.path, inode)}


async def test_a_check_of_one_is_no_check_of_others(
    away: Hung, box: Space, one: namespaces.Namespaces
) -> None:
    """Neither of those that are made inside, nor what silence means to UDP."""
    fine = Check(
        service=ids.ServiceId("web"),
        endpoint=ids.EndpointId("one"),
        address=ip_address("127.0.0.1"),
        how=HealthCheck(kind=CheckKind.TCP, port=9, timeout_s=0.5),
        joined=0.0,
        inside=box.path,
    )
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        udp = replace(fine.how, kind=CheckKind.UDP, port=silent.getsockname()[1])
        run = replace(fine.how, kind=CheckKind.EXEC, command="true")
        there = str(away.file)
        odd = (
            replace(fine, inside=there, home=there),
            replace(fine, inside=there, home=there, how=run),
            replace(fine, inside="", home=there, how=udp),
        )
        dialled = dial.through(one)
        async with asyncio.timeout(LATE_S), asyncio.TaskGroup() as tasks:
            going = [
                tasks.create_task(dialled(each), name=f"check {each.how.kind}") for each in odd
            ]
            await eventually_async(lambda: away.asked, LATE_S, "somebody went there")
            for _ in range(3):
                result = await dialled(fine)
                assert result.reason == "connection refused"
    assert all(isinstance(each.result(), Unmade) for each in going)
