"""What sdd itself lacks is charged to no member: whoever cannot be checked stays, and it is told."""

import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.appliance import Appliance, appliance, until

pytestmark = pytest.mark.e2e
SLOW_S = 60
QUICK = ("--health-interval", "200ms", "--health-fast", "50ms", "--health-timeout", "10s")
UP = {"one": "up", "two": "up"}


@pytest.fixture
def daemon() -> Iterator[Appliance]:
    with appliance("unchecked") as one:
        one.sdctl("network", "create", "lab")
        for name in UP:
            one.sandbox(name, "--network", "lab")
            one.serve(name)
            one.program(name, "socat", "-u", "UDP4-RECV:80", "OPEN:/dev/null")
        yield one


@contextmanager
def without_files(one: Appliance) -> Iterator[Callable[[], None]]:
    """The daemon can open nothing more; to be called again for what it has closed since."""
    assert one.process is not None
    pid = one.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)

    def take_all() -> None:
        taken = {int(each) for each in os.listdir(f"/proc/{pid}/fd")}  # noqa: PTH208 - names are numbers
        lowest = next(each for each in range(len(taken) + 1) if each not in taken)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (lowest, before[1]))

    try:
        take_all()
        yield take_all
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


def serve(one: Appliance, svc: str, check: str, *options: str) -> None:
    one.sdctl("service", "create", svc, "--network", "lab", "--health", check, *QUICK, *options)
    for name in UP:
        one.sdctl("service", "join", svc, one.name(name))
    until(lambda: states(one, svc) == UP, SLOW_S, f"the members of {svc} are up")


def states(one: Appliance, svc: str) -> dict[str, str]:
    rows = one.json("service", "ps", svc)
    return {row["Sandbox"].rsplit("-", 1)[1]: row["State"] for row in rows}


def test_no_member_is_down_because_the_daemon_can_open_no_file(daemon: Appliance) -> None:
    checks = {"web": "tcp:80", "inner": "exec:true", "talk": "udp:80"}
    for svc, check in checks.items():
        serve(daemon, svc, check)
    since = {svc: [row["Since"] for row in daemon.json("service", "ps", svc)] for svc in checks}
    with without_files(daemon) as take_all:

        def is_told() -> bool:
            take_all()  # what a check had open when it was done last
            return "health.unchecked" in daemon.log()

        until(is_told, SLOW_S, "the log tells of it")
    until(lambda: "health.checked" in daemon.log(), SLOW_S, "the log tells that it is over")
    until(lambda: "degraded" not in daemon.sdctl("status").stdout, SLOW_S, "all is well again")
    for svc in checks:
        assert states(daemon, svc) == UP
        assert [row["Since"] for row in daemon.json("service", "ps", svc)] == since[svc]


def test_who_can_never_be_checked_does_not_stay_up_in_silence(daemon: Appliance) -> None:
    serve(daemon, "talk", "udp:80")
    daemon.on_host("nft", "add table inet fw")
    daemon.on_host("nft", "add chain inet fw out { type filter hook output priority 0; }")
    daemon.on_host("nft", "add rule inet fw out udp dport 80 drop")

    def unchecked() -> set[str]:
        return {row["Unchecked"] for row in daemon.json("service", "ps", "talk")}

    until(lambda: unchecked() == {"operation not permitted"}, SLOW_S, "each member says why")
    assert states(daemon, "talk") == UP
    told = daemon.sdctl("status").stdout
    assert "cannot be made, so its health stays as it was" in told
    assert "[SDD-HEALTH-UNMADE]" in told
    assert (
        "cannot be checked: operation not permitted" in daemon.sdctl("service", "ps", "talk").stdout
    )
    assert "cannot be made, so its health stays" in daemon.sdctl("doctor", check=False).stdout
    daemon.on_host("nft", "delete table inet fw")
    until(lambda: unchecked() == {""}, SLOW_S, "they are checked again")
    until(lambda: "its checks" not in daemon.sdctl("status").stdout, SLOW_S, "all is well again")
