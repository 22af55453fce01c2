"""Links are gone when a removal returns, though the kernel has not forgotten them yet."""

import json

import pytest

from netns import steps
from netns.world import HOST
from tests.kernel.netns.conftest import Host

pytestmark = pytest.mark.kernel


def names(host: Host) -> set[str]:
    return {each["ifname"] for each in json.loads(host.run("ip", "-j", "link"))}


@pytest.mark.parametrize("count", [1, 7])
async def test_removed_links_are_gone_at_once_with_their_twins(host: Host, count: int) -> None:
    for number in range(count):
        host.run("ip", "link", "add", f"a{number}", "type", "veth", "peer", "name", f"b{number}")
    plan = [steps.DropLink(space=HOST, name=f"a{number}", subject="") for number in range(count)]
    assert await host.kernel.apply(plan) == ()
    assert names(host) == {"lo"}
    # Names are free again before the kernel is done with the old ones.
    host.run("ip", "link", "add", "a0", "type", "veth", "peer", "name", "b0")
    assert await host.kernel.apply(plan) == ()
    assert names(host) == {"lo"}


async def test_what_cannot_be_removed_is_refused_and_the_rest_goes(host: Host) -> None:
    host.run("ip", "link", "add", "a0", "type", "bridge")
    plan = [
        steps.DropLink(space=HOST, name="lo", subject="loopback"),
        steps.DropLink(space=HOST, name="a0", subject=""),
        steps.DropLink(space=HOST, name="absent", subject=""),
    ]
    alone = await host.kernel.apply(plan[:1])
    assert [each.step for each in alone] == plan[:1]
    await host.kernel.apply(plan[1:])
    assert names(host) == {"lo"}


async def test_no_removal_hits_a_later_link_of_the_same_name(host: Host) -> None:
    drop = steps.DropLink(space=HOST, name="a0", subject="")
    for _ in range(30):  # more than are on their way at once
        assert await host.kernel.apply([drop]) == ()  # the first time there is none
        host.run("ip", "link", "add", "a0", "type", "bridge")
        assert "a0" in names(host)
        assert await host.kernel.apply([drop, drop]) == ()
        host.run("ip", "link", "add", "a0", "type", "bridge")
    assert names(host) == {"lo", "a0"}
