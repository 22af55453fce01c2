"""The node that every bad request is put to."""

from collections.abc import AsyncIterator
from ipaddress import ip_network

import pytest

from tests.scenario.node import Facts, Node, node
from tests.scenario.refusals.asking import V4, make_box, make_net, make_svc, on, pool


@pytest.fixture
async def lab() -> AsyncIterator[Node]:
    async with node() as one:
        one.world.prefixes = (ip_network("10.99.7.0/24"),)
        one.world.namespaces |= {
            "/run/netns/own": Facts(inode=7, ifnames=frozenset({"lo", "eth0"})),
            "/proc/1/ns/net": Facts(inode=1),
            "/run/sdd/netns/db": Facts(inode=8),
            "/run/netns/db": Facts(inode=8),
            "/proc/88/ns/net": Facts(inode=8),
        }
        one.world.homonyms["theirs"] = "/var/run/netns/theirs"
        await one.commands.ensure_default_network()
        for ask in (
            make_net("lab", *pool("10.80.0.0/24", aux="10.80.0.250")),
            make_net("quiet", *pool("10.83.0.0/24")),
            make_net("tiny", *pool("10.84.0.0/30")),
            make_svc("web", "lab"),
            make_svc("mute", "quiet"),
            make_box("db", on("lab", ip=V4("10.80.0.9")), services=("web",)),
            make_box("other", on("lab")),
            make_box("t1", on("tiny")),
            make_box("adopted", on("lab"), netns="/run/netns/own"),
        ):
            await ask(one)
        yield one
