"""The room that is kept for removals."""

from pathlib import Path

from sdd.store.reserve import MOST_BYTES, Reserve


def test_it_takes_room_on_the_disk_until_it_is_given_up(tmp_path: Path) -> None:
    one, file = Reserve(tmp_path / "sdd.db"), tmp_path / "sdd.db-reserve"
    assert one.keep()
    assert file.stat().st_blocks * 512 >= MOST_BYTES
    assert file.stat().st_mode & 0o777 == 0o600
    assert one.keep()
    one.give_up()
    assert not file.exists()
    one.give_up()


def test_no_room_is_no_error(tmp_path: Path) -> None:
    assert not Reserve(tmp_path / "absent" / "sdd.db").keep()
