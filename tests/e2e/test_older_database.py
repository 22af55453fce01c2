"""sdd is started on a database in which an older release kept addresses that name a link."""

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdd.store.contract import Transaction, Write
from sdd.store.sqlite import SqliteStore
from tests.e2e.appliance import Appliance, appliance, until

SPOILED = {  # what this release takes → what the older one took
    '"fe80::1234"': '"fe80::1234%eth0"',
    '"fe80::53"': '"fe80::53%eth0"',
    '"fd78::77"': '"fd78::77%a"',
    '"fd79::/64"': '"fd79::%1/64"',
}


@pytest.fixture(scope="module")
def daemon() -> Iterator[Appliance]:
    with appliance("older") as one:
        one.sdctl(
            *("network", "create", "lab", "--ipv6", "--subnet", "10.78.0.0/24"),
            *("--subnet", "fd78::/64"),
        )
        one.sdctl("network", "create", "odd", "--ipv6", "--subnet", "fd79::/64")
        one.sandbox("good", "--network", "lab")
        one.sandbox("asks", "--network", "lab", "--dns", "fe80::53")
        one.sandbox("bad", "--network", "lab", "--add-host", "fe:fe80::1234")
        one.sandbox("far", "--network", "odd")
        one.sdctl("service", "create", "six", "--network", "lab", "--vip", "fd78::77")
        for pid in one.pids():  # the worker too: nobody remembers better days
            os.kill(pid, signal.SIGKILL)
        assert one.process is not None
        one.process.wait(20)
        until(lambda: not one.pids(), 60, "all is down")
        (path,) = (one.root / "data").glob("*.db")
        assert asyncio.run(spoil(path)) >= len(SPOILED)
        one.start()
        yield one


async def spoil(path: Path) -> int:
    """Writes the values as the older release had them; how many."""
    store = await SqliteStore.open(path)
    try:
        writes = []
        for item in (await store.range("")).items:
            value = item.value.decode()
            for new, old in SPOILED.items():
                value = value.replace(new, old)
            if value.encode() != item.value:
                json.loads(value)
                writes.append(Write(item.key, value.encode()))
        await store.commit(Transaction(operations=tuple(writes)))
        return len(writes)
    finally:
        await store.close()


def failures(one: Appliance) -> list[str]:
    (found,) = one.json("status")
    every = (each for at in found["Backends"] for each in at["Failures"])
    return [f"{each['Name']}: {each['Error']}" for each in every]


def test_all_but_what_is_spoiled_is_served_and_that_can_be_removed(daemon: Appliance) -> None:
    until(lambda: len(failures(daemon)) >= 5, 60, lambda: str(failures(daemon)))
    said = "\n".join(failures(daemon))
    for word in (daemon.name("bad"), daemon.name("far"), "'six'", "'odd'"):
        assert word in said
    assert daemon.name("good") not in said
    assert "SDD-DEFECT" not in daemon.sdctl("status", check=False).stdout

    # What is only left out fails nothing, and is told wherever people look.
    asks = daemon.name("asks")
    (shown,) = daemon.json("sandbox", "inspect", asks)
    assert shown["Warning"].startswith("fe80::53%eth0 is never asked")
    assert "left out: fe80::53%eth0" in Path(shown["ResolvConfPath"]).read_text()
    for look in ("verify", "doctor"):
        assert "fe80::53%eth0" in daemon.sdctl(look, check=False).stdout
    assert asks not in said

    daemon.sandbox("late", "--network", "lab")
    for name in ("good", "late"):
        assert "10.78.0." in daemon.inside("good", "getent", "ahostsv4", name).stdout
    assert "10.78.0." in daemon.inside("late", "getent", "ahostsv4", "good").stdout
    daemon.inside("late", "ping", "-c1", "-W20", "good")

    daemon.sdctl("sandbox", "rm", daemon.name("bad"), daemon.name("far"), asks)
    daemon.sdctl("service", "rm", "six")
    daemon.sdctl("network", "rm", "odd")
    until(lambda: not failures(daemon), 60, lambda: str(failures(daemon)))
    assert "Traceback" not in daemon.log()
