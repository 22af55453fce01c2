"""resolv.conf in the root of a real process: mounts stay, links lead nowhere, the host is safe."""

from pathlib import Path

import pytest

from resolver.files import folders, foreign, own
from sdd import errors
from sdd.model import ids
from tests import resolver_states as states
from tests.guest import guest
from tests.support import largest_file

pytestmark = pytest.mark.kernel

BOX = ids.SandboxId(states.identity("web"))
OURS, THEIRS = "nameserver 127.0.0.11\n", "nameserver 192.0.2.1\n# a longer file than ours\n"


@pytest.fixture
def ours(tmp_path: Path) -> own.Files:
    return own.Files(tmp_path / "data", tmp_path / "netns")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The root directory of a container."""
    found = tmp_path / "root"
    (found / "etc").mkdir(parents=True)
    (found / "etc/resolv.conf").write_text(THEIRS)
    return found


def write(ours: own.Files, pid: int, path: str = "/etc/resolv.conf") -> None:
    ours.write(BOX, own.Texts(resolv=OURS, hosts=""))
    ours.begin_elsewhere(BOX, target(pid, path), OURS).wait()


def target(pid: int, path: str = "/etc/resolv.conf") -> foreign.Target:
    inode = Path(f"/proc/{pid}/ns/net").stat().st_ino
    return foreign.Target(path=path, pid=pid, inode=inode)


def test_the_path_is_inside_the_root_of_the_process(ours: own.Files, root: Path) -> None:
    with guest(root) as pid:
        write(ours, pid)
        assert (root / "etc/resolv.conf").read_text() == OURS
        ours.keep({})
        assert (root / "etc/resolv.conf").read_text() == THEIRS


def test_a_mounted_file_is_written_in_place_and_stays_mounted(
    ours: own.Files, root: Path, tmp_path: Path
) -> None:
    """A rename from outside would take the runtime's mount off (fs/namei.c, vfs_rename)."""
    source = tmp_path / "of-the-runtime"
    source.write_text(THEIRS)
    (root / "etc/resolv.conf").write_text("# below the mount\n")
    with guest(root, root / "etc/resolv.conf", source) as pid:
        write(ours, pid)
        assert source.read_text() == OURS
        assert "resolv.conf" in Path(f"/proc/{pid}/mountinfo").read_text()
        assert Path(f"/proc/{pid}/root/etc/resolv.conf").read_text() == OURS
        ours.keep({})
        assert source.read_text() == THEIRS
    assert (root / "etc/resolv.conf").read_text() == "# below the mount\n"


def test_a_mounted_file_for_which_there_is_no_room_says_what_it_said(
    root: Path, tmp_path: Path
) -> None:
    source = tmp_path / "of-the-runtime"
    source.write_text(THEIRS)
    more = OURS + "# more\n" * 1000
    with (
        guest(root, root / "etc/resolv.conf", source) as pid,
        folders.opened(tmp_path) as folder,
    ):
        with largest_file(4096), pytest.raises(errors.KernelRefused, match="too large"):
            foreign.put(folder, target(pid), more.encode())
        assert source.read_text() == THEIRS
        assert foreign.edited(folder) == ""
        foreign.put(folder, target(pid), more.encode())
        assert source.read_text() == more


def test_what_cannot_be_put_back_now_is_put_back_later(ours: own.Files, root: Path) -> None:
    before = THEIRS + "# of the image\n" * 1000
    (root / "etc/resolv.conf").write_text(before)
    with guest(root) as pid:
        write(ours, pid)
        with largest_file(4096):
            assert ours.keep({}) == 0
        assert (root / "etc/resolv.conf").read_text() == OURS
        assert ours.keep({}) > 0
        assert (root / "etc/resolv.conf").read_text() == before
    assert not ours.path(BOX).parent.exists()


def test_A8_91_links_that_point_to_the_host_end_inside(
    ours: own.Files, root: Path, tmp_path: Path
) -> None:
    """A link in the way is looked up in the container's own root, as its processes would."""
    outside = tmp_path / "outside"
    outside.mkdir()
    for name, target in (("absolute", outside), ("upwards", Path("../" * 40 + str(outside)[1:]))):
        (root / name).symlink_to(target)
        with guest(root) as pid, pytest.raises(errors.KernelRefused, match="No such file"):
            write(ours, pid, f"/{name}/resolv.conf")
    assert list(outside.iterdir()) == []
    (root / "absolute").unlink()
    (root / "absolute").symlink_to("/etc")
    with guest(root) as pid:
        write(ours, pid, "/absolute/resolv.conf")
    assert (root / "etc/resolv.conf").read_text() == OURS


def test_A8_91_a_link_in_the_files_place_is_refused(ours: own.Files, root: Path) -> None:
    (root / "etc/resolv.conf").unlink()
    (root / "etc/resolv.conf").symlink_to("/etc/passwd")
    with guest(root) as pid, pytest.raises(errors.KernelRefused, match="symbolic link"):
        write(ours, pid)
    assert (root / "etc/resolv.conf").is_symlink()


def test_the_hosts_own_file_mounted_into_a_container_is_not_written(
    ours: own.Files, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = tmp_path / "host-resolv.conf"
    host.write_text(THEIRS)
    monkeypatch.setattr(foreign, "_HOSTS_OWN", (host,))
    with (
        guest(root, root / "etc/resolv.conf", host) as pid,
        pytest.raises(errors.KernelRefused, match="the host's own"),
    ):
        write(ours, pid)
    assert host.read_text() == THEIRS


def test_a_root_that_is_gone_holds_nothing_up(ours: own.Files, root: Path) -> None:
    with guest(root) as pid:
        write(ours, pid)
    ours.keep({})
    assert not ours.path(BOX).parent.exists()
