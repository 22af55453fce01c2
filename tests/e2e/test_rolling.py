"""A service whose members are replaced one by one, the new ones first, under a client's hands."""

import subprocess
from collections.abc import Iterator

import pytest

from tests.e2e.appliance import Appliance, appliance, until

CALLING = """
import sys, time, urllib.request
end = time.monotonic() + float(sys.argv[1])
while time.monotonic() < end:
    with urllib.request.urlopen("http://shop/", timeout=3) as said:
        print(said.read().decode().strip(), flush=True)
"""


@pytest.fixture
def daemon() -> Iterator[Appliance]:
    with appliance("rolling") as one:
        one.sdctl("network", "create", "front")
        for name in ("old1", "old2", "new1", "new2", "client"):
            one.sandbox(name, "--network", "front")
        check = ("--health", "tcp:80", "--health-interval", "0.2s", "--health-rise", "1")
        one.sdctl("service", "create", "shop", "--network", "front", "--drain", "2s", *check)
        yield one


def enter(daemon: Appliance, name: str) -> None:
    daemon.serve(name)
    daemon.sdctl("service", "join", "shop", daemon.name(name))


def address(daemon: Appliance) -> str:
    return daemon.inside("client", "getent", "ahostsv4", "shop").stdout.split()[0]


def test_C34_the_virtual_ip_serves_while_all_members_are_replaced(daemon: Appliance) -> None:
    for name in ("old1", "old2"):
        enter(daemon, name)
    (shop,) = daemon.json("service", "inspect", "shop")
    until(lambda: healthy(daemon) == 2, 10, "two healthy members")
    inside = ("ip", "netns", "exec", daemon.name("client"))
    with subprocess.Popen(
        [*inside, "python3", "-c", CALLING, "12"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as client:
        for old, new in (("old1", "new1"), ("old2", "new2")):
            enter(daemon, new)
            until(lambda: healthy(daemon) == 3, 10, "the new one is healthy")
            assert address(daemon) == shop["VIPs"][0]
            daemon.sdctl("service", "leave", "shop", daemon.name(old))
        said, failed = client.communicate(timeout=30)
    assert (client.returncode, failed) == (0, "")
    answers = [line.split("from ")[1].split(",")[0] for line in said.splitlines()]
    assert set(answers[-20:]) <= {"new1", "new2"}
    assert {"old1", "old2"} & set(answers[:20])
    assert address(daemon) == shop["VIPs"][0]


def healthy(daemon: Appliance) -> int:
    (row,) = daemon.json("service", "ls")
    return int(row["Replicas"].split("/")[0])
