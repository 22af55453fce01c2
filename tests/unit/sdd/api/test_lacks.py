"""A machine that has not enough of something is no defect: it is said, with what to do."""

import errno
import os
from pathlib import Path

import pytest

from sdd.defects import Unit
from tests.unit.sdd.api.appliance import Appliance, served
from tests.unit.sdd.api.test_server import ask


@pytest.mark.parametrize(
    ("lacks", "advice"),
    [
        (errno.EMFILE, "LimitNOFILE"),
        (errno.ENFILE, "fs.file-max"),
        (errno.ENOMEM, "memory"),
        (errno.ENOSPC, "disk"),
    ],
)
async def test_what_is_lacking_is_named(tmp_path: Path, lacks: int, advice: str) -> None:
    one, path = Appliance(), tmp_path / "s"
    one.desk.break_with = OSError(lacks, os.strerror(lacks))
    async with served(one, path):
        status, problem = await ask(path, "POST", "/v1/networks", {"name": "x"})
    assert (status, problem["code"]) == (507, "SDD-API-LACKS")
    assert not one.context.defects.counts
    assert os.strerror(lacks).lower() in problem["error"]
    assert advice in problem["hint"]


async def test_another_error_of_the_system_is_a_defect(tmp_path: Path) -> None:
    one, path = Appliance(), tmp_path / "s"
    one.desk.break_with = OSError(errno.EPERM, os.strerror(errno.EPERM))
    async with served(one, path):
        assert (await ask(path, "POST", "/v1/networks", {"name": "x"}))[0] == 500
    assert one.context.defects.counts == {Unit.REQUEST: 1}
