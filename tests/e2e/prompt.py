"""Commands that wait for nothing that hangs, measured without what the machine takes."""

from collections.abc import Iterator
from contextlib import contextmanager

from sdd.client import Client
from tests.e2e.appliance import PATIENCE_S, Appliance

PROMPT_S = 5.0  # of the appliance's own time: at most once a backend's thread waits for the path


@contextmanager
def promptly(one: Appliance, limit_s: float = PROMPT_S) -> Iterator[Client]:
    """Who asks the daemon from within this process, whose own waiting for a processor is known."""
    begun = one.own_s()
    yield Client(one.url, 2 * PATIENCE_S)
    assert one.own_s() - begun < limit_s


def create(client: Client, one: Appliance, name: str) -> None:
    plug = {"network": "front", "aliases": [name]}
    client.post("/v1/sandboxes", {"name": one.name(name), "attachments": [plug]})
