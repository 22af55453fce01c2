"""Which schedulers there are is the kernel's word, asked when somebody names one that is not."""

from pathlib import Path

import pytest

from tests.unit.sdd.api.appliance import Appliance, served
from tests.unit.sdd.api.test_server import ask


@pytest.mark.parametrize("verb", ["POST", "PATCH"])
async def test_an_unknown_scheduler_is_refused_with_what_the_balancer_offers(
    tmp_path: Path, verb: str
) -> None:
    path = tmp_path / "s"
    async with served(Appliance(), path):
        await ask(path, "POST", "/v1/networks", {"name": "lab"})
        await ask(path, "POST", "/v1/services", {"name": "web", "network": "lab"})
        body = {"name": "api", "network": "lab"} if verb == "POST" else {}
        url = "/v1/services" if verb == "POST" else "/v1/services/web"
        status, problem = await ask(path, verb, url, body | {"scheduler": "best"})
        assert (status, problem["code"]) == (400, "SDD-LB-SCHEDULER")
        assert problem["error"] == "the kernel has no scheduler 'best', it offers: rr, mh"
        status, problem = await ask(path, verb, url, body | {"scheduler": 7})
        assert (status, problem["code"]) == (400, "SDD-API-BODY")
        assert [row["Name"] for row in (await ask(path, "GET", "/v1/services"))[1]] == ["web"]
