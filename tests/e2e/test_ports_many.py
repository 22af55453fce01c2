"""As many ports as one object may have, at once: it is done, and others are answered meanwhile."""

import subprocess
from collections.abc import Iterator

import pytest

from tests.e2e.appliance import BIN, Appliance

FIRST, LAST = 20000, 24095  # 4096 ports


@pytest.fixture
def daemon() -> Iterator[Appliance]:
    one = Appliance("manyports")
    try:
        one.start()
        one.sdctl("network", "create", "front")
        one.sandbox("web", "--network", "front")
        yield one
    finally:
        one.close()


def test_4096_ports_of_a_service_and_of_a_sandbox_and_status_beside(daemon: Appliance) -> None:
    daemon.sdctl("service", "create", "many", "--network", "front")
    daemon.sdctl("service", "join", "many", daemon.name("web"))
    span = f"{FIRST}-{LAST}:{FIRST}-{LAST}"
    update = ["service", "update", "many", "--publish-add", span]
    command = [str(BIN / "sdctl"), "-H", daemon.url, *update]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as publishing:
        answered = 0
        while publishing.poll() is None:
            daemon.sdctl("status")
            answered += publishing.poll() is None
    assert publishing.returncode == 0
    assert answered, "it was first done"
    daemon.sdctl("service", "set-weight", "many", daemon.name("web"), "3")
    assert f"*:{FIRST}-{LAST}->" in daemon.sdctl("service", "ls").stdout
    others = f"{LAST + 1}-{LAST + 4096}:1-4096"
    daemon.sandbox("wide", "--network", "front", "-p", others)
    table = daemon.on_host("nft", "list", "table", "inet", "sdd-ports").stdout
    for number in (FIRST, LAST, LAST + 1, LAST + 4096):
        assert f"tcp . {number}" in table
    daemon.sdctl("service", "rm", "many")
    assert (
        f"tcp . {FIRST}" not in daemon.on_host("nft", "list", "table", "inet", "sdd-ports").stdout
    )
