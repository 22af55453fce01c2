"""Refusals among ipvlan siblings are heard where they are made, with the kernel of the lab."""

import pytest

from tests.kernel.inner_ears import is_refused, listening
from tests.kernel.spaces import Spaces
from tests.support import eventually_async

PATIENCE_S = 180  # an emulated processor


@pytest.mark.parametrize("mode", ["l2", "l3", "l3s"])
async def test_a_refusal_to_an_ipvlan_sibling_is_told(spaces: Spaces, mode: str) -> None:
    host, client, member = (spaces.make(each) for each in ("host", "client", "member"))
    host.run("ip", "link", "add", "up0", "type", "veth", "peer", "name", "far0")
    for each in ("up0", "far0"):
        host.run("ip", "link", "set", each, "up")
    for box, last in ((client, 1), (member, 2)):
        child = ("type", "ipvlan", "mode", mode)
        host.run("ip", "link", "add", "link", "up0", "name", "child", "netns", box.name, *child)
        box.run("ip", "addr", "add", f"10.99.0.{last}/24", "dev", "child")
        box.run("ip", "link", "set", "child", "up")
    async with listening([member.path]) as (_, told):

        def is_told() -> bool:
            return is_refused(client, "10.99.0.2", told)

        await eventually_async(is_told, PATIENCE_S, "the member refuses")
