"""A path that hangs keeps one thread and nobody else."""

import asyncio
import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdd import errors
from sdd.linux import lookups
from tests.support import eventually

ALIKE = 4


def found(number: int) -> lookups.Found:
    return lookups.Found(lookups.nsfs(), number, OSError(errno.EMFILE, "no room"))


class Host:
    """Paths that hang until they are `mended`."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.mended = threading.Event()

    def ask(self, path: str) -> lookups.Found:
        self.asked.append(path)
        if path.startswith("/hangs"):
            assert self.mended.wait(90)
        if path.startswith("/fails"):
            number = getattr(errno, path.rpartition("/")[2])
            raise OSError(number, os.strerror(number), path)
        return found(len(self.asked))

    def lookups(self, patience_s: float = 0.02, most: int = ALIKE) -> lookups.Lookups:
        """Of which nothing is known by heart."""
        return lookups.Lookups(self.ask, at_once=lambda _: None, patience_s=patience_s, most=most)


@pytest.fixture
def host() -> Iterator[Host]:
    made = Host()
    yield made
    made.mended.set()


async def test_a_path_is_asked_for_each_time(host: Host) -> None:
    one = host.lookups(patience_s=60)
    assert [(await one.wait_found("/a")).inode, one.find("/a").inode] == [1, 2]


async def test_what_is_known_by_heart_takes_no_thread(host: Host) -> None:
    one = lookups.Lookups(host.ask, at_once=lambda path: found(len(path)))
    one.begin(("/hangs",))
    assert [one.find("/abc").inode, (await one.wait_found("/a")).inode] == [4, 2]
    assert host.asked == []


@pytest.mark.parametrize("number", ["ENOENT", "ENOTDIR", "ESRCH", "EMFILE"])
async def test_what_a_look_meets_is_raised_where_it_was_asked_for(host: Host, number: str) -> None:
    one, path = host.lookups(patience_s=60), f"/fails/{number}"
    for waited in (asyncio.to_thread(one.find, path), one.wait_found(path)):
        with pytest.raises(OSError, match=path) as raised:
            await waited
        assert raised.value.errno == getattr(errno, number)


@pytest.mark.parametrize("number", ["ENOTCONN", "EIO", "ESTALE", "EACCES", "ELOOP"])
async def test_a_look_that_fails_on_the_way_proves_nothing(host: Host, number: str) -> None:
    one, path = host.lookups(patience_s=60), f"/fails/{number}"
    why = os.strerror(getattr(errno, number)).lower()
    for waited in (asyncio.to_thread(one.find, path), one.wait_found(path)):
        with pytest.raises(lookups.Hangs, match=f"where '{path}' leads: {why}"):
            await waited
    known = lookups.Lookups(at_once=host.ask)
    with pytest.raises(lookups.Hangs, match=why):
        known.find(path)


def test_a_look_that_cannot_begin_is_nobody_s_answer(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    one = host.lookups(patience_s=60)
    with monkeypatch.context() as scarce:
        scarce.setattr(threading.Thread, "start", refused)
        for _ in range(2):
            with pytest.raises(RuntimeError):
                one.find("/a")
    assert one.find("/a").inode == 1


async def test_who_asks_for_a_path_that_hangs_hears_so_and_all_share_one_thread(
    host: Host,
) -> None:
    one = host.lookups(patience_s=0.2)
    results = await asyncio.gather(
        *(one.wait_found("/hangs") for _ in range(3)), return_exceptions=True
    )
    for each in results:
        assert isinstance(each, errors.Unavailable)
        assert "'/hangs'" in each.sentence
        assert each.code == "SDD-NETNS-HANGS"
    eventually(lambda: host.asked, 60, "somebody went there")
    assert host.asked == ["/hangs"]


def test_a_look_that_is_stuck_says_nothing_of_the_next_one(host: Host) -> None:
    """The path may lead elsewhere by now."""
    one = host.lookups(patience_s=0.02)
    for count in (1, 2):
        with pytest.raises(lookups.Hangs):
            one.find("/hangs")
        eventually(lambda: host.asked == ["/hangs"] * count, 60, "somebody went there")  # noqa: B023 - called at once
    host.mended.set()
    eventually(lambda: not any(each.name == "lookup" for each in threading.enumerate()), 60, "over")


async def test_others_wait_for_no_path_that_hangs(host: Host) -> None:
    one = host.lookups(patience_s=60)
    one.begin(("/hangs",))
    assert (await one.wait_found("/fine")).inode
    assert one.find("/fine").inode


def test_those_that_were_begun_together_are_waited_for_together(host: Host) -> None:
    one = host.lookups(patience_s=60)
    paths = tuple(f"/hangs{n}" for n in range(ALIKE))
    one.begin(paths)
    eventually(lambda: set(host.asked) == set(paths), 60, "all are looked for")
    host.mended.set()
    assert all(one.find(path).inode for path in paths)


async def test_a_path_that_was_mended_is_asked_anew(host: Host) -> None:
    one = host.lookups(patience_s=60)
    async with asyncio.TaskGroup() as tasks:
        asking = [tasks.create_task(one.wait_found("/hangs"), name=f"ask {n}") for n in range(2)]
        given_up = tasks.create_task(one.wait_found("/hangs"), name="given up")
        await asyncio.sleep(0)
        given_up.cancel()  # takes the look from nobody else
        host.mended.set()
    assert [each.result().inode for each in asking] == [1, 1]
    assert (await one.wait_found("/hangs")).inode == 2


STOPPED = """
import asyncio, os, signal, sys, time
from sdd.linux import lookups

def ask(path):
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(0.3)  # and has not ended when it goes on
    return lookups.Found(lookups.nsfs(), 7, OSError())

one = lookups.Lookups(ask, at_once=lambda _: None, patience_s=float(sys.argv[1]))
find = {"find": one.find, "wait_found": lambda path: asyncio.run(one.wait_found(path))}
print(find[sys.argv[2]]("/away").inode)
"""


@pytest.mark.parametrize("how", ["find", "wait_found"])
def test_who_is_stopped_meanwhile_does_not_take_that_for_silence(how: str) -> None:
    patience_s = 2.0
    command = (sys.executable, "-c", STOPPED, str(patience_s), how)
    with subprocess.Popen(command, stdout=subprocess.PIPE) as stopped:
        _, status = os.waitpid(stopped.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        time.sleep(patience_s + 2 * lookups.LATE_S)  # it is not there meanwhile
        stopped.send_signal(signal.SIGCONT)
        assert stopped.communicate()[0] == b"7\n"


def test_no_more_threads_than_allowed_hang_and_the_rest_is_looked_for_afterwards(
    host: Host,
) -> None:
    one = host.lookups(patience_s=0.05, most=1)
    for path in ("/hangs", "/fine"):
        with pytest.raises(lookups.Hangs):
            one.find(path)
    eventually(lambda: host.asked == ["/hangs"], 60, "one of them went")
    host.mended.set()
    eventually(lambda: host.asked == ["/hangs", "/fine"], 60, "the other one had its turn")
    patient = host.lookups(patience_s=60, most=1)
    assert patient.find("/fine").inode


def test_a_namespace_is_there_for_whoever_has_no_descriptor_left() -> None:
    own = found(7)
    assert own.inode == 7
    with pytest.raises(OSError, match="no room"):
        own.opened()


def test_a_file_that_is_no_namespace_has_no_inode_of_one(tmp_path: Path) -> None:
    assert lookups.look(str(tmp_path)).inode == 0
    known = lookups.at_once(str(tmp_path))
    assert known is not None
    assert known.inode == 0
    with pytest.raises(FileNotFoundError):
        lookups.look(str(tmp_path / "none"))


def test_the_own_namespace_is_found_by_the_thread_that_asks() -> None:
    known = lookups.at_once(lookups.OWN)
    assert known is not None
    assert known.inode == Path(lookups.OWN).stat().st_ino
    opened = known.opened()
    assert os.fstat(opened).st_ino == known.inode
    os.close(opened)


def test_what_is_ours_is_looked_at_at_once_but_not_where_a_link_leads(
    host: Host, tmp_path: Path
) -> None:
    one, ours = host.lookups(patience_s=60), tmp_path / "netns"
    ours.mkdir()
    (ours / "box").write_text("")
    (ours / "link").symlink_to("/hangs")
    one.trust(ours)
    one.begin((str(ours / "box"), str(ours / "none")))
    assert one.find(str(ours / "box")).inode == 0
    with pytest.raises(FileNotFoundError):
        one.find(str(ours / "none"))
    assert host.asked == []
    for path in (ours / "link", ours / "deep" / "box"):
        assert one.find(str(path)).inode
        assert host.asked.pop() == str(path)
