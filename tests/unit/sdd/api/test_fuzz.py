"""Any bytes as a request or as a body: an answer with a code below 500, and the server goes on."""

import asyncio
import json
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sdd.api.routes import ROUTES, Route
from tests.unit.sdd.api.appliance import Appliance, served
from tests.unit.sdd.api.test_server import ask, raw

TAKING = [each for each in ROUTES if each.takes is not None]
QUIET = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])


@QUIET
@given(st.lists(st.tuples(st.sampled_from(TAKING), st.binary(max_size=200)), max_size=8))
def test_any_body_is_answered_below_500(cases: list[tuple[Route, bytes]]) -> None:
    async def run(path: Path) -> None:
        async with served(Appliance(), path):
            for route, data in cases:
                url = route.path.replace("{ref}", "x").replace("{sandbox}", "y")
                status, problem = await ask(path, route.method, url, data)
                assert 400 <= status < 500
                assert problem["code"].startswith("SDD-")

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder) / "s"))


@QUIET
@given(st.lists(st.binary(max_size=300), max_size=8))
def test_any_bytes_are_answered_or_dropped(payloads: list[bytes]) -> None:
    async def run(path: Path) -> None:
        async with served(Appliance(), path):
            for payload in payloads:
                reply = await raw(path, payload)
                if reply:
                    assert reply.split()[1] == b"400"
                    assert json.loads(reply.partition(b"\r\n\r\n")[2])["code"] == "SDD-API-HTTP"
            assert (await ask(path, "GET", "/healthz"))[0] == 200

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder) / "s"))
