"""Which adopted namespaces are remembered, also when the kernel gives their numbers again."""

from concurrent import futures
from pathlib import Path

import pytest

from sdd.linux import guests, namespaces
from tests.kernel.spaces import Spaces

pytestmark = pytest.mark.kernel


def test_a_number_that_a_dead_namespace_had_is_the_new_ones(spaces: Spaces, tmp_path: Path) -> None:
    path = f"/run/netns/{spaces.make('new').name}"
    inode = namespaces.inode(path)
    (tmp_path / str(inode)).symlink_to(tmp_path / "dead")
    been = guests.Guests(tmp_path)
    been.enter(path)
    assert been.read() == {path: inode}
    assert been.read() == {path: inode}, "a look forgets nobody who lives"
    been.leave(path, inode)
    assert list(tmp_path.iterdir()) == []


def test_what_a_kill_leaves_of_writing_is_forgotten(spaces: Spaces, tmp_path: Path) -> None:
    path = f"/run/netns/{spaces.make('new').name}"
    (tmp_path / "new").symlink_to(path)
    been = guests.Guests(tmp_path)
    been.enter(path)
    assert been.read() == {path: namespaces.inode(path)}
    assert [each.name for each in tmp_path.iterdir()] == [str(namespaces.inode(path))]


def test_a_namespace_that_ended_is_not_remembered(tmp_path: Path) -> None:
    been = guests.Guests(tmp_path)
    been.enter(str(tmp_path / "gone"))
    (tmp_path / "0").symlink_to(tmp_path / "gone")
    assert been.read() == {}
    assert list(tmp_path.iterdir()) == []


def test_those_who_come_at_once_are_all_remembered(spaces: Spaces, tmp_path: Path) -> None:
    paths = [f"/run/netns/{spaces.make(f'guest{number}').name}" for number in range(6)]
    inodes = {path: namespaces.inode(path) for path in paths}
    been = guests.Guests(tmp_path)
    with futures.ThreadPoolExecutor(len(paths) + 2) as pool:
        for _ in range(100):
            lookers = [pool.submit(been.read) for _ in range(2)]
            for each in [pool.submit(been.enter, path) for path in paths]:
                each.result()
            for look in lookers:
                assert look.result().items() <= inodes.items()
            assert been.read() == inodes
            for each in [pool.submit(been.leave, *place) for place in inodes.items()]:
                each.result()
            assert list(tmp_path.iterdir()) == []


def test_who_only_looks_forgets_nobody(spaces: Spaces, tmp_path: Path) -> None:
    path = f"/run/netns/{spaces.make('new').name}"
    (tmp_path / "77").symlink_to(tmp_path / "dead")
    (tmp_path / "78").symlink_to(path)
    (tmp_path / "plain").touch()
    been = guests.Guests(tmp_path)
    been.enter(path)
    assert been.look() == {path: namespaces.inode(path)}
    assert been.missing() == {str(tmp_path / "dead"): 77}
    assert len(list(tmp_path.iterdir())) == 4
    assert been.read() == {path: namespaces.inode(path)}
    assert {each.name for each in tmp_path.iterdir()} == {str(namespaces.inode(path)), "plain"}
