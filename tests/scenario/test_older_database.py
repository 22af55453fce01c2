"""A database of an older release holds addresses that name a link: all others are served."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import IPv6Address, ip_network

from lb import desired as balancing
from lb.ports import desired as publishing
from netns import desired as linking
from resolver import desired as naming
from resolver.files.upstreams import DaemonDns
from sdd.api import subjects
from sdd.control import lookup
from sdd.model import network, request, sandbox
from sdd.model.progress import Backend
from sdd.store import codec
from sdd.store.contract import Store, Transaction, Write
from sdd.store.memory import MemoryStore
from tests.scenario.node import NODE, Node, node

ZONED = IPv6Address("fd31::99%eth0")
PLAIN = IPv6Address("fd31::99")


@asynccontextmanager
async def serving(store: Store) -> AsyncIterator[Node]:
    """A node whose backends refuse what the real ones cannot make of the state."""
    async with node(store) as one:
        one.refuse(
            Backend.RESOLVER, lambda state: naming.desired(state, NODE, DaemonDns()).failures
        )
        one.refuse(Backend.NETNS, lambda state: linking.desired(state, NODE).failures)
        one.refuse(
            Backend.LB,
            lambda state: balancing.desired(state, balancing.nothing(NODE)).failures,
        )
        one.refuse(
            Backend.PORTS,
            lambda state: tuple(
                publishing.desired(state, publishing.nothing(NODE)).refused.values()
            ),
        )
        yield one


async def older() -> Store:
    """What a release left that took them."""
    store = MemoryStore()
    async with node(store) as one:
        pool = request.PoolSpec(subnet=ip_network("fd31::/64"))
        lab = request.NetworkCreate(name="lab", ipv6=True, pools=(pool,))
        await one.commands.create_network(lab)
        await one.commands.create_sandbox(box("first"))
        address = IPv6Address("fe80::1%eth0")
        fe = sandbox.ExtraHost(name="fe", address=address)
        await one.commands.create_sandbox(replace(box("hosts"), extra_hosts=(fe,)))
        await one.commands.create_sandbox(box("twin", ZONED))
        publish = request.Publish(target=80, published=8099, address=address)
        await one.commands.create_sandbox(replace(box("port"), publish=(publish,)))
        vip = IPv6Address("fd31::77%a")
        await one.commands.create_service(
            request.ServiceCreate(name="vip", network="lab", vips=(vip,))
        )
        other = await one.commands.create_network(request.NetworkCreate(name="other", ipv6=True))
        await one.commands.create_sandbox(box("far", on="other"))
        pools = (*other.pools, network.Pool(subnet=ip_network("fd37::%1/64")))
        bad = replace(other, pools=pools)
        await store.commit(Transaction(operations=(Write(codec.key(bad), codec.encode(bad)),)))
    return store


def box(name: str, ip6: IPv6Address | None = None, on: str = "lab") -> request.SandboxCreate:
    attachment = request.Attachment(network=on, ip6=ip6)
    return request.SandboxCreate(name=name, attachments=(attachment,))


def failed(one: Node) -> set[str]:
    """The names of what fails, as status lists them."""
    found = [each for at in one.progress.snapshot().values() for each in at.failures]
    assert all("cannot be realised" in each.sentence for each in found)
    return {subjects.named(one.state, each.subject)[1] for each in found}


async def test_the_others_are_served_and_commands_succeed() -> None:
    async with serving(await older()) as one:
        made = await one.commands.create_sandbox(box("good"))
        assert failed(one) == {"hosts", "twin on lab", "port", "vip", "other", "far on other"}
        assert made.id in one.state.sandboxes
        await one.commands.remove_sandbox("first")


async def test_what_is_spoiled_can_be_removed_and_takes_nothing_of_others_with_it() -> None:
    async with serving(await older()) as one:
        await one.commands.create_sandbox(box("owner", PLAIN))
        for each in ("hosts", "twin", "port", "far"):
            await one.commands.remove_sandbox(each)
        await one.commands.remove_service("vip")
        await one.commands.remove_network("other")
        await one.commands.remove_sandbox("first")
        assert not failed(one)
        net = lookup.network(one.state, "lab").id
        claims = [key for key in await one.keys() if key.startswith(f"addresses/{net}/")]
        assert f"addresses/{net}/{PLAIN}" in claims
        assert not any("%" in key for key in await one.keys())
