"""As whom a worker runs: its own user, or a number that nobody has."""

import pwd

import pytest

from resolver.worker import privileges


def test_a_user_that_exists_is_taken() -> None:
    found = pwd.getpwall()[0]
    assert privileges.identity(found.pw_name) == (found.pw_uid, found.pw_gid)


def test_without_one_it_is_a_number_that_nobody_has() -> None:
    uid, gid = privileges.identity("no-such-user")
    assert uid == gid
    assert uid not in {each.pw_uid for each in pwd.getpwall()}
    assert uid != 65534


def test_without_a_spare_number_nothing_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(privileges, "SPARE", range(0, -1, -1))  # root's alone
    with pytest.raises(OSError, match="no number is free"):
        privileges.identity("no-such-user")
