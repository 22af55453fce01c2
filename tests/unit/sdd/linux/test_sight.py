from pathlib import Path

import pytest

from sdd.linux import namespaces, sight
from tests.support import run

OWN = "/proc/self/ns/net"
TABLE = """22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:25 / /run rw,nosuid - tmpfs tmpfs rw
31 30 0:26 / /run/heard rw master:7 - tmpfs tmpfs rw
32 30 0:27 / /run/a\\040b rw shared:9 - tmpfs tmpfs rw
33 31 0:28 / /run/heard/deaf rw - tmpfs tmpfs rw
34 22 0:29 / /over rw shared:3 - tmpfs tmpfs rw
35 34 0:30 / /over rw - tmpfs tmpfs rw
"""


def test_a_namespace_is_lost_when_its_path_leads_nowhere_or_elsewhere(tmp_path: Path) -> None:
    inode = namespaces.inode(OWN)
    plain = tmp_path / "plain"
    plain.touch()
    gone = {
        (OWN, inode + 1),
        (str(tmp_path / "absent"), inode),
        (str(tmp_path / "absent" / "deeper"), inode),
        (str(plain / "below"), inode),
    }
    table = tmp_path / "table"
    table.write_text("22 1 8:1 / / rw - ext4 /dev/sda1 rw\n")
    assert sight.Sight(table).lost({(OWN, inode), (str(plain), inode), *gone}) == gone


def test_a_file_whose_mount_went_is_lost_where_it_was_seen_or_mounts_are_heard_of(
    tmp_path: Path,
) -> None:
    inode = namespaces.inode(OWN)
    path, table = tmp_path / "netns", tmp_path / "table"
    place = (str(path), inode)
    for said, is_heard in (("", False), ("shared:1 ", True)):
        table.write_text(f"22 1 8:1 / / rw {said}- ext4 /dev/sda1 rw\n")
        path.touch()
        assert bool(sight.Sight(table).lost([place])) == is_heard, "never seen there"
        path.unlink()
        path.symlink_to(OWN)
        eyes = sight.Sight(table)
        assert eyes.lost([place]) == set()
        path.unlink()
        path.touch()
        assert eyes.lost([place]) == {place}
        assert eyes.lost([place]) == {place}, "also at the second look"
        eyes.lost([])
        assert bool(eyes.lost([place])) == is_heard, "forgotten with the sandbox"


@pytest.mark.parametrize(
    ("path", "is_heard"),
    [
        ("/var/x", True),
        ("/run/x", False),
        ("/running", True),
        ("/run/heard/x", True),
        ("/run/heard/deaf/x", False),
        ("/run/a b/x", True),
        ("/over/x", False),
    ],
)
def test_mounts_are_heard_of_by_the_deepest_mount(path: str, is_heard: bool) -> None:
    assert sight.hears(TABLE, path) == is_heard


@pytest.mark.kernel
def test_a_namespace_that_was_unmounted_while_its_file_stays_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "t-sight"
    doors = namespaces.Namespaces()
    try:
        place = (str(path), doors.create_sync(str(path)))
        eyes = sight.Sight()
        assert eyes.lost([place]) == set()
        run("umount", str(path))
        assert path.exists()
        assert eyes.lost([place]) == {place}
    finally:
        doors.delete_sync(str(path))
        doors.close()


def test_what_is_at_a_path_counts_as_seen(tmp_path: Path) -> None:
    table, path = tmp_path / "table", tmp_path / "netns"
    table.write_text("22 1 8:1 / / rw - ext4 /dev/sda1 rw\n")  # nobody hears of mounts
    path.symlink_to(OWN)
    one = sight.Sight(table)
    place = (str(path), namespaces.inode(OWN))
    assert one.places([str(path), str(tmp_path / "absent"), str(table)]) == {place}
    path.unlink()
    path.touch()
    assert one.lost([place]) == {place}
