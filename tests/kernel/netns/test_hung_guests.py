"""An adopted sandbox whose path hangs: it stays as it is, and all others get what they want."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from netns import desired, errand, plan, reconciler, steps, world
from netns.kernel import linux, names, numbers, observe
from sdd import errors
from sdd.linux import namespaces, netlink
from sdd.model import sandbox
from tests.hung import Hung, hung
from tests.kernel.netns import outside
from tests.kernel.netns.conftest import Host, run_in
from tests.kernel.netns.outside import pings
from tests.kernel.netns.test_macvlan import LAN, ONE
from tests.netns_states import NODE, at, box, end, net

pytestmark = pytest.mark.kernel

FRONT = net("front", "10.70.0.0/24")
TIMEOUT_S = 60  # only what hangs takes so long


@pytest.fixture
def away(host: Host) -> Iterator[Hung]:
    with hung(host.root / "away") as made:
        yield made


@pytest.fixture
def neighbour(host: Host) -> Iterator[str]:
    with outside.neighbour(host) as path:
        yield path


def lead(host: Host, to: Path) -> None:
    """The guest's path leads there from now on."""
    draft = host.root / "draft"
    draft.symlink_to(to)
    draft.replace(host.root / "guest")


def there(host: Host) -> Path:
    return host.root / "t-netns-guest"


async def adopted(host: Host) -> sandbox.Sandbox:
    inode = await host.doors.create(str(there(host)))
    lead(host, there(host))
    return box("guest", str(host.root / "guest"), inode=inode)


async def test_the_others_get_what_they_want_and_it_stays_as_it_is(host: Host, away: Hung) -> None:
    guest, other = await adopted(host), box("other", host.sandbox_path("other"))
    own = end(FRONT, guest, "10.70.0.2")
    await host.settle(at(1, FRONT, guest, own))
    before = run_in(str(there(host)), "ip", "address"), host.run("ip", "-br", "link")
    lead(host, away.file)
    async with asyncio.timeout(TIMEOUT_S):
        outcome = await host.realise(at(1, FRONT, guest, own))
        assert [(each.subject, each.code) for each in outcome.failures] == [
            (guest.id, "SDD-NETNS-HANGS")
        ]
        assert outcome.changed == 0
        assert before == (run_in(str(there(host)), "ip", "address"), host.run("ip", "-br", "link"))
    asked = away.asked
    async with asyncio.timeout(TIMEOUT_S):
        outcome = await host.realise(
            at(2, FRONT, guest, own, other, end(FRONT, other, "10.70.0.3"))
        )
        assert away.asked == asked, "it is known to hang: nobody goes there again"
        assert [each.subject for each in outcome.failures] == [guest.id]
        assert "10.70.0.3/24" in host.inside("other", "ip", "-br", "address")
    lead(host, there(host))
    await host.settle(at(3, FRONT, guest, own, other, end(FRONT, other, "10.70.0.3")))


async def test_one_that_is_removed_meanwhile_is_cleared_when_its_path_is_back(
    host: Host, away: Hung, neighbour: str
) -> None:
    guest = await adopted(host)
    await host.settle(at(1, LAN, guest, end(LAN, guest, *ONE)))
    lead(host, away.file)
    async with asyncio.timeout(TIMEOUT_S):
        assert (await host.realise(at(2, LAN))).failures == ()
        assert (await host.realise(at(2, LAN))).failures == ()
    lead(host, there(host))
    await host.realise(at(2, LAN))
    await host.settle(at(3, LAN))
    assert "eth0" not in run_in(str(there(host)), "ip", "-br", "link")
    assert not pings(neighbour, ONE[0], outside.SILENCE_S)


async def test_what_nobody_can_tell_from_a_link_without_a_path_stays(
    host: Host, away: Hung, neighbour: str
) -> None:
    """A new process looks for what it may have lost, and its link is where no path leads."""
    guest = await adopted(host)
    now = at(1, LAN, guest, end(LAN, guest, *ONE))
    await host.settle(now)
    lead(host, away.file)
    kernel = linux.LinuxKernel(host.doors, host.root / "exec", host.root / "var-run-netns")
    one = reconciler.Reconciler(kernel, NODE)
    other = box("other", host.sandbox_path("other"))
    async with asyncio.timeout(TIMEOUT_S):
        outcome = await one.realise(at(2, LAN, guest, *now.endpoints.values(), other))
    assert [each.code for each in outcome.failures] == ["SDD-NETNS-HANGS"]
    assert pings(neighbour, ONE[0])


async def test_steps_that_meet_a_path_that_hangs_are_refused(
    host: Host, away: Hung, neighbour: str
) -> None:
    """It may begin to hang between the look and the work."""
    await host.realise(at(1, FRONT))
    guest = await adopted(host)
    child = end(LAN, guest, *ONE)
    assert neighbour
    want = desired.desired(at(2, FRONT, LAN, guest, end(FRONT, guest, "10.70.0.2"), child), NODE)
    have = await host.kernel.read(errand.everything(want).scope)
    lead(host, away.file)
    wanted = plan.diff(have, want)
    async with asyncio.timeout(TIMEOUT_S):
        refusals = await host.kernel.apply(wanted)
    assert {type(each.step).__name__ for each in refusals} >= {"AddPair", "AddChild"}
    assert all("nobody can tell" in each.reason for each in refusals)
    bare = steps.SetLink(
        space=guest.netns, link=world.Link(name="lo", kind=world.Kind.LOOPBACK), subject="x"
    )
    (refused,) = await host.kernel.apply((bare,))
    assert refused.code == "SDD-NETNS-HANGS"


async def test_commands_hear_that_nobody_can_tell(host: Host, away: Hung) -> None:
    seen = observe.Observer(host.doors, names.Names(host.doors, host.root / "exec" / "netns"))
    hanging, fine = str(away.file), str(host.path)
    async with asyncio.timeout(TIMEOUT_S):
        with pytest.raises(errors.Unavailable, match="nobody can tell"):
            await seen.namespace(hanging)
        assert await seen.inodes((hanging, fine)) == {fine: namespaces.inode(fine)}


async def test_the_numbers_of_the_others_are_known(host: Host, away: Hung) -> None:
    guest, other = await adopted(host), box("other", host.sandbox_path("other"))
    ends = end(FRONT, guest, "10.70.0.2"), end(FRONT, other, "10.70.0.3")
    await host.settle(at(1, FRONT, guest, other, *ends))
    known = numbers.Numbers(lambda: (guest.netns, other.netns, str(away.file)))

    def told() -> frozenset[str]:
        with netlink.Connection(netlink.ROUTE) as connection:
            every = {numbers.of(connection, path) for path in (str(there(host)), other.netns)}
        return known.paths(frozenset(every), frozenset())

    assert await host.doors.run("", told) == {guest.netns, other.netns}
    lead(host, away.file)
    known.paths(frozenset({-2}), frozenset())  # one that it never heard of: it asks again
    numbers.give((guest.netns,))
    assert await host.doors.run("", told) == {guest.netns, other.netns}
