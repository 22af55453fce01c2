"""Authorities are read from a plain file only: a worker that waits in a pipe serves nobody."""

import os
from pathlib import Path

import pytest

from resolver import protocol
from resolver.upstream import doq, trust
from tests.support import at_once


def test_a_pipe_in_the_place_of_the_authorities_is_an_error_at_once(tmp_path: Path) -> None:
    pipe = tmp_path / "ca.pem"
    os.mkfifo(pipe)
    server = protocol.Upstream(address="192.0.2.1", port=853, inside=False, ca=str(pipe))
    for use in (
        lambda: trust.context(str(pipe)),
        lambda: trust.file(str(pipe)),
        lambda: doq.configuration(server),
    ):
        with pytest.raises(OSError, match="no plain file"):
            at_once(use)


def test_the_systems_authorities_can_be_used() -> None:
    if Path(trust.file("")).exists():
        assert trust.context("", "dot").check_hostname
