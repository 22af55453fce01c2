"""Who is connected to a member straight through the host's ports when that leaves its service."""

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from sdd.linux import namespaces
from tests.e2e import mesh
from tests.e2e.appliance import BIN, Appliance, appliance, until
from tests.e2e.mesh import CLIENT, HOST, HOST6

SUBNETS = ("--subnet", "10.77.0.0/24", "--subnet", "fd77::/64")
DRAIN = "10m"  # of the services
PATIENCE_S = 60.0  # below it
PORTS = {"host": 8541, "local": 8542, "names": 8543, "other": 8544, "brief": 8545}
PORTS |= {"gone-host": 8546, "gone-local": 8547, "half-host": 8548, "half-local": 8549}
TALKS = """
import os, socket, time
one = socket.create_server(("::", 7001), family=socket.AF_INET6, dualstack_ipv6=True)
while True:
    with one.accept()[0] as each:
        while each.recv(100):
            pass
        try:
            while True:
                each.sendall(b".")
                time.sleep(0.1)
        except OSError:
            pass
"""  # says something as long as somebody listens, though that one has said goodbye


@pytest.fixture(scope="module")
def daemon() -> Iterator[Appliance]:
    with appliance("drain-ports") as one, mesh.outside(one):
        one.sdctl("network", "create", "front", "--ipv6", *SUBNETS)
        for name, how, *more in (
            ("host", "mode=host"),
            ("local", "policy=local"),
            ("names", "mode=host", "--endpoint-mode", "dnsrr"),
            ("other", "mode=host"),
            ("brief", "mode=host"),
            ("gone-host", "mode=host"),
            ("gone-local", "policy=local"),
            ("half-host", "mode=host"),
            ("half-local", "policy=local"),
        ):
            target = 7001 if name.startswith("half") else 7000
            publish = (
                "--drain",
                DRAIN,
                "--publish",
                f"published={PORTS[name]},target={target},{how}",
            )
            one.sdctl("service", "create", name, "--network", "front", *publish, *more)
        one.sandbox("goes", "--network", "front")
        one.program("goes", "socat", "TCP6-LISTEN:7000,fork,reuseaddr,ipv6only=0", "PIPE")
        one.program("goes", sys.executable, "-c", TALKS)
        for port in (7000, 7001):
            until(lambda: listens(one, port), PATIENCE_S, f"{port}")  # noqa: B023 - asked at once
        one.sdctl("service", "join", "other", one.name("goes"))
        yield one


def listens(one: Appliance, port: int) -> bool:
    return f":{port} " in one.inside("goes", "ss", "-Hltn").stdout


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
        self._process.wait(PATIENCE_S)


@contextmanager
def calling(*names: str, host: str = HOST) -> Iterator[tuple[Caller, ...]]:
    with ExitStack() as stack:
        found = []
        for name in names:
            to = f"TCP6:[{host}]" if ":" in host else f"TCP4:{host}"
            to += f":{PORTS[name]}"
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


@pytest.mark.parametrize("host", [HOST, HOST6])
@pytest.mark.parametrize("name", ["host", "local", "names"])
def test_leaving_returns_when_the_last_one_has_hung_up(
    daemon: Appliance, name: str, host: str
) -> None:
    daemon.sdctl("service", "join", name, daemon.name("goes"))
    with calling(name, "other", host=host) as (caller, _):
        leaving = is_waited_for(daemon, name)
        assert caller.says()
        caller.hang_up()
        assert leaving.wait(PATIENCE_S) == 0


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


def is_waited_for(daemon: Appliance, name: str) -> subprocess.Popen[bytes]:
    """A leave that does not end, since somebody is connected."""
    leaving = subprocess.Popen(
        [str(BIN / "sdctl"), "-H", daemon.url, "service", "leave", name, daemon.name("goes")]
    )
    until(lambda: "draining" in daemon.sdctl("service", "ps", name).stdout, PATIENCE_S, "it drains")
    with pytest.raises(subprocess.TimeoutExpired):
        leaving.wait(1)
    return leaving


@contextmanager
def unpublished(daemon: Appliance, name: str) -> Iterator[None]:
    """The port is away meanwhile."""
    daemon.sdctl("service", "update", name, "--publish-rm", f"{PORTS[name]}:7000")
    yield
    how = "mode=host" if name == "gone-host" else "policy=local"
    publish = f"published={PORTS[name]},target=7000,{how}"
    daemon.sdctl("service", "update", name, "--publish-add", publish)


@pytest.mark.parametrize("name", ["gone-host", "gone-local"])
def test_who_came_by_a_port_that_went_is_waited_for(daemon: Appliance, name: str) -> None:
    for host in (HOST, HOST6):
        daemon.sdctl("service", "join", name, daemon.name("goes"))
        with calling(name, "other", host=host) as (caller, _), unpublished(daemon, name):
            leaving = is_waited_for(daemon, name)
            assert caller.says()
            caller.hang_up()
            assert leaving.wait(PATIENCE_S) == 0


@pytest.mark.parametrize("name", ["gone-host", "gone-local"])
def test_who_came_by_a_port_that_went_is_ended_when_the_time_is_up(
    daemon: Appliance, name: str
) -> None:
    daemon.sdctl("service", "join", name, daemon.name("goes"))
    with calling(name, "other") as (caller, other), unpublished(daemon, name):
        assert leave(daemon, name, "2s") >= 2
        assert not caller.says()
        assert other.says()


@pytest.mark.parametrize("host", [HOST, HOST6])
@pytest.mark.parametrize("name", ["half-host", "half-local"])
def test_who_said_goodbye_and_still_listens_is_waited_for(
    daemon: Appliance, name: str, host: str
) -> None:
    daemon.sdctl("service", "join", name, daemon.name("goes"))
    with listening(host, PORTS[name]) as caller:
        leaving = is_waited_for(daemon, name)
        assert caller.recv(100)
        caller.close()
        assert leaving.wait(PATIENCE_S) == 0


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A connection from outside of which one end is closed."""
    with contextlib.closing(namespaces.Namespaces()) as doors:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        path = f"/run/netns/{CLIENT}"
        with doors.run_sync(path, lambda: socket.socket(family, socket.SOCK_STREAM)) as caller:
            caller.settimeout(PATIENCE_S)
            caller.connect((host, port))
            caller.shutdown(socket.SHUT_WR)
            assert caller.recv(100)
            yield caller
