"""Names to which something happens."""

from pathlib import Path

from sdd.linux import inotify


async def test_a_folder_tells_all_its_names_at_once_and_each_once(tmp_path: Path) -> None:
    watch = inotify.Watch(folders=(tmp_path,))
    (tmp_path / "a").touch()
    (tmp_path / "a").unlink()
    (tmp_path / "b").symlink_to("a")
    assert await watch.event(5) == {"a", "b"}
    assert await watch.event(0.01) == frozenset()
    watch.close()
    watch.close()


async def test_of_names_only_those_are_heard(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    watch = inotify.Watch(names=((tmp_path, "a"),), files=(file,))
    (tmp_path / "b").touch()
    assert await watch.event(0.01) == frozenset()
    (tmp_path / "a").mkdir()
    assert await watch.event(5) == {inotify.ANYTHING}
    file.write_text("x")
    assert await watch.event(5) == {inotify.ANYTHING}
    watch.close()


async def test_what_is_not_there_is_heard_of_by_its_parent(tmp_path: Path) -> None:
    watch = inotify.Watch(names=((tmp_path, "late"),), folders=(tmp_path / "late",))
    (tmp_path / "late").mkdir()
    assert await watch.event(5) == {inotify.ANYTHING}
    watch.close()
    assert await watch.event(0.01) == frozenset()  # it sees nothing any more
