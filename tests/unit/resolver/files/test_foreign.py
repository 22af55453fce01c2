"""A resolv.conf in somebody else's root: only that file, never through a link, put back at the end."""

import os
import threading
from pathlib import Path

import pytest

from resolver.files import foreign, own
from sdd import errors
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


def texts(file: Path, resolv: str = OURS) -> own.Texts:
    target = foreign.Target(path=str(file))
    return own.Texts(resolv=resolv, hosts="", elsewhere=target)


def test_the_file_says_the_same_and_keeps_owner_and_mode(ours: own.Files, file: Path) -> None:
    file.chmod(0o640)
    os.chown(file, 65534, 65534)
    assert ours.write(BOX, texts(file)) == 3
    assert ours.write(BOX, texts(file)) == 0
    assert file.read_text() == ours.path(BOX).read_text() == OURS
    assert (file.stat().st_mode & 0o777, file.stat().st_uid) == (0o640, 65534)
    assert ours.write(BOX, texts(file, LATER)) == 2
    assert file.read_text() == LATER
    assert names(file.parent) == ["resolv.conf"]


def test_a_file_that_nobody_touched_or_that_is_gone_is_not_edited(
    ours: own.Files, file: Path
) -> None:
    ours.write(BOX, texts(file))
    assert ours.edited(BOX) == ()
    file.unlink()
    assert ours.edited(BOX) == ()


def test_removal_puts_back_what_was_there(ours: own.Files, file: Path) -> None:
    ours.write(BOX, texts(file))
    ours.write(BOX, texts(file, LATER))
    ours.keep({})
    assert file.read_text() == THEIRS
    assert not ours.path(BOX).parent.exists()


def test_a_file_that_was_not_there_is_gone_again(ours: own.Files, file: Path) -> None:
    file.unlink()
    ours.write(BOX, texts(file))
    assert file.read_text() == OURS
    assert file.stat().st_mode & 0o777 == 0o644
    ours.keep({})
    assert names(file.parent) == []


def test_A8_95_an_edited_file_is_never_written_again_nor_put_back(
    ours: own.Files, file: Path
) -> None:
    ours.write(BOX, texts(file))
    file.write_text("nameserver 192.0.2.9\n")
    assert ours.write(BOX, texts(file, LATER)) == 1  # our own file alone
    assert ours.edited(BOX) == (str(file),)
    assert file.read_text() == "nameserver 192.0.2.9\n"
    ours.keep({})
    assert file.read_text() == "nameserver 192.0.2.9\n"


def test_R9_a_deleted_file_is_written_again(ours: own.Files, file: Path) -> None:
    ours.write(BOX, texts(file))
    file.unlink()
    assert ours.write(BOX, texts(file)) == 1
    assert file.read_text() == OURS


def test_a_write_that_a_crash_cut_off_is_done_again(ours: own.Files, file: Path) -> None:
    ours.write(BOX, texts(file))
    note = ours.path(BOX, foreign.NOTE)
    note.write_text(note.read_text().replace('"writing":false', '"writing":true'))
    file.write_text("names")
    ours.write(BOX, texts(file))
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
        ours.write(BOX, texts(file))
    assert caught.value.code == "SDD-DNS-FOREIGN"
    assert file.read_text() == THEIRS


def test_A8_92_a_link_swapped_in_a_loop_is_never_written_through(
    ours: own.Files, file: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    victim = outside / "resolv.conf"
    victim.write_text(THEIRS)
    with _swapping(file.parent, outside):
        for number in range(2000):
            try:
                ours.write(BOX, texts(file, f"nameserver 127.0.0.11\n# {number}\n"))
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
        ours.write(BOX, texts(file))
    after = file.lstat()  # it was read: only when that was may differ
    assert (after.st_ino, after.st_mode, after.st_size) == (
        before.st_ino,
        before.st_mode,
        before.st_size,
    )
    assert (after.st_mtime_ns, after.st_ctime_ns) == (before.st_mtime_ns, before.st_ctime_ns)


def test_a_directory_that_is_not_there_is_not_made(ours: own.Files, tmp_path: Path) -> None:
    with pytest.raises(errors.KernelRefused, match="No such file or directory"):
        ours.write(BOX, texts(tmp_path / "nowhere/resolv.conf"))
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
            ours.write(BOX, texts(path))
    hosts_own.unlink()
    with pytest.raises(errors.KernelRefused, match="the host's own"):
        ours.write(BOX, texts(hosts_own))
    assert not hosts_own.exists()


def test_a_process_that_is_gone_has_no_root(ours: own.Files) -> None:
    for inode in (1, Path("/proc/self/ns/net").stat().st_ino):
        target = foreign.Target(path="/etc/resolv.conf", pid=(1 << 22) + 1, inode=inode)
        with pytest.raises(errors.KernelRefused, match="is gone"):
            ours.write(BOX, own.Texts(resolv=OURS, hosts="", elsewhere=target))


def test_a_number_that_means_another_process_now_is_noticed(ours: own.Files) -> None:
    target = foreign.Target(path="/etc/resolv.conf", pid=os.getpid(), inode=1)
    with pytest.raises(errors.KernelRefused, match="is gone"):
        ours.write(BOX, own.Texts(resolv=OURS, hosts="", elsewhere=target))
