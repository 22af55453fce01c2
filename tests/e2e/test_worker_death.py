"""kill -9 of the DNS worker beside many sandboxes: what is asked then waits, and is answered."""

import subprocess
from collections.abc import Iterator

import pytest

from sdd.client import Client
from tests.e2e.appliance import Appliance, appliance, until
from tests.e2e.test_restart import worker_pids

MANY = 60


@pytest.fixture(scope="module")
def daemon() -> Iterator[Appliance]:
    with appliance("death") as one:
        client = Client(one.url, 30)
        one.sdctl("network", "create", "crowd", "--subnet", "10.73.0.0/24")
        for number in range(MANY):
            body = {"name": one.name(f"b{number}"), "attachments": [{"network": "crowd"}]}
            client.post("/v1/sandboxes", body)
        one.sandbox("last", "--network", "crowd")
        yield one


@pytest.mark.parametrize("how", ["+notcp", "+tcp"])
def test_A8_86_the_death_of_the_worker_loses_no_question(daemon: Appliance, how: str) -> None:
    """Each is sent once: what is lost is not asked again."""
    once = ("dig", "+short", "+tries=1", "+time=50", how, "@127.0.0.11", "last")
    for sandbox in ("b0", "b30", "last"):
        (worker,) = worker_pids(daemon)
        subprocess.run(["kill", "-9", worker], check=True)
        until(lambda gone=worker: gone not in worker_pids(daemon), 60, lambda: "it is dead")
        assert daemon.inside(sandbox, *once).stdout.startswith("10.73.0."), daemon.log()[-2000:]
        assert worker_pids(daemon) - {worker}
