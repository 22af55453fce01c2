"""Links on a parent that lost their marks or their namespace's name: never double, never foreign."""

import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import FrameType

import pytest

from netns import reconciler
from netns.kernel import ghosts, linux, nurseries
from sdd import state
from sdd.linux import libc, namespaces
from sdd.model import ids, sandbox
from tests.kernel.netns import outside
from tests.kernel.netns.conftest import Host, run_in
from tests.kernel.netns.outside import pings
from tests.kernel.netns.test_macvlan import LAN, MACVLAN, ONE, two_on
from tests.netns_states import NODE, at, box, end, net

pytestmark = pytest.mark.kernel


@pytest.fixture
def neighbour(host: Host) -> Iterator[str]:
    with outside.neighbour(host) as path:
        yield path


ROB = "ip link set eth0 alias x group default"
FLUSH = "ip addr flush dev eth0"


@pytest.mark.parametrize("damage", [ROB, f"{ROB} && {FLUSH}"], ids=["marks", "addresses-too"])
@pytest.mark.parametrize("is_ours", [True, False], ids=["known", "restarted"])
async def test_a_link_that_lost_its_marks_is_made_again_and_not_twice(
    host: Host, neighbour: str, damage: str, is_ours: bool
) -> None:
    now = two_on(host, LAN)
    await host.settle(now)
    host.inside("one", "sh", "-c", damage)
    one = host.reconciler if is_ours else reconciler.Reconciler(host.kernel, NODE)
    outcome = await one.realise(now)
    assert outcome.failures == ()
    assert (await one.realise(now)).changed == 0
    assert host.inside("one", "ip", "-br", "link").count("eth0") == 1
    assert "alias sdd:" in host.inside("one", "ip", "link", "show", "eth0")
    assert pings(neighbour, ONE[0])


async def adopted(host: Host) -> sandbox.Sandbox:
    path = str(host.root / "t-netns-guest")
    return box("guest", path, inode=await host.doors.create(path))


async def test_a_link_without_marks_in_a_guest_is_ours_by_its_address(
    host: Host, neighbour: str
) -> None:
    guest = await adopted(host)
    now = at(1, LAN, guest, end(LAN, guest, *ONE))
    await host.settle(now)
    run_in(guest.netns, "sh", "-c", ROB)
    await host.settle(now)
    assert pings(neighbour, ONE[0])
    run_in(guest.netns, "sh", "-c", ROB)
    host.run("ip", "link", "add", "own0", "link", "up0", "type", "macvlan")
    host.run("ip", "link", "set", "own0", "netns", guest.netns)
    run_in(guest.netns, "ip", "addr", "add", "192.0.2.99/24", "dev", "own0")
    await host.settle(at(2, LAN))
    links = run_in(guest.netns, "ip", "-br", "link")
    assert "eth0" not in links
    assert "own0" in links
    other = box("other", host.sandbox_path("other"))
    await host.settle(at(3, LAN, other, end(LAN, other, *ONE)))
    assert pings(neighbour, ONE[0])


async def test_an_equal_link_of_a_guest_itself_is_left_alone_and_said(
    host: Host, neighbour: str
) -> None:
    assert neighbour
    guest = await adopted(host)
    on = end(LAN, guest, *ONE)
    host.run("ip", "link", "add", "own0", "link", "up0", "address", on.mac, "type", "macvlan")
    host.run("ip", "link", "set", "own0", "netns", guest.netns)
    run_in(guest.netns, "ip", "link", "set", "own0", "name", "eth0")
    before = run_in(guest.netns, "ip", "link", "show", "eth0")
    (failure,) = (await host.realise(at(1, LAN, guest, on))).failures
    assert "File exists" in failure.sentence
    assert "remove theirs" in failure.hint
    assert run_in(guest.netns, "ip", "link", "show", "eth0") == before
    await host.realise(at(2, LAN))
    assert run_in(guest.netns, "ip", "link", "show", "eth0") == before


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("is_remembered", [True, False])
async def test_what_is_left_in_a_guest_that_lost_its_name_meanwhile_goes_after_a_start(
    host: Host, neighbour: str, is_remembered: bool
) -> None:
    guest = await adopted(host)
    now = at(1, LAN, guest, end(LAN, guest, *ONE))
    await host.settle(now)
    run_in(guest.netns, "ip", "link", "add", "own0", "type", "bridge")
    host.run("ip", "link", "add", "own1", "link", "up0", "type", "macvlan")
    host.run("ip", "link", "set", "own1", "netns", guest.netns)
    held = os.open(guest.netns, os.O_RDONLY)  # as a program in it does
    inside = f"/proc/{os.getpid()}/fd/{held}"
    try:
        await host.doors.delete(guest.netns)
        if not is_remembered:
            shutil.rmtree(host.root / "exec" / "guests")
        clock = Clock()
        kernel = linux.LinuxKernel(
            host.doors, host.root / "exec", host.root / "var-run-netns", clock
        )
        fresh = reconciler.Reconciler(kernel, NODE)
        await fresh.realise(at(2, LAN))
        # A runtime that swaps the file in this very moment would find its sandbox cut off.
        assert ("eth0" in run_in(inside, "ip", "-br", "link")) is is_remembered
        clock.now = nurseries.DOUBT_S
        assert (await fresh.realise(at(2, LAN))).failures == ()
        links = run_in(inside, "ip", "-br", "link")
        assert [name for name in ("eth0", "own0", "own1") if name in links] == ["own0", "own1"]
        assert not pings(neighbour, ONE[0], outside.SILENCE_S)
    finally:
        os.close(held)


async def test_a_guest_whose_file_is_swapped_during_a_start_keeps_its_link(
    host: Host, neighbour: str
) -> None:
    guest = await adopted(host)
    now = at(1, LAN, guest, end(LAN, guest, *ONE))
    await host.settle(now)
    held = os.open(guest.netns, os.O_RDONLY)
    try:
        await host.doors.delete(guest.netns)
        kernel = linux.LinuxKernel(host.doors, host.root / "exec", host.root / "var-run-netns")
        fresh = reconciler.Reconciler(kernel, NODE)
        await fresh.realise(now)
        Path(guest.netns).touch()
        libc.bind_mount(f"/proc/self/fd/{held}", guest.netns)
        before = run_in(guest.netns, "ip", "-o", "link", "show", "eth0")
        assert (await fresh.realise(now)).failures == ()
        assert run_in(guest.netns, "ip", "-o", "link", "show", "eth0") == before
        assert pings(neighbour, ONE[0])
    finally:
        os.close(held)


async def test_a_conflict_that_lasts_is_searched_for_once(host: Host, neighbour: str) -> None:
    assert neighbour
    now = two_on(host, LAN)
    mac = next(iter(now.endpoints.values())).mac
    host.run("ip", "link", "add", "mine", "link", "up0", "address", mac, "type", "macvlan")
    host.run("ip", "link", "set", "mine", "up")
    searches = []

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code is ghosts.remove.__code__:
            searches.append(frame)

    threading.setprofile(note)  # of the threads that begin now
    try:
        doors = namespaces.Namespaces(host.path)
        root = host.root
        kernel = linux.LinuxKernel(doors, root / "exec", root / "var-run-netns")
        one = reconciler.Reconciler(kernel, NODE)
        for _ in range(5):
            assert len((await one.realise(now)).failures) == 1
        assert len(searches) == 2, "at the start, and for this one"
        other = net("other", "192.0.2.0/24", driver=MACVLAN, options={"parent": "up0"})
        guest = box("three", host.sandbox_path("three"))
        more = replace(end(other, guest, "192.0.2.60"), mac=mac)
        later = now.apply(ids.Revision(2), [state.Put(each) for each in (other, guest, more)])
        assert len((await one.realise(later)).failures) == 2
        assert len(searches) == 3, "that one is new"
        doors.close()
    finally:
        threading.setprofile(None)
