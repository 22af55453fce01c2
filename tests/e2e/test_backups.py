"""Quorum, backups and the panic threshold, with real servers that are killed and come back."""

import functools
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.appliance import PATIENCE_S, Appliance, until

ASKED = 12


def served(daemon: Appliance, box: str, vip: str) -> Counter[str]:
    """Who answered, by the name on the page: "hello from NAME, you are CLIENT"."""
    found: Counter[str] = Counter()
    for _ in range(ASKED):
        done = daemon.inside(box, "curl", "-s", "--max-time", "30", f"http://{vip}/", check=False)
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
    until(lambda: mode(daemon, "web") == "members", PATIENCE_S, "both are up")
    until(lambda: set(served(daemon, "client", vip)) == {"one", "two"}, PATIENCE_S, "both answer")
    daemon.until_done()
    assert names(daemon, "client", "web") == {addresses["one"], addresses["two"]}
    servers["two"].kill()
    servers["two"].wait(PATIENCE_S)
    until(lambda: mode(daemon, "web") == "backups", PATIENCE_S, "one is too few")
    until(lambda: served(daemon, "client", vip) == {"sorry": ASKED}, PATIENCE_S, "as the kernel")
    until(lambda: names(daemon, "client", "web") == {addresses["sorry"]}, PATIENCE_S, "as names")
    roles = [(row["Backup"], row["State"]) for row in daemon.json("service", "ps", "web")]
    assert sorted(roles) == [(False, "down"), (False, "up"), (True, "up")]
    until(lambda: mode(daemon, "calm") == "all", PATIENCE_S, "half of them is below 60 percent")
    daemon.until_done()
    assert names(daemon, "client", "calm") == {addresses["one"], addresses["two"]}
    daemon.serve("two")
    until(lambda: mode(daemon, "web") == "members", PATIENCE_S, "two is back")
    until(lambda: set(served(daemon, "client", vip)) == {"one", "two"}, PATIENCE_S, "both answer")


@pytest.mark.parametrize(
    ("option", "code"),
    [(("--quorum", "0"), "SDD-USAGE"), (("--panic", "101"), "SDD-USAGE")],
)
def test_what_cannot_be_is_refused(daemon: Appliance, option: tuple[str, ...], code: str) -> None:
    done = daemon.sdctl("service", "create", "x", "--network", "bridge", *option, check=False)
    assert (done.returncode, code in done.stderr) == (2, True)


def test_a_backup_takes_over_ipv6_alone_by_virtual_address_name_and_port(
    daemon: Appliance, tmp_path: Path
) -> None:
    daemon.sdctl("network", "create", "dual", "--ipv6")
    check = ("--health", "tcp:80", "--health-interval", "200ms", "--health-fast", "50ms")
    ports = ("-p", "published=8096,target=80", "-p", "published=8097,target=80,mode=host")
    daemon.sdctl("service", "create", "half", "--network", "dual", *check, *ports)
    for name, listens in (("only4", "0.0.0.0"), ("spare", "[::]")):
        daemon.sandbox(name, "--network", "dual")
        (tmp_path / name).mkdir()
        (tmp_path / name / "who").write_text(name)
        page = str(tmp_path / name)
        daemon.program(name, "busybox", "httpd", "-f", "-p", f"{listens}:80", "-h", page)
        backup = ("--backup",) if name == "spare" else ()
        daemon.sdctl("service", "join", "half", daemon.name(name), *backup)
    daemon.sandbox("asks", "--network", "dual")

    def shown() -> Any:
        (found,) = daemon.json("service", "inspect", "half")
        return found

    wanted = dict.fromkeys(("IPv4", "IPv4 on ingress"), "members")
    wanted |= dict.fromkeys(("IPv6", "IPv6 on ingress"), "backups")
    until(lambda: shown()["ServingBy"] == wanted, PATIENCE_S, lambda: f"{shown()}")
    daemon.until_done()
    fetch = ("curl", "-sf", "--max-time", "30")

    def leads(to: str, who: str, *flags: str, port: int | None = None) -> None:
        url = f"http://[{to}]" if ":" in to else f"http://{to}"
        command = (*fetch, *flags, f"{url}:{port or 80}/who")
        ask = daemon.on_host if port else functools.partial(daemon.inside, "asks")
        until(lambda: ask(*command, check=False).stdout == who, PATIENCE_S, f"{command}: {who}")

    four, six = sorted(shown()["VIPs"], key=lambda each: ":" in each)
    leads(four, "only4")
    leads(six, "spare")
    for flag, who in (("-4", "only4"), ("-6", "spare")):
        leads("half", who, flag)
        leads("tasks.half", who, flag)
    (net,) = daemon.json("network", "inspect", "dual")
    for gateway in (str(each["Gateway"]) for each in net["IPAM"]["Config"]):
        for port in (8096, 8097):
            leads(gateway, "spare" if ":" in gateway else "only4", port=port)
    told = daemon.sdctl("service", "ps", "half").stdout
    assert "backup (IPv6, IPv6 on ingress)" in told
    assert "half (backups)" in daemon.sdctl("lb", "ls", "half").stdout
    trace = daemon.sdctl("lb", "trace", f"[{six}]:80", "--from", daemon.name("asks")).stdout
    assert "fewer than 1 members are up by IPv6" in trace
    daemon.program("only4", "socat", "TCP6-LISTEN:80,ipv6only=1,fork", "EXEC:true")
    until(lambda: shown()["ServingBy"] == {}, PATIENCE_S, "it answers by IPv6 as well")
    daemon.until_done()
    leads(four, "only4")
    daemon.sdctl("verify")
