"""What is remembered of switches that we switched, and what a damaged memory comes to."""

import os
from pathlib import Path

import pytest

from netns.kernel.forwarding import Forwarding
from tests.support import at_once


@pytest.mark.parametrize("text", ["", "[", "{}", "4", "[7]", "[4, null]", "[[4]]"])
def test_a_file_damaged_before_it_was_read_guards_everything(tmp_path: Path, text: str) -> None:
    file = tmp_path / "forwarding"
    assert Forwarding(file).switched() == frozenset()
    file.write_text(text)
    assert Forwarding(file).switched() == {4, 6}


def test_a_pipe_in_its_place_is_a_damaged_file_and_goes(tmp_path: Path) -> None:
    file = tmp_path / "forwarding"
    for each in (file, tmp_path / "forwarding.new"):
        os.mkfifo(each)
    one = Forwarding(file)
    assert at_once(one.switched) == {4, 6}
    at_once(lambda: one._remember(frozenset({4})))
    assert file.read_text() == "[4]"


@pytest.mark.parametrize("text", [None, "", "["])
def test_a_file_damaged_or_removed_later_is_written_again(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "exec" / "forwarding"
    file.parent.mkdir()
    file.write_text("[6]")
    one = Forwarding(file)
    assert one.switched() == {6}
    file.unlink()
    file.parent.rmdir()
    if text is not None:
        file.parent.mkdir()
        file.write_text(text)
    assert one.switched() == {6}
    assert file.read_text() == "[6]"
    assert [each.name for each in file.parent.iterdir()] == ["forwarding"]
    assert Forwarding(file).switched() == {6}
