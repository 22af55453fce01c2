"""A mistake of ours ends its request only; its inside is for the log."""

import json
from pathlib import Path

import pytest

from sdd.defects import Unit
from tests.unit.sdd.api.appliance import Appliance, served
from tests.unit.sdd.api.test_server import ask


async def test_a_defect_is_a_500_without_its_inside(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    one, path = Appliance(), tmp_path / "s"
    one.desk.break_with = ZeroDivisionError("secret inside")
    async with served(one, path):
        status, problem = await ask(path, "POST", "/v1/networks", {"name": "x"})
        assert (status, problem["code"]) == (500, "SDD-DEFECT")
        assert "secret" not in json.dumps(problem)
        assert (await ask(path, "POST", "/v1/networks", {"name": "y"}))[0] == 500
    assert one.context.defects.count(Unit.REQUEST) == 2
    assert capfd.readouterr().err.count("secret inside") == 1
