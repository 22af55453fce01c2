"""Which sockets of a worker that others started are taken over."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from resolver import protocol
from resolver.space import outward, reclaim
from tests import support, under_unit
from tests.kernel.resolver.town import Town

pytestmark = pytest.mark.kernel

# As a worker has them: two listeners, and for each argument a lot towards upstreams.
WORKER = """
import socket, sys

def listener(kind):
    link = socket.socket(socket.AF_INET, kind)
    link.bind(("127.0.0.11", 0))
    if kind == socket.SOCK_STREAM:
        link.listen()
    return link

def outward(what, kind):
    link = socket.socket(socket.AF_INET if what == "four" else socket.AF_INET6, kind)
    if what != "four":
        link.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, what == "six")
    return link

kinds, counts = (socket.SOCK_DGRAM, socket.SOCK_STREAM), map(int, sys.argv[1:3])
held = [listener(kind) for kind in kinds]
for kind, count in zip(kinds, counts):
    held += [outward(what, kind) for what in sys.argv[3:] for _ in range(count)]
print("up", flush=True)
sys.stdin.read()
"""
FOUR, SIX = protocol.Family


@contextmanager
def worker(town: Town, counts: tuple[int, int], lots: tuple[str, ...]) -> Iterator[int]:
    command = ("nsenter", f"--net={town.path('ann')}", sys.executable, "-c", WORKER)
    process = subprocess.Popen(
        [*command, *map(str, counts), *lots], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        yield process.pid
    finally:
        process.communicate()


@pytest.mark.parametrize(
    ("lots", "families"),
    [
        ((), []),
        (("four",), [FOUR]),
        (("four", "six"), [FOUR, SIX]),
        (("both",), []),  # of releases before 22: they may have spoken IPv4
        (("both", "four"), [FOUR]),
    ],
)
async def test_listeners_and_whole_lots_that_spoke_one_family_alone(
    town: Town, lots: tuple[str, ...], families: list[protocol.Family]
) -> None:
    await town.make("ann")
    with worker(town, outward.COUNTS, lots) as pid:
        (found,) = reclaim.sockets(pid).found
    assert [each.family for each in found.lots] == families
    assert all(len(each.links) == sum(outward.COUNTS) for each in found.lots)
    assert [each.getsockname()[1] for each in found.opened.links] == [
        found.opened.listening.udp_port,
        found.opened.listening.tcp_port,
    ]
    found.close()


async def test_listeners_are_taken_over_whatever_is_beside_them(town: Town) -> None:
    await town.make("ann")
    with worker(town, (3, 1), ("four",)) as pid:
        (found,) = reclaim.sockets(pid).found
    assert found.lots == ()
    found.close()


def said(pid: int, *before: str) -> str:
    script = f"from resolver.space import reclaim; print(reclaim.sockets({pid}))"
    return support.run(*before, sys.executable, "-c", script).stdout


async def test_whether_they_are_kept_from_us_is_told(town: Town) -> None:
    await town.make("ann")
    with worker(town, outward.COUNTS, ("four",)) as pid:
        without = said(pid, "setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-all")
    assert without == "Claim(found=(), refused='permission denied')\n"
    assert said(pid) == "Claim(found=(), refused='')\n"  # it ended


async def test_the_unit_of_systemd_keeps_none_from_us(town: Town) -> None:
    await town.make("ann")
    with worker(town, outward.COUNTS, ("four",)) as pid:
        text = said(pid, *under_unit.words("sdd.service"))
    assert text.startswith("Claim(found=(Found("), text
