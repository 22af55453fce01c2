"""Who has a port, on this machine's kernel: the sockets are this process's own."""

import os
import socket
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path

import pytest

from lb.kernel.ports import holders
from lb.ports.table import Bind, Hindrance
from sdd.linux import namespaces, port_holders
from sdd.linux.port_holders import Asked, Holder
from sdd.model.port import Protocol
from tests.kernel.spaces import Space, Spaces
from tests.support import eventually

pytestmark = pytest.mark.kernel
TCP, UDP = socket.IPPROTO_TCP, socket.IPPROTO_UDP
V4, V6 = socket.AF_INET, socket.AF_INET6
LOCAL, LOCAL6 = ip_address("127.0.0.1"), ip_address("::1")
US = Holder(name=Path("/proc/self/comm").read_text().rstrip("\n"), pid=os.getpid())


@pytest.fixture
def host(spaces: Spaces) -> Space:
    made = spaces.make("holders")
    made.run("ip", "link", "set", "lo", "up")
    return made


@pytest.fixture
def doors(host: Space) -> Iterator[namespaces.Namespaces]:
    opened = namespaces.Namespaces(host.path)
    yield opened
    opened.close()


@contextmanager
def bound(
    doors: namespaces.Namespaces, protocol: int, address: str, *, only6: bool = False
) -> Iterator[None]:
    def work() -> socket.socket:
        kind = socket.SOCK_STREAM if protocol == TCP else socket.SOCK_DGRAM
        made = socket.socket(V6 if ":" in address else V4, kind)
        if ":" in address:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only6)
        made.bind((address, 8080))
        if protocol == TCP:
            made.listen()
        return made

    with doors.run_sync("", work):
        yield


def asked(protocol: int, version: int, address: object = None, number: int = 8080) -> Asked:
    return Asked(version=version, protocol=protocol, number=number, address=address)  # type: ignore[arg-type]  # an address


def told(doors: namespaces.Namespaces, one: Asked, limit_s: float = 60) -> Holder | None:
    return doors.run_sync("", lambda: port_holders.holders([one], limit_s)).get(one)


@pytest.mark.parametrize("protocol", [TCP, UDP])
@pytest.mark.parametrize(
    "case",  # what is bound, whether to IPv6 alone; the version and address that are wanted
    [
        ("0.0.0.0", False, 4, None, True),
        ("0.0.0.0", False, 4, LOCAL, True),
        ("127.0.0.1", False, 4, None, True),
        ("127.0.0.1", False, 4, ip_address("127.0.0.2"), False),
        ("0.0.0.0", False, 6, None, False),
        ("::", False, 4, None, True),
        ("::", False, 4, LOCAL, True),
        ("::", True, 4, None, False),
        ("::", True, 6, LOCAL6, True),
        ("::1", False, 6, None, True),
        ("::1", False, 4, None, False),
        ("::ffff:127.0.0.1", False, 4, LOCAL, True),
    ],
)
def test_a_socket_is_told_where_it_is_in_the_way(
    doors: namespaces.Namespaces, protocol: int, case: tuple[str, bool, int, object, bool]
) -> None:
    address, only6, version, where, is_in_the_way = case
    with bound(doors, protocol, address, only6=only6):
        assert told(doors, asked(protocol, version, where)) == (US if is_in_the_way else None)
        assert told(doors, asked(protocol, version, where, number=8081)) is None
        assert told(doors, asked(TCP + UDP - protocol, version, where)) is None


def test_without_time_nobody_is_told(doors: namespaces.Namespaces) -> None:
    with bound(doors, TCP, "0.0.0.0"):
        assert told(doors, asked(TCP, 4), limit_s=0) is None


def test_a_program_and_its_children_by_the_first_and_their_number(
    doors: namespaces.Namespaces, host: Space
) -> None:
    code = (
        "import os, socket, pathlib\n"
        "pathlib.Path('/proc/self/comm').write_bytes(b'a\\x1b[2Jb')\n"
        "s = socket.socket(); s.bind(('', 8080)); s.listen()\n"
        "pid = os.fork()\n"
        "print(pid, flush=True) if pid else None\n"
        "os.read(0, 1)\n"
        "pid and os.kill(pid, 9)\n"
    )
    command = ["nsenter", f"--net={host.path}", sys.executable, "-c", code]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as one:
        assert one.stdout is not None
        assert one.stdin is not None
        child = int(one.stdout.readline())
        eventually(lambda: told(doors, asked(TCP, 4)) is not None, 30, "it is seen")
        found = told(doors, asked(TCP, 4))
        assert found == Holder(name="a?[2Jb", pid=min(one.pid, child), more=1)
        assert str(found) == f"a?[2Jb (pid {found.pid} and 1 more)"
        one.stdin.write(b"x")
        one.stdin.close()


def test_all_processes_are_looked_through_once_for_a_socket_and_again_after_a_minute(
    doors: namespaces.Namespaces, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[set[int]] = []
    owning = port_holders.owning

    def watched(inodes: Collection[int], limit_s: float = 10) -> Mapping[int, Holder]:
        looks.append(set(inodes))
        return owning(inodes, limit_s)

    monkeypatch.setattr(port_holders, "owning", watched)
    now = [0.0]
    one = holders.Holders(lambda: now[0])
    bind = Bind(version=4, protocol=Protocol.TCP, number=8080)

    def said() -> str:
        return doors.run_sync("", lambda: one.named({bind: Hindrance.TAKEN}))[bind]

    with bound(doors, TCP, "0.0.0.0"):
        assert [said() for _ in range(3)] == [f"{US} has it"] * 3
        assert len(looks) == 1
        now[0] += holders.BELIEVED_S
        assert said() == f"{US} has it"
        assert len(looks) == 2
    with bound(doors, TCP, "127.0.0.1"):
        assert said() == f"{US} has it"
    assert len(looks) == 3
    assert said() == holders.UNSEEN
    assert len(looks) == 3
