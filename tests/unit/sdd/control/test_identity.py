"""Which node a data root belongs to, over changed names of the host and of the setting."""

import os
from pathlib import Path

import pytest

from sdd import errors
from sdd.control import identity
from sdd.state import ClusterState
from tests.support import at_once
from tests.unit.lb.states import NODE, box

EMPTY = ClusterState()
USED = ClusterState(sandboxes={each.id: each for each in (box("a"), box("b"))})


def test_the_first_start_takes_the_setting_or_the_hosts_name(tmp_path: Path) -> None:
    assert identity.settled(tmp_path, "", "host7", EMPTY) == "host7"
    other = tmp_path / "other"
    other.mkdir()
    assert identity.settled(other, "n1", "host7", EMPTY) == "n1"


def test_a_host_with_another_name_is_the_same_node(tmp_path: Path) -> None:
    identity.settled(tmp_path, "", "host7", EMPTY)
    assert identity.settled(tmp_path, "", "host8", EMPTY) == "host7"
    assert identity.settled(tmp_path, "", "", USED) == "host7"
    assert [file.name for file in tmp_path.iterdir()] == [identity.FILE]


def test_a_data_root_of_an_older_release_belongs_to_what_is_bound_in_it(tmp_path: Path) -> None:
    assert identity.settled(tmp_path, "", "host8", USED) == NODE
    assert (tmp_path / identity.FILE).read_text() == f"{NODE}\n"


def test_another_setting_is_refused_while_something_is_there(tmp_path: Path) -> None:
    identity.settled(tmp_path, NODE, "host7", USED)
    with pytest.raises(errors.Conflict) as caught:
        identity.settled(tmp_path, "other", "host7", USED)
    assert caught.value.code == "SDD-NODE-NAME"
    assert f'"{NODE}"' in caught.value.sentence
    assert (tmp_path / identity.FILE).read_text() == f"{NODE}\n"
    assert identity.settled(tmp_path, "other", "host7", EMPTY) == "other"
    assert identity.settled(tmp_path, "", "host7", EMPTY) == "other"


def test_a_host_without_a_name_needs_one(tmp_path: Path) -> None:
    with pytest.raises(errors.Invalid, match="no name"):
        identity.settled(tmp_path, "", "", EMPTY)


def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / identity.FILE).mkdir()
    with pytest.raises(errors.Denied, match="cannot be read"):
        identity.settled(tmp_path, "", "host7", EMPTY)


def test_a_pipe_in_its_place_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / f"{identity.FILE}.new")
    assert at_once(lambda: identity.settled(tmp_path, "", "host7", EMPTY)) == "host7"
    (tmp_path / identity.FILE).unlink()
    os.mkfifo(tmp_path / identity.FILE)
    with pytest.raises(errors.Denied, match="no plain file"):
        at_once(lambda: identity.settled(tmp_path, "", "host7", EMPTY))


def test_without_room_for_the_file_the_name_holds_all_the_same(tmp_path: Path) -> None:
    (tmp_path / f"{identity.FILE}.new").mkdir()
    assert identity.settled(tmp_path, "", "host7", EMPTY) == "host7"
    assert not (tmp_path / identity.FILE).exists()
    assert identity.settled(tmp_path, "", "host8", USED) == NODE
