"""A member that turns up gets a growing share, over a restart of the daemon, and people see it."""

import re
import time
from collections import Counter

import pytest

from tests.e2e.appliance import Appliance, until

SLOW_S = 20  # from a step to the next a tenth of it: commands take less


@pytest.fixture(scope="module", autouse=True)
def front(daemon: Appliance) -> None:
    daemon.sdctl("network", "create", "front")


def shares(daemon: Appliance) -> dict[str, int]:
    """Member → the percentage of its weight."""
    rows = daemon.json("service", "ps", "web")
    return {row["Sandbox"].rsplit("-", 1)[1]: row["Share"] for row in rows}


def held(daemon: Appliance) -> list[int]:
    """The weights in the client's kernel."""
    rows = daemon.json("lb", "ls", "--from", daemon.name("client"))
    return sorted(row["Weight"] for row in rows if row["Protocol"] == "tcp")


def revision(daemon: Appliance) -> int:
    (status,) = daemon.json("status")
    return int(status["Revision"])


def test_a_member_that_turns_up_gets_a_growing_share(daemon: Appliance) -> None:
    for name in ("one", "two", "client"):
        daemon.sandbox(name, "--network", "front")
        if name != "client":
            daemon.serve(name)
    slow = ("--slow-start", f"{SLOW_S}s", "--scheduler", "wrr")
    daemon.sdctl("service", "create", "web", "--network", "front", *slow)
    daemon.sdctl("service", "join", "web", daemon.name("one"))
    until(lambda: shares(daemon) == {"one": 100}, 6 * SLOW_S, "the first member has arrived")
    until(lambda: held(daemon) == [10], 60, "the kernel knows")
    begun = time.monotonic()
    daemon.sdctl("service", "join", "web", daemon.name("two"))
    light, full = held(daemon)
    most = max(1, 10 * (time.monotonic() - begun) / SLOW_S)
    assert full == 10
    assert 1 <= light <= most, "the new one begins with a tenth"
    assert re.search(r"\b1 \([1-9]0 %\)", daemon.sdctl("service", "ps", "web").stdout)
    loop = "for i in $(seq 22); do curl -s --max-time 20 http://web/ || exit 1; done"
    said = daemon.inside("client", "sh", "-c", loop).stdout.splitlines()
    counted = Counter(line.split()[2].rstrip(",") for line in said)
    begun_with, (light, full) = light, held(daemon)
    steps = light - begun_with + 1  # a round begins anew after each, so one more of each is fair
    assert 0 < counted["two"] <= 22 * light / (light + full) + steps, (counted, light)
    written = revision(daemon)
    until(lambda: shares(daemon)["two"] > 10, 6 * SLOW_S, "its share grows")
    grown = shares(daemon)["two"]
    daemon.kill()
    daemon.start()
    assert shares(daemon)["two"] >= grown, "the daemon goes on where the share was"
    until(lambda: shares(daemon)["two"] == 100, 6 * SLOW_S, "the second has arrived")
    until(lambda: held(daemon) == [10, 10], 60, "the kernel knows")
    assert revision(daemon) == written, "steps write nothing"
    log = daemon.log()
    assert "reconcile.repaired" not in log, log


def test_a_scheduler_that_knows_no_weights_is_refused(daemon: Appliance) -> None:
    slow = ("--slow-start", "5s", "--scheduler", "rr")
    done = daemon.sdctl("service", "create", "x", "--network", "front", *slow, check=False)
    assert done.returncode == 1
    assert "[SDD-SERVICE-SLOWSTART]" in done.stderr
    assert "wrr" in done.stderr
    assert "x" not in daemon.sdctl("-o", "name", "service", "ls").stdout.split()
