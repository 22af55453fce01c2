"""Quorum, backups and the panic threshold, with real servers that are killed and come back."""

from collections import Counter

import pytest

from tests.e2e.appliance import Appliance, until

ASKED = 12


def served(daemon: Appliance, box: str, vip: str) -> Counter[str]:
    """Who answered, by the name on the page: "hello from NAME, you are CLIENT"."""
    found: Counter[str] = Counter()
    for _ in range(ASKED):
        done = daemon.inside(box, "curl", "-s", "--max-time", "2", f"http://{vip}/", check=False)
        found[done.stdout.split()[2].rstrip(",") if done.stdout else "nobody"] += 1
    return found


def names(daemon: Appliance, box: str, service: str) -> set[str]:
    told = daemon.inside(box, "dig", "+short", "@127.0.0.11", f"tasks.{service}").stdout
    return set(told.split())


def put(daemon: Appliance, service: str, *options: str) -> tuple[str, dict[str, str]]:
    """Its virtual IP, and the addresses of one, two and sorry."""
    check = ("--health", "tcp:80", "--health-interval", "200ms", "--health-fast", "50ms")
    daemon.sdctl("service", "create", service, "--network", "front", *check, *options)
    (made,) = daemon.json("service", "inspect", service)
    found = {}
    for each in ("one", "two", "sorry"):
        backup = ("--backup",) if each == "sorry" else ()
        daemon.sdctl("service", "join", service, daemon.name(each), *backup)
        (box,) = daemon.json("sandbox", "inspect", daemon.name(each))
        found[each] = next(iter(box["Networks"].values()))["IPAddress"]
    return made["VIPs"][0], found


def mode(daemon: Appliance, service: str) -> str:
    (found,) = daemon.json("service", "inspect", service)
    return str(found["Serving"])


def test_B9_16_below_the_quorum_the_backup_answers_and_then_the_members_again(
    daemon: Appliance,
) -> None:
    daemon.sdctl("network", "create", "front")
    for each in ("one", "two", "sorry", "client"):
        daemon.sandbox(each, "--network", "front")
    servers = {each: daemon.serve(each) for each in ("one", "two", "sorry")}
    vip, addresses = put(daemon, "web", "--quorum", "2", "--scheduler", "rr")
    put(daemon, "calm", "--panic", "60")
    until(lambda: mode(daemon, "web") == "members", 20, "both are up")
    until(lambda: set(served(daemon, "client", vip)) == {"one", "two"}, 20, "both answer")
    assert names(daemon, "client", "web") == {addresses["one"], addresses["two"]}
    servers["two"].kill()
    servers["two"].wait(10)
    until(lambda: mode(daemon, "web") == "backups", 20, "one is too few")
    assert served(daemon, "client", vip) == {"sorry": ASKED}
    assert names(daemon, "client", "web") == {addresses["sorry"]}
    roles = [(row["Backup"], row["State"]) for row in daemon.json("service", "ps", "web")]
    assert sorted(roles) == [(False, "down"), (False, "up"), (True, "up")]
    until(lambda: mode(daemon, "calm") == "all", 20, "half of them is below 60 percent")
    assert names(daemon, "client", "calm") == {addresses["one"], addresses["two"]}
    daemon.serve("two")
    until(lambda: mode(daemon, "web") == "members", 20, "two is back")
    until(lambda: set(served(daemon, "client", vip)) == {"one", "two"}, 20, "both answer")


@pytest.mark.parametrize(
    ("option", "code"),
    [(("--quorum", "0"), "SDD-USAGE"), (("--panic", "101"), "SDD-USAGE")],
)
def test_what_cannot_be_is_refused(daemon: Appliance, option: tuple[str, ...], code: str) -> None:
    done = daemon.sdctl("service", "create", "x", "--network", "bridge", *option, check=False)
    assert (done.returncode, code in done.stderr) == (2, True)
