"""Checks that run a command: where, as whom, for how long, and what is left of them."""

import asyncio
import contextlib
import gc
import os
import time
from ipaddress import ip_address
from pathlib import Path

import pytest

from lb.checks import Check
from lb.dial import Result, dial
from lb.unmade import Unmade
from sdd.model import ids
from sdd.model.service import CheckKind, HealthCheck
from tests import support
from tests.kernel.spaces import Spaces

pytestmark = pytest.mark.kernel

PATIENT_S = 60.0
HASTY_S = 0.3
SLEPT_S = 300


@pytest.fixture
def inside(spaces: Spaces) -> str:
    return spaces.make("exec").path


async def result(inside: str, command: str, timeout_s: float = PATIENT_S) -> Result:
    """Of a command that was begun: on a busy machine it may take several tries."""
    while not isinstance(found := await tried(inside, command, timeout_s), Result):
        assert "was not begun within" in found.reason
    return found


async def tried(inside: str, command: str, timeout_s: float = PATIENT_S) -> Result | Unmade:
    how = HealthCheck(kind=CheckKind.EXEC, command=command, timeout_s=timeout_s)
    check = Check(
        service=ids.ServiceId("web"),
        endpoint=ids.EndpointId("one"),
        address=ip_address("10.0.0.7"),
        how=how,
        joined=0.0,
        inside=inside,
    )
    return await dial(check)


@pytest.mark.parametrize(
    ("command", "passed", "reason"),
    [
        ("true", True, "exit status 0"),
        ("echo fine; echo more", True, "fine"),
        ("echo oops >&2; exit 3", False, "exit status 3: oops"),
        ("kill -9 $$", False, "signal 9: Killed"),
        ("no-such-program", False, "exit status 127: sh: 1: no-such-program: not found"),
        ("printf 'a\\033[31mb'", True, "a?[31mb"),
        ("echo $SDD_ADDRESS", True, "10.0.0.7"),
        ("read line; echo end of input", True, "end of input"),
    ],
)
async def test_the_exit_status_and_the_first_line_are_the_result(
    inside: str, command: str, passed: bool, reason: str
) -> None:
    assert await result(inside, command) == Result(passed=passed, reason=reason)


async def test_it_runs_in_the_members_namespace_as_nobody_without_any_right(inside: str) -> None:
    there = await result(inside, "readlink /proc/self/ns/net")
    assert there.reason == f"net:[{Path(inside).stat().st_ino}]"
    assert (await result(inside, "id -u; id -g; id -G")).reason == "65534"
    rights = await result(inside, "grep -c '^Cap...:.*[1-9a-f]' /proc/self/status")
    assert rights == Result(passed=False, reason="exit status 1: 0")
    assert not (await result(inside, "ip link set lo down")).passed


async def test_what_takes_too_long_is_killed_with_all_it_started(
    inside: str, tmp_path: Path
) -> None:
    began = public(tmp_path) / "began"
    slow = f"sleep {SLEPT_S} & mkdir {began}; sleep {SLEPT_S + 1}"
    before = time.monotonic()
    while not began.exists():  # on a busy machine it may be killed before it came so far
        assert await result(inside, slow, HASTY_S) == Result(
            passed=False, reason=f"no answer within {HASTY_S:g} s"
        )
    assert time.monotonic() - before < SLEPT_S, "nobody waits for what it started"
    support.eventually(lambda: not sleeping(SLEPT_S), PATIENT_S, "the child is dead too")


async def test_a_child_that_stays_behind_ends_with_the_command(inside: str) -> None:
    assert (await result(inside, "sleep 302 & echo $!")).passed
    found = await result(inside, "pgrep -x -f 'sleep 302'")
    assert found.reason == "exit status 1"


async def test_a_child_with_a_session_of_its_own_ends_with_the_command(inside: str) -> None:
    assert (await result(inside, "setsid sleep 303 >/dev/null 2>&1 & sleep 0.1; echo ok")).passed
    found = await result(inside, "pgrep -x -f 'sleep 303'")
    assert found.reason == "exit status 1"
    slow = "setsid sleep 304 >/dev/null 2>&1 & sleep 305"
    assert not (await result(inside, slow, HASTY_S)).passed
    gone = "! pgrep -x -f 'sleep 30[45]'"
    async with asyncio.timeout(PATIENT_S):
        while not (await result(inside, gone)).passed:  # noqa: ASYNC110 - the kernel tells nobody
            await asyncio.sleep(0.02)


async def test_a_flood_of_words_is_cut(inside: str) -> None:
    found = await result(inside, "head -c 10000000 /dev/zero | tr '\\0' x; exit 1")
    assert found.reason == "exit status 1: " + 200 * "x"


async def test_a_namespace_that_is_gone_is_a_failure() -> None:
    gone = Result(passed=False, reason="there is no network namespace at '/nowhere'")
    assert await result("/nowhere", "true") == gone


async def test_a_command_that_could_not_be_begun_tells_nothing(inside: str) -> None:
    """Not the command failed, but those who were to begin it."""
    found = await tried("/proc/self/ns/mnt", "true")
    assert isinstance(found, Unmade)
    assert found.reason.startswith("the command was not begun: nsenter: ")
    late = await tried(inside, "true", 1e-4)
    assert late == Unmade("the command was not begun within 0.0001 s")
    with support.room_for(0):
        assert await tried(inside, "true") == Unmade("too many open files")


async def test_a_flood_that_cannot_be_dropped_tells_nothing(inside: str, tmp_path: Path) -> None:
    begun, go_on = public(tmp_path) / "begun", tmp_path / "go-on"
    waits = f"mkdir {begun}; until [ -e {go_on} ]; do sleep 0.01; done; yes"
    flood = asyncio.ensure_future(tried(inside, waits))  # noqa: TID251 - awaited below
    await support.eventually_async(begun.exists, PATIENT_S, "the command runs")
    with support.room_for(0):
        go_on.mkdir()  # that takes no descriptor
        assert await flood == Unmade("too many open files")


async def test_fifty_at_once_leave_no_descriptor(inside: str) -> None:
    gc.collect()  # what others have dropped would be missed later
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - counted only
    found = await asyncio.gather(*(result(inside, "echo ok") for _ in range(50)))
    assert {each.reason for each in found} == {"ok"}
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - counted only


def public(folder: Path) -> Path:
    """Where a command, which is nobody, may write."""
    folder.chmod(0o777)
    for each in folder.parents[:2]:
        each.chmod(0o755)
    return folder


def sleeping(for_s: int) -> bool:
    """Whether anybody here or in a pid namespace below sleeps so long."""
    words = f"sleep\0{for_s}\0"
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it ended
            if each.read_text() == words:
                return True
    return False
