"""A network, sandboxes and a service come and go; what is stored is what is realised."""

import asyncio
from ipaddress import IPv4Address, ip_address, ip_network

import pytest

from resolver.files import upstreams
from sdd import errors
from sdd.model import health, ids, request, service
from sdd.model.look import Look
from sdd.model.progress import Backend, Failure, Outcome
from sdd.state import ClusterState
from tests.scenario.node import addresses_of, node
from tests.support import eventually_async


def net(name: str, subnet: str = "") -> request.NetworkCreate:
    pools = (request.PoolSpec(subnet=ip_network(subnet)),) if subnet else ()
    return request.NetworkCreate(name=name, pools=pools)


def box(name: str, *networks: str, **options: object) -> request.SandboxCreate:
    attachments = tuple(request.Attachment(network=each) for each in networks)
    return request.SandboxCreate(name=name, attachments=attachments, **options)  # type: ignore[arg-type]  # options of one test each


def svc(name: str, on: str, **options: object) -> request.ServiceCreate:
    return request.ServiceCreate(name=name, network=on, **options)  # type: ignore[arg-type]  # same


async def test_a_command_returns_when_every_backend_has_its_revision() -> None:
    async with node() as one:
        made = await one.commands.create_network(net("lab", "10.80.0.0/24"))
        for backend in one.backends.values():
            assert backend.state is not None
            assert made.id in backend.state.networks
        assert made.pools[0].gateway == IPv4Address("10.80.0.1")


async def test_sandboxes_get_addresses_links_and_macs() -> None:
    async with node() as one:
        await one.commands.create_network(net("a", "10.80.0.0/24"))
        await one.commands.create_network(net("b", "10.81.0.0/24"))
        made = await one.commands.create_sandbox(box("web", "a", "b"))
        ends = one.state.endpoints_by_sandbox[made.id]
        assert [(e.ifname, str(e.addresses[0]), e.mac) for e in ends] == [
            ("eth0", "10.80.0.2/24", "02:42:0a:50:00:02"),
            ("eth1", "10.81.0.2/24", "02:42:0a:51:00:02"),
        ]
        assert made.netns == "/run/sdd/netns/web"


async def test_a_sandbox_without_a_network_joins_the_default_one() -> None:
    async with node() as one:
        default = await one.commands.ensure_default_network()
        assert default == await one.commands.ensure_default_network()
        assert str(default.pools[0].subnet) == "172.17.0.0/16"
        made = await one.commands.create_sandbox(box("web"))
        (end,) = one.state.endpoints_by_sandbox[made.id]
        assert end.network == default.id


async def test_a_service_has_a_vip_a_number_and_members() -> None:
    async with node() as one:
        await one.commands.create_network(net("lab", "10.80.0.0/24"))
        first = await one.commands.create_service(svc("web", "lab"))
        second = await one.commands.create_service(svc("db", "lab"))
        assert (first.number, second.number) == (1, 2)
        assert first.vips == (ip_address("10.80.0.2"),)
        made = await one.commands.create_sandbox(box("w1", services=("web",)))
        (end,) = one.state.endpoints_by_sandbox[made.id]
        assert (first.id, end.id) in one.state.members
        await one.commands.join("db", request.Join(sandbox="w1", weight=5))
        await one.commands.set_weight("db", "w1", 0)
        assert one.state.members[second.id, end.id].weight == 0
        await one.commands.leave("db", "w1")
        assert (second.id, end.id) not in one.state.members
        await one.commands.remove_service("web")
        assert not one.state.members


async def test_everything_removed_leaves_nothing_but_the_pools_guard() -> None:
    async with node() as one:
        await one.commands.create_network(net("lab", "10.80.0.0/24"))
        await one.commands.create_service(
            svc("web", "lab", health=service.HealthCheck(kind=service.CheckKind.TCP, port=80))
        )
        made = await one.commands.create_sandbox(box("w1", "lab", services=("web",)))
        (end,) = one.state.endpoints_by_sandbox[made.id]
        (web,) = one.state.services.values()
        await one.commands.record_verdict(
            web.id, end.id, health.Said(health.Status.UP, "connected")
        )
        await one.commands.remove_sandbox("w1")
        assert not one.state.members
        assert not one.state.verdicts
        await one.commands.remove_service("web")
        await one.commands.remove_network("lab")
        assert set(await one.keys()) == {"pools"}


async def test_a_refused_create_is_undone_and_says_why() -> None:
    def refuse(state: ClusterState) -> tuple[Failure, ...]:
        return tuple(
            Failure(subject=each.id, sentence="no such device", hint="load it", code="SDD-X")
            for each in state.endpoints.values()
        )

    async with node() as one:
        await one.commands.create_network(net("lab", "10.80.0.0/24"))
        before = await one.keys()
        one.refuse(Backend.NETNS, refuse)
        with pytest.raises(errors.KernelRefused, match="no such device") as caught:
            await one.commands.create_sandbox(box("w1", "lab"))
        assert caught.value.code == "SDD-X"
        assert caught.value.hint == "load it; nothing was kept of it"
        after = await one.keys()
        assert not one.state.sandboxes
        assert not one.state.endpoints
        assert {k for k in after if not k.startswith("cursors/")} == set(before)
        one.refuse(Backend.NETNS, lambda _: ())
        await one.commands.create_sandbox(box("w1", "lab"))


async def test_D7_leaving_a_network_with_names_keeps_the_server() -> None:
    async with node() as one:
        await one.commands.ensure_default_network()
        await one.commands.create_network(net("lab", "10.80.0.0/24"))
        made = await one.commands.create_sandbox(box("w1"))
        assert not upstreams.served(one.state, made)
        one.refuse(
            Backend.NETNS,
            lambda state: tuple(
                Failure(subject=each.id, sentence="no such device", code="SDD-X")
                for each in state.endpoints.values()
                if state.networks[each.network].name == "lab"
            ),
        )
        with pytest.raises(errors.KernelRefused):
            await one.commands.connect("w1", request.Attachment(network="lab"))
        assert not upstreams.served(one.state, one.state.sandboxes[made.id])  # it was never there
        one.refuse(Backend.NETNS, lambda _: ())
        await one.commands.connect("w1", request.Attachment(network="lab"))
        await one.commands.disconnect("lab", "w1")
        assert upstreams.served(one.state, one.state.sandboxes[made.id])
        await one.commands.disconnect("bridge", "w1")
        assert upstreams.served(one.state, one.state.sandboxes[made.id])


async def test_a_refused_removal_stays_and_says_so() -> None:
    async with node() as one:
        await one.commands.create_network(net("lab", "10.80.0.0/24"))
        made = await one.commands.create_sandbox(box("w1", "lab"))
        one.refuse(
            Backend.NETNS,
            lambda _: (Failure(subject=made.id, sentence="no such device", code="SDD-X"),),
        )
        with pytest.raises(errors.KernelRefused, match="no such device") as caught:
            await one.commands.remove_sandbox("w1")
        assert caught.value.hint == (
            "it is removed, and sdd goes on trying to take away what is left of it"
        )
        assert not one.state.sandboxes


async def test_what_takes_too_long_is_named_stays_and_is_completed_later() -> None:
    async with node() as one:
        balancer = one.backends[Backend.LB]
        realise, free = balancer.realise, asyncio.Event()

        async def slow(state: ClusterState, look: Look) -> Outcome:
            await free.wait()
            return await realise(state, look)

        balancer.realise = slow  # type: ignore[method-assign, assignment]  # a backend that hangs
        # It is stored, and reported back, when the feed tells of it: only the backends have to hurry.
        one.feed.subscribe(lambda now: one.hurry(0.05) if now.networks else None)
        with pytest.raises(errors.TimedOut, match="network lab is stored ") as caught:
            await one.commands.create_network(net("lab"))
        revision, told = one.state.revision, one.progress.snapshot()
        late = [each for each in Backend if each not in told or told[each].revision < revision]
        assert caught.value.sentence.endswith(f"not yet realised by: {', '.join(late)}")
        assert Backend.LB in late
        assert caught.value.exit_code == 124
        assert caught.value.hint.startswith("nothing is undone: it is completed")
        assert [each.name for each in one.state.networks.values()] == ["lab"]
        free.set()
        await eventually_async(lambda: balancer.state is one.state, 60, "it is completed")
        with pytest.raises(errors.Conflict, match="already exists"):
            await one.commands.create_network(net("lab"))


async def test_verdicts_of_the_same_moment_are_one_revision() -> None:
    async with node() as one:
        await one.commands.create_network(net("lab", "10.80.0.0/24"))
        names = tuple(f"web{number}" for number in range(20))
        check = service.HealthCheck(kind=service.CheckKind.TCP, port=80)
        for name in names:
            await one.commands.create_service(svc(name, "lab", health=check))
        await one.commands.create_sandbox(box("w1", "lab", services=names))
        revision, down = one.state.revision, health.Said(health.Status.DOWN, "link down")
        members = tuple(one.state.members)
        await asyncio.gather(*(one.commands.record_verdict(*each, down) for each in members))
        assert one.state.revision == revision + 1
        assert [one.state.verdicts[each].said for each in members] == [down] * len(names)


async def test_verdicts_are_written_on_transitions_only() -> None:
    check = service.HealthCheck(kind=service.CheckKind.TCP, port=80)
    async with node() as one:
        await one.commands.create_network(net("lab", "10.80.0.0/24"))
        web = await one.commands.create_service(svc("web", "lab", health=check))
        made = await one.commands.create_sandbox(box("w1", "lab", services=("web",)))
        (end,) = one.state.endpoints_by_sandbox[made.id]
        await one.commands.record_verdict(
            web.id, end.id, health.Said(health.Status.UP, "connected")
        )
        revision = one.state.revision
        one.clock.now += 5
        await one.commands.record_verdict(
            web.id, end.id, health.Said(health.Status.UP, "connected")
        )
        assert one.state.revision == revision
        answered = health.Said(health.Status.UP, "an answer", answered=(4,))
        for _ in range(2):  # a transition, too, and no other status
            await one.commands.record_verdict(web.id, end.id, answered)
        assert one.state.revision == revision + 1
        assert one.state.verdicts[web.id, end.id].since == one.clock.now - 5
        assert one.state.verdicts[web.id, end.id].answered == (4,)
        await one.commands.record_verdict(
            web.id, end.id, health.Said(health.Status.DOWN, "connect refused")
        )
        assert one.state.revision == revision + 2
        assert one.state.verdicts[web.id, end.id].since == one.clock.now
        assert not one.state.healthy(web.id)


async def test_C76_peers_100_fifty_creates_at_once_share_no_address() -> None:
    async with node() as one:
        await one.commands.create_network(net("lab", "10.80.0.0/26"))
        jobs = [one.commands.create_sandbox(box(f"w{n}", "lab")) for n in range(50)]
        await asyncio.gather(*jobs)
        held = list(addresses_of(one.state))
        assert len(held) == len(set(held)) == 50


async def test_two_nodes_on_one_store_share_no_address() -> None:
    async with node() as one, node(one.store, name=ids.NodeId("node-b"), seed=2) as two:
        await one.commands.create_network(net("lab", "10.80.0.0/25"))
        await two.feed.reached(one.state.revision)
        await asyncio.gather(
            *(
                each.commands.create_sandbox(box(f"{tag}{n}", "lab"))
                for n in range(25)
                for tag, each in (("a", one), ("b", two))
            )
        )
        await two.feed.reached(one.state.revision)
        await one.feed.reached(two.state.revision)
        assert one.state.endpoints == two.state.endpoints
        held = list(addresses_of(one.state))
        assert len(held) == len(set(held)) == 50


async def test_addresses_are_not_used_again_at_once() -> None:
    async with node() as one:
        await one.commands.create_network(net("lab", "10.80.0.0/29"))
        seen = []
        for n in range(7):
            made = await one.commands.create_sandbox(box(f"w{n}", "lab"))
            (end,) = one.state.endpoints_by_sandbox[made.id]
            seen.append(int(end.hosts[0]) & 7)
            await one.commands.remove_sandbox(f"w{n}")
        assert seen == [2, 3, 4, 5, 6, 2, 3]
