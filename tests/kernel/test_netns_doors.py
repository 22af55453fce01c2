"""Namespaces, netlink and libnftables against the running kernel, in scratch namespaces."""

import asyncio
import errno
import os
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Awaitable, Iterator
from pathlib import Path

import pytest

from sdd import errors, fence
from sdd.linux import namespaces, netlink, nft
from tests import support

pytestmark = pytest.mark.kernel

NEWLINK, GETLINK = 16, 18
ANY_LINK = bytes(16)


@pytest.fixture
def doors() -> Iterator[namespaces.Namespaces]:
    opened = namespaces.Namespaces()
    yield opened
    opened.close()


@pytest.fixture
async def scratch(doors: namespaces.Namespaces, tmp_path: Path) -> str:
    path = str(tmp_path / "deep" / "t-netns-doors")
    await doors.create(path)
    return path


@pytest.fixture(autouse=True)
def _swept(tmp_path: Path) -> Iterator[None]:
    yield
    for each in tmp_path.rglob("t-netns-*"):
        subprocess.run(["umount", "-l", each], check=False, capture_output=True)


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def bridge(name: str) -> netlink.Message:
    body = ANY_LINK + netlink.text(3, name) + netlink.nested(18, netlink.text(1, "bridge"))
    return netlink.Message(NEWLINK, netlink.CREATE | netlink.EXCL, body)


async def test_a_made_namespace_holds_lo_only_and_is_not_ours(
    doors: namespaces.Namespaces, scratch: str
) -> None:
    assert namespaces.inode(scratch) not in (0, namespaces.inode("/proc/self/ns/net"))
    assert await doors.interfaces(scratch) == ("lo",)


def test_a_namespace_is_not_gone_because_no_more_files_may_be_open(
    doors: namespaces.Namespaces, tmp_path: Path
) -> None:
    path = str(tmp_path / "t-netns-few")
    doors.create_sync(path)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))  # of all that is open nothing is closed
    try:
        with pytest.raises(errors.KernelRefused, match="too many open files") as caught:
            doors.run_sync(path, lambda: None)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert caught.value.code == "SDD-NETNS-LIMIT"
    assert doors.run_sync(path, lambda: namespaces.inode(namespaces.OWN)) == namespaces.inode(path)


async def test_lo_is_up_from_the_start(doors: namespaces.Namespaces, scratch: str) -> None:
    def answered() -> bytes:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            one.bind(("127.0.0.1", 0))
            one.sendto(b"x", one.getsockname())
            return one.recv(1)

    assert await doors.run(scratch, answered) == b"x"


async def test_making_it_again_keeps_it(doors: namespaces.Namespaces, scratch: str) -> None:
    before = namespaces.inode(scratch)
    assert await doors.create(scratch) == before


async def test_a_plain_file_left_by_a_crash_is_mounted_over(
    doors: namespaces.Namespaces, tmp_path: Path
) -> None:
    path = tmp_path / "t-netns-crash"
    path.touch()
    assert await doors.create(str(path)) == namespaces.inode(str(path)) != 0
    await doors.delete(str(path))


def test_a_pipe_in_the_place_of_a_namespace_keeps_no_thread(
    doors: namespaces.Namespaces, tmp_path: Path
) -> None:
    """There are two of them, and all work on the kernel is theirs."""
    pipe = tmp_path / "t-netns-pipe"
    os.mkfifo(pipe)
    with pytest.raises(errors.NotFound):
        support.at_once(lambda: doors.run_sync(str(pipe), lambda: None))
    assert support.at_once(lambda: doors.create_sync(str(pipe)))


async def test_deleting_twice_is_fine_and_leaves_no_file(
    doors: namespaces.Namespaces, scratch: str
) -> None:
    await doors.delete(scratch)
    await doors.delete(scratch)
    assert not Path(scratch).exists()
    assert scratch not in Path("/proc/self/mountinfo").read_text()


async def test_the_thread_is_home_again_after_an_error(
    doors: namespaces.Namespaces, scratch: str
) -> None:
    def fail() -> None:
        raise ValueError("inside")

    def here() -> int:
        return namespaces.inode(namespaces.OWN)

    for _ in range(namespaces.WORKERS * 2):
        with pytest.raises(ValueError, match="inside"):
            await doors.run(scratch, fail)
        assert await doors.run("", here) == here()


async def test_runs_nest_without_waiting_for_another_thread(scratch: str) -> None:
    one = namespaces.Namespaces(workers=1)
    inner = await one.run(
        "", lambda: one.run_sync(scratch, lambda: namespaces.inode(namespaces.OWN))
    )
    one.close()
    assert inner == namespaces.inode(scratch)


async def test_a_scratch_namespace_plays_the_host(scratch: str) -> None:
    inside = namespaces.Namespaces(scratch)
    assert await inside.interfaces("") == ("lo",)
    inside.close()


async def test_a_socket_stays_where_it_was_opened(
    doors: namespaces.Namespaces, scratch: str
) -> None:
    with await doors.run(scratch, lambda: netlink.Connection(netlink.ROUTE)) as connection:
        replies = connection.dump(GETLINK, ANY_LINK)
    assert [netlink.to_text(netlink.attributes(each.body[16:])[3]) for each in replies] == ["lo"]


async def test_C32_a_batch_goes_on_after_an_error_and_names_the_culprit(
    doors: namespaces.Namespaces, scratch: str
) -> None:
    names = [f"d{number}" for number in range(70)]
    names[10] = "d0"
    with await doors.run(scratch, lambda: netlink.Connection(netlink.ROUTE)) as connection:
        results = connection.request(map(bridge, names))
    wrong = [number for number, result in enumerate(results) if result.error]
    assert (len(results), wrong) == (70, [10])
    assert results[10].error == errno.EEXIST
    assert len(await doors.interfaces(scratch)) == 70


async def test_a_long_dump_is_read_to_its_end(doors: namespaces.Namespaces, scratch: str) -> None:
    with await doors.run(scratch, lambda: netlink.Connection(netlink.ROUTE)) as connection:
        connection.request(bridge(f"d{number}") for number in range(60))
        assert len(connection.dump(GETLINK, ANY_LINK)) == 61


async def test_a_refused_dump_is_one_error(doors: namespaces.Namespaces, scratch: str) -> None:
    with (
        await doors.run(scratch, lambda: netlink.Connection(netlink.GENERIC)) as connection,
        pytest.raises(errors.KernelRefused, match="refuses to list"),
    ):
        connection.dump(0xFFFF, bytes(4))


async def test_nft_changes_its_own_namespace_only(
    doors: namespaces.Namespaces, scratch: str, tmp_path: Path
) -> None:
    other = str(tmp_path / "t-netns-other")
    await doors.create(other)
    with await doors.run(scratch, nft.Nft) as here, await doors.run(other, nft.Nft) as there:
        here.run("add table inet sdd-test")
        names = [each["table"]["name"] for each in here.json("list tables")["nftables"][1:]]
        assert names == ["sdd-test"]
        assert there.json("list tables")["nftables"][1:] == []
    await doors.delete(other)


async def test_C35_a_wrong_rule_leaves_nothing_of_its_buffer(
    doors: namespaces.Namespaces, scratch: str
) -> None:
    with await doors.run(scratch, nft.Nft) as rules:
        with pytest.raises(errors.KernelRefused, match=r"nft refuses: .*No such file"):
            rules.run("add table inet sdd-test\nadd rule inet sdd-test absent accept")
        assert rules.json("list tables")["nftables"][1:] == []
        rules.run("add table inet sdd-test")


def test_without_a_low_descriptor_nft_is_refused_and_never_aborts() -> None:
    """libnftables ends the process when select(2) cannot take its descriptor."""
    done = subprocess.run(
        ["unshare", "--net", sys.executable, "-c", MANY_FILES],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    refused, listed = done.stdout.splitlines()
    assert refused.endswith("the lowest free descriptor is 960")
    assert listed == "[]"


MANY_FILES = """
import os, resource
from sdd import errors
from sdd.linux import nft
most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
while os.open(os.devnull, os.O_RDONLY) < 959:
    pass
try:
    nft.Nft()
except errors.Exhausted as exc:
    print(exc.sentence)
os.close(958)
with nft.Nft() as rules:
    print(rules.json("list tables")["nftables"][1:])
"""


async def test_the_generation_moves_with_every_transaction_of_anyone(
    doors: namespaces.Namespaces, scratch: str
) -> None:
    with (
        await doors.run(scratch, lambda: netlink.Connection(netlink.NETFILTER)) as connection,
        await doors.run(scratch, nft.Nft) as rules,
    ):
        first = nft.generation(connection)
        assert nft.generation(connection) == first
        rules.run("add table inet sdd-test")
        assert nft.generation(connection) != first


async def test_a_closed_context_is_a_defect_not_a_crash(
    doors: namespaces.Namespaces, scratch: str
) -> None:
    rules = await doors.run(scratch, nft.Nft)
    rules.close()
    rules.close()
    with pytest.raises(errors.Defect):
        rules.run("list tables")


async def test_many_sockets_leave_no_descriptor_behind(
    doors: namespaces.Namespaces, scratch: str
) -> None:
    def bound() -> int:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            return probe.fileno()

    await doors.run(scratch, bound)
    before = descriptors()
    for _ in range(50):
        await doors.run(scratch, bound)
    assert descriptors() <= before  # fewer: earlier sockets are closed a moment later


async def test_work_of_a_pass_that_was_given_up_changes_nothing_inside(
    doors: namespaces.Namespaces, scratch: str
) -> None:
    """It hangs in a namespace until the next pass has been there."""
    passes, hangs, goes_on = fence.Fence(), threading.Event(), threading.Event()

    def make(name: str) -> None:
        with netlink.Connection(netlink.ROUTE) as connection:
            connection.request((bridge(name),))

    def stale() -> None:
        hangs.set()
        assert goes_on.wait(60)
        make("t-stale")

    async with asyncio.TaskGroup() as tasks:
        with passes.term():
            given_up = tasks.create_task(refused(doors.run(scratch, stale)), name="stale")
            await asyncio.to_thread(hangs.wait, 60)
        with passes.term():
            await doors.run(scratch, lambda: make("t-next"))
            goes_on.set()
            assert (await given_up).code == fence.STALE
    assert await doors.interfaces(scratch) == ("lo", "t-next")


async def refused(work: Awaitable[None]) -> errors.Unavailable:
    with pytest.raises(errors.Unavailable) as caught:
        await work
    return caught.value
