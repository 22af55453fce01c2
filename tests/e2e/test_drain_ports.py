"""Who is connected to a member straight through the host's ports when that leaves its service."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.e2e import mesh
from tests.e2e.appliance import BIN, Appliance, appliance, until
from tests.e2e.mesh import CLIENT, HOST

PATIENCE_S = 8.0  # below the 60 s of the services
PORTS = {"host": 8541, "local": 8542, "names": 8543, "other": 8544, "brief": 8545}


@pytest.fixture(scope="module")
def daemon() -> Iterator[Appliance]:
    with appliance("drain-ports") as one, mesh.outside(one):
        one.sdctl("network", "create", "front", "--subnet", "10.77.0.0/24")
        for name, how, *more in (
            ("host", "mode=host"),
            ("local", "policy=local"),
            ("names", "mode=host", "--endpoint-mode", "dnsrr"),
            ("other", "mode=host"),
            ("brief", "mode=host"),
        ):
            publish = ("--drain", "60s", "--publish", f"published={PORTS[name]},target=7000,{how}")
            one.sdctl("service", "create", name, "--network", "front", *publish, *more)
        one.sandbox("goes", "--network", "front")
        one.program("goes", "socat", "TCP-LISTEN:7000,fork,reuseaddr", "PIPE")
        until(lambda: ":7000 " in one.inside("goes", "ss", "-Hltn").stdout, 10, "it listens")
        one.sdctl("service", "join", "other", one.name("goes"))
        yield one


class Caller:
    """A connection from outside to one of the ports."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def says(self) -> bool:
        """Whether what is said comes back."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            stdin.write(b"hello\n")
        except BrokenPipeError:
            return False
        return stdout.readline() == b"hello\n"

    def hang_up(self) -> None:
        self._process.terminate()
        self._process.wait(10)


@contextmanager
def calling(*names: str) -> Iterator[tuple[Caller, ...]]:
    with ExitStack() as stack:
        found = []
        for name in names:
            to = f"TCP4:{HOST}:{PORTS[name]}"
            process = subprocess.Popen(
                ["ip", "netns", "exec", CLIENT, "socat", "-", to],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
            )
            stack.enter_context(process)
            found.append(Caller(process))
            stack.callback(found[-1].hang_up)
            assert found[-1].says()
        yield tuple(found)


def leave(daemon: Appliance, name: str, drain: str) -> float:
    began = time.monotonic()
    daemon.sdctl("service", "leave", name, daemon.name("goes"), "--drain", drain)
    return time.monotonic() - began


@pytest.mark.parametrize("name", ["host", "local", "names"])
def test_leaving_waits_for_who_is_connected_and_ends_them_when_the_time_is_up(
    daemon: Appliance, name: str
) -> None:
    daemon.sdctl("service", "join", name, daemon.name("goes"))
    with calling(name, "other") as (caller, other):
        assert leave(daemon, name, "2s") >= 2
        assert not caller.says()
        assert other.says(), "who came by the port of another service is not meant"


@pytest.mark.parametrize("name", ["host", "local", "names"])
def test_leaving_returns_when_the_last_one_has_hung_up(daemon: Appliance, name: str) -> None:
    daemon.sdctl("service", "join", name, daemon.name("goes"))
    with calling(name, "other") as (caller, _):
        leaving = subprocess.Popen(
            [str(BIN / "sdctl"), "-H", daemon.url, "service", "leave", name, daemon.name("goes")]
        )
        until(lambda: "draining" in daemon.sdctl("service", "ps", name).stdout, 10, "it drains")
        with pytest.raises(subprocess.TimeoutExpired):
            leaving.wait(1)
        assert caller.says()
        caller.hang_up()
        assert leaving.wait(20) == 0


@pytest.mark.parametrize("name", ["host", "local", "names"])
def test_leaving_without_patience_ends_them_at_once(daemon: Appliance, name: str) -> None:
    daemon.sdctl("service", "join", name, daemon.name("goes"))
    with calling(name, "other") as (caller, other):
        assert leave(daemon, name, "0s") < PATIENCE_S
        assert not caller.says()
        assert other.says()


def test_a_port_that_goes_cuts_nobody_off(daemon: Appliance) -> None:
    daemon.sdctl("service", "join", "brief", daemon.name("goes"))
    with calling("brief") as (caller,):
        daemon.sdctl("service", "update", "brief", "--publish-rm", f"{PORTS['brief']}:7000")
        assert caller.says()
