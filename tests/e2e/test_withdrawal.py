"""A live member is removed or disconnected under a client's hands: others answer what is new."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e import mesh
from tests.e2e.appliance import BIN, Appliance, appliance, until
from tests.e2e.mesh import CLIENT, HOST
from tests.e2e.retries import asked_again

# A new connection every 25 ms, whatever becomes of the others, until the file is there; says what
# became of each.
CALLING = """
import asyncio, os, sys
host, port, enough = sys.argv[1], int(sys.argv[2]), sys.argv[3]

async def one():
    try:
        async with asyncio.timeout(60):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(b"GET / HTTP/1.0\\r\\n\\r\\n")
            found = await reader.read()
            print("answered" if b"from" in found else "cut", flush=True)
            writer.close()
    except (OSError, TimeoutError) as exc:
        print(type(exc).__name__, flush=True)

async def main():
    async with asyncio.TaskGroup() as group:
        while not os.path.exists(enough):
            group.create_task(one(), name="one")
            await asyncio.sleep(0.025)

asyncio.run(main())
"""


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
    daemon: Appliance, command: tuple[str, ...], tmp_path: Path
) -> None:
    """Who meets nobody is asked nothing back, and so asks for the connection again, a second later."""
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
    files = [tmp_path / f"caller{at}" for at in range(len(ways))]
    before = [asked_again(where) for where, *_ in ways]

    def called() -> int:
        """How often by the one that called least."""
        return min(each.read_text().count("answered\n") for each in files)

    with calling(ways, files):
        meets = ("ss", "-Htn", "state", "connected", "sport", "=", ":80")
        until(lambda: daemon.inside(name, *meets).stdout, 60, "it is called")
        daemon.sdctl(*command, daemon.name(name))
        then = called()
        until(lambda: called() > then + 40, 120, "others answer")
    server.terminate()
    assert {line for each in files for line in each.read_text().splitlines()} == {"answered"}
    assert [asked_again(where) for where, *_ in ways] == before


@contextmanager
def calling(ways: Sequence[tuple[str, str, str]], files: Sequence[Path]) -> Iterator[None]:
    """A caller for each way, whose words are in the file; ended when all are answered."""
    enough = files[0].parent / "enough"
    callers = []
    for (where, *to), file in zip(ways, files, strict=True):
        enter = ("ip", "netns", "exec", where, sys.executable, "-c", CALLING)
        with file.open("w") as out:
            callers.append(subprocess.Popen([*enter, *to, str(enough)], stdout=out))
    try:
        yield
    finally:
        enough.touch()
        assert [each.wait(120) for each in callers] == [0] * len(callers)


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
        removal.wait(60)
    daemon.start()

    def connected() -> bool:
        rows = daemon.json("network", "inspect", "front")[0]["Containers"].values()
        return daemon.name(name) in {each["Name"] for each in rows}

    def there() -> bool:
        return daemon.name(name) in daemon.sdctl("sandbox", "ls", "-q", "-o", "name").stdout.split()

    until(lambda: not connected(), 60, "the rest is done as well")
    until(lambda: there() == (command[0] == "network"), 60, "all of the rest")
    if command[0] == "network":
        daemon.sdctl("sandbox", "rm", daemon.name(name))
