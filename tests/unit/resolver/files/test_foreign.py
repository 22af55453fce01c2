"""A resolv.conf in somebody else's root: only that file, never through a link, put back at the end."""

import fcntl
import os
import signal
import threading
from pathlib import Path

import pytest

from resolver.files import folders, foreign, own
from sdd import errors, fence
from sdd.linux import walk
from sdd.model import ids
from tests import resolver_states as states

BOX = ids.SandboxId(states.identity("web"))
OURS, LATER = "nameserver 127.0.0.11\n", "nameserver 127.0.0.11\nsearch x\n"
THEIRS = "# of the image\nnameserver 192.0.2.1\n"


@pytest.fixture
def ours(tmp_path: Path) -> own.Files:
    return own.Files(tmp_path / "data", tmp_path / "netns")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    found = tmp_path / "root/etc/resolv.conf"
    found.parent.mkdir(parents=True)
    found.write_text(THEIRS)
    return found


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def write(ours: own.Files, file: Path, resolv: str = OURS) -> int:
    """How many files had to be written, of our own and this one."""
    return put(ours, foreign.Target(path=str(file)), resolv)


def put(ours: own.Files, target: foreign.Target, resolv: str = OURS) -> int:
    mine = ours.write(BOX, own.Texts(resolv=resolv, hosts=""))
    return mine + ours.begin_elsewhere(BOX, target, resolv).wait()


def test_the_file_says_the_same_and_keeps_owner_and_mode(ours: own.Files, file: Path) -> None:
    file.chmod(0o640)
    os.chown(file, 65534, 65534)
    assert write(ours, file) == 3
    assert write(ours, file) == 0
    assert file.read_text() == ours.path(BOX).read_text() == OURS
    assert (file.stat().st_mode & 0o777, file.stat().st_uid) == (0o640, 65534)
    assert write(ours, file, LATER) == 2
    assert file.read_text() == LATER
    assert names(file.parent) == ["resolv.conf"]


def test_a_file_that_nobody_touched_or_that_is_gone_is_not_edited(
    ours: own.Files, file: Path
) -> None:
    write(ours, file)
    assert ours.edited(BOX) == ()
    file.unlink()
    assert ours.edited(BOX) == ()


def test_removal_puts_back_what_was_there(ours: own.Files, file: Path) -> None:
    write(ours, file)
    write(ours, file, LATER)
    ours.keep({})
    assert file.read_text() == THEIRS
    assert not ours.path(BOX).parent.exists()


def test_a_file_that_was_not_there_is_gone_again(ours: own.Files, file: Path) -> None:
    file.unlink()
    write(ours, file)
    assert file.read_text() == OURS
    assert file.stat().st_mode & 0o777 == 0o644
    ours.keep({})
    assert names(file.parent) == []


def test_A8_95_an_edited_file_is_never_written_again_nor_put_back(
    ours: own.Files, file: Path
) -> None:
    write(ours, file)
    file.write_text("nameserver 192.0.2.9\n")
    assert write(ours, file, LATER) == 1  # our own file alone
    assert ours.edited(BOX) == (str(file),)
    assert file.read_text() == "nameserver 192.0.2.9\n"
    ours.keep({})
    assert file.read_text() == "nameserver 192.0.2.9\n"


def test_R9_a_deleted_file_is_written_again(ours: own.Files, file: Path) -> None:
    write(ours, file)
    file.unlink()
    assert write(ours, file) == 1
    assert file.read_text() == OURS


def test_a_write_that_a_crash_cut_off_is_done_again(ours: own.Files, file: Path) -> None:
    write(ours, file)
    note = ours.path(BOX, foreign.NOTE)
    note.write_text(note.read_text().replace('"writing":false', '"writing":true'))
    file.write_text("names")
    write(ours, file)
    assert file.read_text() == OURS
    ours.keep({})
    assert file.read_text() == THEIRS


@pytest.mark.parametrize("place", ["resolv.conf", "etc", "root"])
def test_A8_91_a_symbolic_link_is_not_followed(
    ours: own.Files, file: Path, tmp_path: Path, place: str
) -> None:
    """Whichever part of a host's path is a link, what it leads to stays as it was."""
    swapped = {"resolv.conf": file, "etc": file.parent, "root": file.parent.parent}[place]
    behind = tmp_path / "behind"
    swapped.rename(behind)
    swapped.symlink_to(behind)
    with pytest.raises(errors.KernelRefused, match=r"symbolic link") as caught:
        write(ours, file)
    assert caught.value.code == "SDD-DNS-FOREIGN"
    assert file.read_text() == THEIRS


def test_A8_92_a_link_swapped_in_a_loop_is_never_written_through(
    ours: own.Files, file: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    victim = outside / "resolv.conf"
    victim.write_text(THEIRS)
    ours.write(BOX, own.Texts(resolv=OURS, hosts=""))
    target = foreign.Target(path=str(file))
    with _swapping(file.parent, outside), folders.opened(ours.path(BOX).parent) as folder:
        for number in range(2000):
            try:
                foreign.put(folder, target, f"nameserver 127.0.0.11\n# {number}\n".encode())
            except errors.KernelRefused:
                continue
    assert victim.read_text() == THEIRS
    assert names(outside) == ["resolv.conf"]


class _swapping:  # noqa: N801 - reads as a verb
    """Meanwhile a thread makes `folder` now a directory, now a link to `outside`."""

    def __init__(self, folder: Path, outside: Path) -> None:
        self._folder, self._aside = folder, folder.with_name("aside")
        self._link = folder.with_name("link")
        self._outside = outside
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._swap)

    def _swap(self) -> None:
        while not self._over.is_set():
            self._folder.rename(self._aside)
            self._folder.symlink_to(self._outside)
            self._folder.unlink()
            self._aside.rename(self._folder)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def test_who_holds_a_lease_on_the_file_is_not_waited_for(ours: own.Files, file: Path) -> None:
    """The kernel gives the holder 45 s to give it up (fcntl(2))."""
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)
    try:
        with file.open("r+") as held:
            fcntl.fcntl(held, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            with pytest.raises(errors.KernelRefused, match="temporarily unavailable"):
                write(ours, file)
        write(ours, file)
    finally:
        signal.signal(signal.SIGIO, before)
    assert file.read_text() == OURS


def test_nothing_is_written_when_the_pass_is_over_that_wanted_it(
    ours: own.Files, file: Path
) -> None:
    between, entered, over = fence.Fence(), threading.Barrier(walk.EACH + 1), threading.Event()
    target = foreign.Target(path=str(file))

    def hold() -> None:
        with foreign._WALKS.within((target, file.stat().st_dev)):
            entered.wait(10)
            over.wait(10)

    holders = [threading.Thread(target=hold) for _ in range(walk.EACH)]
    for each in holders:
        each.start()
    entered.wait(10)
    ours.write(BOX, own.Texts(resolv=OURS, hosts=""))
    with between.term():
        late = ours.begin_elsewhere(BOX, target, OURS)
    over.set()
    with pytest.raises(errors.Unavailable, match="given up"):
        late.wait()
    for each in holders:
        each.join(10)
    assert file.read_text() == THEIRS


def _pipe(file: Path) -> None:
    os.mkfifo(file)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_pipe, "no plain file"),
        (Path.mkdir, "no plain file"),
        (lambda file: file.write_text("root:x:0:0::/root:/bin/sh\n"), "no resolv.conf"),
        (lambda file: file.write_bytes(b"#" * 70_000), "no resolv.conf"),
    ],
)
def test_what_is_no_resolv_conf_is_left_alone(
    ours: own.Files, file: Path, make: object, words: str
) -> None:
    file.unlink()
    make(file)  # type: ignore[operator]  # one of the four above
    before = file.lstat()
    with pytest.raises(errors.KernelRefused, match=words):
        write(ours, file)
    after = file.lstat()  # it was read: only when that was may differ
    assert (after.st_ino, after.st_mode, after.st_size) == (
        before.st_ino,
        before.st_mode,
        before.st_size,
    )
    assert (after.st_mtime_ns, after.st_ctime_ns) == (before.st_mtime_ns, before.st_ctime_ns)


def test_a_directory_that_is_not_there_is_not_made(ours: own.Files, tmp_path: Path) -> None:
    with pytest.raises(errors.KernelRefused, match="No such file or directory"):
        write(ours, tmp_path / "nowhere/resolv.conf")
    assert not (tmp_path / "nowhere").exists()


@pytest.fixture
def hosts_own(file: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(foreign, "_HOSTS_OWN", (file,))
    return file


def test_the_hosts_own_file_is_never_written(
    ours: own.Files, hosts_own: Path, tmp_path: Path
) -> None:
    other = tmp_path / "root/resolv.conf"
    other.hardlink_to(hosts_own)  # another name of the same inode, as a bind mount is
    for path in (hosts_own, other):
        with pytest.raises(errors.KernelRefused, match="the host's own"):
            write(ours, path)
    hosts_own.unlink()
    with pytest.raises(errors.KernelRefused, match="the host's own"):
        write(ours, hosts_own)
    assert not hosts_own.exists()


def test_a_process_that_is_gone_has_no_root(ours: own.Files) -> None:
    for inode in (1, Path("/proc/self/ns/net").stat().st_ino):
        target = foreign.Target(path="/etc/resolv.conf", pid=(1 << 22) + 1, inode=inode)
        with pytest.raises(errors.KernelRefused, match="is gone"):
            put(ours, target)


def test_a_number_that_means_another_process_now_is_noticed(ours: own.Files) -> None:
    target = foreign.Target(path="/etc/resolv.conf", pid=os.getpid(), inode=1)
    with pytest.raises(errors.KernelRefused, match="is gone"):
        put(ours, target)
