"""A machine that lacks something for a moment keeps its daemon."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.appliance import Appliance, appliance, run, until


@pytest.fixture
def daemon() -> Iterator[Appliance]:
    with appliance("lacks") as one:
        yield one


@contextmanager
def without_descriptors(one: Appliance) -> Iterator[None]:
    """Of what is open nothing is closed, and nothing more can be opened."""
    assert one.process is not None
    soft, hard = resource.prlimit(one.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(one.process.pid, resource.RLIMIT_NOFILE, (3, hard))
    try:
        yield
    finally:
        resource.prlimit(one.process.pid, resource.RLIMIT_NOFILE, (soft, hard))


def test_without_a_descriptor_left_it_goes_on_until_there_are_some(daemon: Appliance) -> None:
    daemon.sdctl("network", "create", "net")
    daemon.sandbox("box", "--network", "net")
    with without_descriptors(daemon):
        Path(daemon.root, "exec", "sdd.sock").unlink()
        run("ip", "-n", daemon.host, "link", "add", "x", "type", "bridge")
        until(lambda: 'loop.refused loop="api socket"' in daemon.log(), 120, daemon.log)
        until(lambda: "reconcile.failure" in daemon.log(), 120, daemon.log)
    until(lambda: daemon.sdctl("status", check=False).returncode == 0, 120, daemon.log)
    until(lambda: daemon.sdctl("verify", check=False).returncode == 0, 120, daemon.log)
    assert "defect" not in daemon.log()
