"""A live member is removed or disconnected under a client's hands: others answer what is new."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.e2e import mesh
from tests.e2e.appliance import BIN, Appliance, appliance, until
from tests.e2e.mesh import CLIENT, HOST

# A new connection every 25 ms, whatever becomes of the others; says how many got no answer.
CALLING = """
import asyncio, sys, time
host, port = sys.argv[1], int(sys.argv[2])
failed = []

async def one():
    try:
        async with asyncio.timeout(0.9):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(b"GET / HTTP/1.0\\r\\n\\r\\n")
            if b"from" not in await reader.read():
                failed.append("cut")
            writer.close()
    except (OSError, TimeoutError) as exc:
        failed.append(type(exc).__name__)

async def main():
    print("calling", flush=True)
    end = time.monotonic() + 4
    async with asyncio.TaskGroup() as group:
        while time.monotonic() < end:
            group.create_task(one(), name="one")
            await asyncio.sleep(0.025)

asyncio.run(main())
print(len(failed), *sorted(set(failed)))
"""
IN_FLIGHT = 0  # what was under way when its cable was cut


@pytest.fixture(scope="module")
def daemon() -> Iterator[Appliance]:
    with appliance("withdrawal") as one, mesh.outside(one):
        one.sdctl("network", "create", "front", "--subnet", "10.77.0.0/24")
        publish = ("--publish", "8440:80", "--publish", "published=8441,target=80,mode=host")
        one.sdctl("service", "create", "shop", "--network", "front", *publish)
        for name in ("stays1", "stays2", "near"):
            one.sandbox(name, "--network", "front")
        for name in ("stays1", "stays2"):
            one.serve(name)
            one.sdctl("service", "join", "shop", one.name(name))
        yield one


@pytest.mark.parametrize(
    "command",
    [
        ("sandbox", "rm"),
        ("network", "disconnect", "front"),
        ("service", "leave", "--drain", "0s", "shop"),
    ],
    ids=["rm", "disconnect", "leave"],
)
def test_a_live_member_goes_and_nobody_new_meets_it(
    daemon: Appliance, command: tuple[str, ...]
) -> None:
    (shop,) = daemon.json("service", "inspect", "shop")
    name = f"goes-{command[1]}"
    daemon.sandbox(name, "--network", "front")
    server = daemon.serve(name)
    daemon.sdctl("service", "join", "shop", daemon.name(name))
    ways = (
        (daemon.name("near"), shop["VIPs"][0], "80"),
        (CLIENT, HOST, "8440"),
        (CLIENT, HOST, "8441"),
    )
    callers = [
        subprocess.Popen(
            ["ip", "netns", "exec", where, sys.executable, "-c", CALLING, *to],
            stdout=subprocess.PIPE,
            text=True,
        )
        for where, *to in ways
    ]
    for each in callers:
        assert each.stdout is not None
        assert each.stdout.readline() == "calling\n"
    until(lambda: ":80 " in daemon.inside(name, "ss", "-Htan").stdout, 10, "it is called")
    daemon.sdctl(*command, daemon.name(name))
    said = [each.communicate(timeout=30)[0] for each in callers]
    server.terminate()
    assert [each for each in said if int(each.split()[0]) > IN_FLIGHT] == []


@pytest.mark.parametrize(
    "command",
    [("sandbox", "rm"), ("network", "disconnect", "front")],
    ids=["rm", "disconnect"],
)
def test_what_was_cut_off_by_a_kill_is_completed(
    daemon: Appliance, command: tuple[str, ...]
) -> None:
    name = f"cut-{command[1]}"
    daemon.sandbox(name, "--network", "front", "--service", "shop")
    sdctl = (str(BIN / "sdctl"), "-H", daemon.url)
    with subprocess.Popen(
        [*sdctl, "-o", "jsonl", "events", "--follow", "--since", "10m"],
        stdout=subprocess.PIPE,
        text=True,
    ) as events:
        assert events.stdout is not None
        removal = subprocess.Popen(
            [*sdctl, *command, daemon.name(name)],
            stderr=subprocess.DEVNULL,
        )
        while not ("draining" in (line := events.stdout.readline()) and daemon.name(name) in line):
            assert line
        daemon.kill()
        events.terminate()
        removal.wait(30)
    daemon.start()

    def connected() -> bool:
        rows = daemon.json("network", "inspect", "front")[0]["Containers"].values()
        return daemon.name(name) in {each["Name"] for each in rows}

    until(lambda: not connected(), 20, "the rest is done as well")
    there = daemon.sdctl("sandbox", "ls", "-q", "-o", "name").stdout.split()
    assert (daemon.name(name) in there) == (command[0] == "network")
    if command[0] == "network":
        daemon.sdctl("sandbox", "rm", daemon.name(name))
