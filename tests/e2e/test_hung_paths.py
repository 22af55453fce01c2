"""An adopted sandbox whose path leads into a file system that hangs: all others go on."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sdd.linux import lookups
from tests.automount import automount
from tests.e2e.appliance import PATIENCE_S, Appliance, appliance, until
from tests.e2e.prompt import PROMPT_S, create, promptly
from tests.hung import Hung, hung

HANGS = "SDD-NETNS-HANGS"


@pytest.fixture(scope="module")
def daemon() -> Iterator[Appliance]:
    with appliance("hung") as one:
        one.sdctl("network", "create", "front", "--subnet", "10.90.0.0/24")
        web = ("--health", "tcp:80", "-p", "published=8090,target=80,mode=ingress")
        one.sdctl("service", "create", "web", "--network", "front", *web)
        one.sdctl("service", "create", "odd", "--network", "front", "--health", "udp:5000")
        for name in ("web1", "web2"):
            one.sandbox(name, "--network", "front")
            one.serve(name)
            one.sdctl("service", "join", "web", one.name(name))
        one.until_replicas("web", "2/2")
        yield one


@pytest.fixture
def away(daemon: Appliance) -> Iterator[Hung]:
    with hung(daemon.root / "away") as made:
        yield made


@pytest.fixture
def guest(daemon: Appliance) -> Iterator[str]:
    """Adopted by a link, through which it is a member."""
    name = daemon.name("guest")
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        lead(daemon, Path(f"/run/netns/{name}"))
        attach = ("sandbox", "attach", name, "--netns", str(daemon.root / "guest"))
        daemon.sdctl(*attach, "--network", "front", "--network-alias", "guest")
        daemon.sdctl("service", "join", "odd", name)
        yield name
        daemon.sdctl("sandbox", "rm", name, check=False)
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


def lead(one: Appliance, to: Path) -> None:
    draft = one.root / "draft"
    draft.symlink_to(to)
    draft.replace(one.root / "guest")


def failures(one: Appliance) -> dict[str, list[tuple[str, str]]]:
    """By backend: the name of what failed, the code."""
    (status,) = one.json("status")
    return {
        each["Name"]: [(failed["Name"], failed["Code"]) for failed in each["Failures"]]
        for each in status["Backends"]
    }


def members(one: Appliance) -> list[tuple[Any, ...]]:
    rows = one.json("service", "ps", "web")
    return [(row["State"], row["Failing"], row["IngressFailing"]) for row in rows]


def test_one_path_that_hangs_is_one_sandbox_s_failure(
    daemon: Appliance, guest: str, away: Hung
) -> None:
    well, before = members(daemon), daemon.log().count(HANGS)
    lead(daemon, away.file)
    with promptly(daemon, PROMPT_S + lookups.PATIENCE_S) as client:
        create(client, daemon, "new1")
    told = [(guest, HANGS)]
    wanted = {"netns": told, "lb": told, "ports": [], "resolver": told}
    until(lambda: failures(daemon) == wanted, 2 * PATIENCE_S, "it is told of that sandbox alone")
    with promptly(daemon) as client:
        create(client, daemon, "new2")
    assert daemon.inside("web1", "getent", "ahostsv4", "new2").returncode == 0
    refused = daemon.sdctl("network", "connect", "bridge", guest, check=False)
    assert HANGS in refused.stderr
    assert members(daemon) == well
    assert {row["Sandbox"] for row in daemon.json("lb", "ls")} >= {daemon.name("web1")}
    assert HANGS in daemon.sdctl("lb", "ls", "--from", guest, check=False).stderr
    assert daemon.log().count(HANGS) - before <= 2 * len(told) * 3, "each backend tells it once"
    lead(daemon, Path(f"/run/netns/{guest}"))
    until(lambda: not any(failures(daemon).values()), 2 * PATIENCE_S, "all is well again")
    daemon.sdctl("network", "connect", "bridge", guest)
    assert daemon.inside("web1", "getent", "ahostsv4", "guest").returncode == 0


def test_a_path_that_fails_on_the_way_says_no_more_of_the_sandbox_than_one_that_hangs(
    daemon: Appliance, guest: str, away: Hung
) -> None:
    """As after `umount -f` of a file system whose server is away."""
    away.fail()
    lead(daemon, away.file)
    told = [(guest, HANGS)]
    wanted = {"netns": told, "lb": told, "ports": [], "resolver": told}
    until(lambda: failures(daemon) == wanted, 2 * PATIENCE_S, "it is told of that sandbox alone")
    gone = daemon.sdctl("sandbox", "rm", guest, check=False)
    assert gone.returncode == 0 or "it is removed" in gone.stderr
    lead(daemon, Path(f"/run/netns/{guest}"))
    until(lambda: not any(failures(daemon).values()), 2 * PATIENCE_S, "all is well again")
    inside = ("nsenter", f"--net=/run/netns/{guest}", "nft", "list", "tables")

    def is_clean() -> bool:
        return not subprocess.run(inside, check=True, capture_output=True).stdout

    until(is_clean, 2 * PATIENCE_S, "nothing of ours is left inside")


def test_a_sandbox_whose_path_hangs_can_be_removed_and_a_start_waits_for_none(
    daemon: Appliance, guest: str, away: Hung
) -> None:
    lead(daemon, away.file)
    daemon.kill()
    daemon.start()
    until(lambda: HANGS in str(failures(daemon)), 2 * PATIENCE_S, "it is told")
    gone = daemon.sdctl("sandbox", "rm", guest, check=False)
    assert gone.returncode == 0 or "it is removed" in gone.stderr
    until(lambda: not any(failures(daemon).values()), 2 * PATIENCE_S, "nobody misses it")
    theirs = subprocess.run(
        ["ip", "-n", guest, "-br", "link"], check=True, capture_output=True, text=True
    )
    assert "eth0" not in theirs.stdout


def test_who_waits_for_an_automount_keeps_nobody_from_its_file_system(daemon: Appliance) -> None:
    with automount(daemon.root / "share") as share:
        for _ in range(2):
            attach = ("sandbox", "attach", daemon.name("odd"), "--netns", str(share / "ns"))
            assert HANGS in daemon.sdctl(*attach, "--network", "front", check=False).stderr
        other = daemon.name("other")
        subprocess.run(["ip", "netns", "add", other], check=True)
        try:
            with promptly(daemon) as client:
                create(client, daemon, "new3")
                there = {"netns": f"/run/netns/{other}", "write_resolv_conf": "auto"}
                plugs = {"attachments": [{"network": "front"}]}
                client.post("/v1/sandboxes", {"name": other} | there | plugs)
            daemon.sdctl("sandbox", "rm", other)
        finally:
            subprocess.run(["ip", "netns", "del", other], check=True)
