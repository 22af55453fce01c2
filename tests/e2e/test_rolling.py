"""A service whose members are replaced one by one, the new ones first, under a client's hands."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.appliance import Appliance, appliance, until
from tests.e2e.retries import asked_again

CALLING = """
import os, sys, urllib.request
while not os.path.exists(sys.argv[1]):
    with urllib.request.urlopen("http://shop/", timeout=60) as said:
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


def test_C34_the_virtual_ip_serves_while_all_members_are_replaced(
    daemon: Appliance, tmp_path: Path
) -> None:
    for name in ("old1", "old2"):
        enter(daemon, name)
    (shop,) = daemon.json("service", "inspect", "shop")
    daemon.until_replicas("shop", "2/2", 60)
    lost = asked_again(daemon.name("client"))
    enough, said, failed = (tmp_path / name for name in ("enough", "said", "failed"))

    def answers() -> list[str]:
        return re.findall(r"from (\w+),.*\n", said.read_text())

    with (
        said.open("w") as out,
        failed.open("w") as err,
        subprocess.Popen(
            [*inside(daemon), sys.executable, "-c", CALLING, str(enough)], stdout=out, stderr=err
        ) as client,
    ):
        try:
            until(answers, 60, failed.read_text)
            for old, new in (("old1", "new1"), ("old2", "new2")):
                enter(daemon, new)
                daemon.until_replicas("shop", "3/3", 60)
                assert address(daemon) == shop["VIPs"][0]
                daemon.sdctl("service", "leave", "shop", daemon.name(old))
            # One may have been under way; those that begin from now on meet the new ones.
            then = len(answers()) + 1
            until(lambda: len(answers()) >= then + 20, 60, failed.read_text)
        finally:
            enough.touch()
    assert (client.returncode, failed.read_text()) == (0, "")
    assert asked_again(daemon.name("client")) == lost
    assert answers()[0] in {"old1", "old2"}
    assert set(answers()[then:]) <= {"new1", "new2"}
    assert address(daemon) == shop["VIPs"][0]


def inside(daemon: Appliance) -> tuple[str, ...]:
    return "ip", "netns", "exec", daemon.name("client")
