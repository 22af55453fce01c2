"""What comes and goes with ports that every node opens, and who may touch it."""

import asyncio
from collections.abc import Awaitable
from ipaddress import ip_network

import pytest

from sdd import errors
from sdd.control import keys
from sdd.model import ids, port, request, service
from sdd.model.network import Driver
from sdd.model.progress import Backend, Failure
from sdd.state import ClusterState
from sdd.store import contract
from sdd.store.memory import MemoryStore
from tests.scenario import laws
from tests.scenario.node import Node, node
from tests.scenario.test_departures import completing
from tests.support import eventually_async

WEB = (request.Publish(published=8080, target=80),)
LOCAL = (request.Publish(published=8080, target=80, policy=port.Policy.LOCAL),)


async def net(one: Node, name: str, **options: object) -> None:
    await one.commands.create_network(request.NetworkCreate(name=name, **options))  # type: ignore[arg-type]  # options of one case each


async def svc(
    one: Node, name: str, on: str, *publish: request.Publish, **options: object
) -> service.Service:
    asked = request.ServiceCreate(name=name, network=on, publish=publish, **options)  # type: ignore[arg-type]  # same
    return await one.commands.create_service(asked)


async def box(one: Node, name: str, *nets: str, services: tuple[str, ...] = ()) -> None:
    plugs = tuple(request.Attachment(network=each) for each in nets)
    asked = request.SandboxCreate(name=name, attachments=plugs, services=services)
    await one.commands.create_sandbox(asked)


def plugged(one: Node) -> set[str]:
    """Who has an endpoint on ingress, the ingress sandbox aside."""
    boxes = one.state.sandboxes.values()
    return {each.name for each in boxes if one.state.on_ingress(each.id) and not each.is_ingress}


async def test_47_all_of_it_comes_with_the_first_port_and_goes_with_the_last() -> None:
    async with node() as one:
        await net(one, "front")
        before = {key for key in await one.keys() if not key.startswith("cursors/")}
        made = await svc(one, "web", "front", *WEB)
        assert [each.version for each in made.ingress_vips] == [4, 6]
        assert {each.name for each in one.state.networks.values() if each.predefined} == {
            "gwbridge",
            "ingress",
        }
        await laws.check(one)
        await one.commands.remove_service("web")
        await laws.check(one)
        assert {key for key in await one.keys() if not key.startswith("cursors/")} == before


async def test_where_the_kernel_has_no_ipv6_there_is_none() -> None:
    async with node(ipv6=False) as one:
        await net(one, "front")
        made = await svc(one, "web", "front", *WEB)
        assert [each.version for each in made.ingress_vips] == [4]


async def test_mode_host_and_policy_local_need_none_of_it() -> None:
    async with node() as one:
        await net(one, "front")
        await svc(one, "near", "front", *LOCAL)
        direct = request.Publish(published=8081, target=80, mode=port.Mode.HOST)
        await svc(one, "host", "front", direct)
        assert one.state.ingress is None
        await laws.check(one)


@pytest.mark.parametrize("how", ["internal", "macvlan", "dnsrr"])
async def test_71_U11_ports_are_published_behind_networks_of_any_kind(how: str) -> None:
    async with node() as one:
        options: dict[str, object] = {"internal": True} if how == "internal" else {}
        if how == "macvlan":
            pools = (request.PoolSpec(subnet=ip_network("10.7.0.0/24")),)
            options = {"driver": Driver.MACVLAN, "pools": pools}
        await net(one, "front", **options)
        mode = service.EndpointMode.DNSRR if how == "dnsrr" else service.EndpointMode.VIP
        made = await svc(one, "web", "front", *WEB, mode=mode)
        assert [each.published for each in made.ports] == [8080]
        await box(one, "a", "front", services=("web",))
        assert plugged(one) == {"a"}
        await laws.check(one)


async def test_a_sandbox_has_one_endpoint_for_all_its_services() -> None:
    async with node() as one:
        await net(one, "front")
        await net(one, "back")
        await svc(one, "web", "front", *WEB)
        await svc(one, "api", "back", request.Publish(published=8081, target=81))
        await box(one, "a", "front", "back", services=("web", "api"))
        await box(one, "b", "front")
        assert plugged(one) == {"a"}
        await one.commands.leave("web", "a")
        await one.commands.join("web", request.Join(sandbox="b"))
        assert plugged(one) == {"a", "b"}
        await laws.check(one)
        await one.commands.disconnect("back", "a")
        assert plugged(one) == {"b"}
        await laws.check(one)
        await one.commands.remove_sandbox("b")
        await laws.check(one)


async def test_C122_an_update_makes_members_reachable_and_lets_them_go() -> None:
    async with node() as one:
        await net(one, "front")
        await svc(one, "web", "front")
        for name in ("a", "b"):
            await box(one, name, "front", services=("web",))
        await one.commands.update_service("web", request.ServiceUpdate(publish_add=WEB))
        assert plugged(one) == {"a", "b"}
        await laws.check(one)
        gone = request.ServiceUpdate(publish_remove=(request.Unpublish(target=80),), drain_s=0.0)
        await one.commands.update_service("web", gone)
        assert plugged(one) == set()
        await laws.check(one)


GONE = request.ServiceUpdate(publish_remove=(request.Unpublish(target=80),))


async def test_whoever_is_connected_has_the_time_of_a_drain_when_the_last_port_goes() -> None:
    store = MemoryStore()
    async with node(store) as one:
        await net(one, "front")
        made = await svc(one, "web", "front", *WEB)
        await box(one, "a", "front", services=("web",))
        done = await one.commands.update_service("web", GONE)
        assert done.ingress_vips == made.ingress_vips
        assert not done.ports
        assert plugged(one) == {"a"}
        await laws.check(one)
    async with node(store, seed=2) as one:
        one.clock.now += made.drain_s + 1
        async with completing(one):
            await eventually_async(lambda: plugged(one) == set(), 60, "they are gone")
        assert one.state.ingress is None
        (svc_now,) = one.state.services.values()
        assert (svc_now.ingress_vips, svc_now.ingress_leaves_at) == ((), 0.0)
        await laws.check(one)


async def test_what_is_published_again_meanwhile_stays() -> None:
    async with node() as one:
        await net(one, "front")
        made = await svc(one, "web", "front", *WEB)
        await box(one, "a", "front", services=("web",))
        await one.commands.update_service("web", GONE)
        again = await one.commands.update_service("web", request.ServiceUpdate(publish_add=WEB))
        assert again.ingress_vips == made.ingress_vips
        one.clock.now += made.drain_s + 1
        await one.commands.ingress_ended(made.id)
        assert plugged(one) == {"a"}
        await one.commands.remove_service("web")
        await one.commands.ingress_ended(made.id)
        await laws.check(one)


async def test_what_this_node_cannot_make_is_taken_back_whole() -> None:
    def refuse(state: ClusterState) -> tuple[Failure, ...]:
        return tuple(
            Failure(subject=each.id, sentence="no such bridge", code="SDD-NETNS-REFUSED")
            for each in state.networks.values()
            if each.is_closed
        )

    async with node() as one:
        await net(one, "front")
        before = {key for key in await one.keys() if not key.startswith("cursors/")}
        one.refuse(Backend.NETNS, refuse)
        with pytest.raises(errors.KernelRefused):
            await svc(one, "web", "front", *WEB)
        assert {key for key in await one.keys() if not key.startswith("cursors/")} == before


async def test_a_draining_member_stays_reachable_until_it_has_drained() -> None:
    async with node() as one:
        await net(one, "front")
        mode = service.EndpointMode.DNSRR
        made = await svc(one, "web", "front", *WEB, mode=mode)
        await box(one, "a", "front", services=("web",))
        (end,) = (each.endpoint for each in one.state.members.values())
        async with asyncio.TaskGroup() as group:
            group.create_task(one.commands.leave("web", "a", 10.0), name="leave")
            await eventually_async(lambda: member(one).drains_until, 60, "it leaves")
            assert plugged(one) == {"a"}
            await one.commands.drained(made.id, end)
        assert plugged(one) == set()
        await laws.check(one)


def member(one: Node) -> service.Member:
    (found,) = one.state.members.values()
    return found


async def test_the_second_node_gets_no_second_network_but_a_sandbox_of_its_own() -> None:
    store = MemoryStore()
    async with node(store) as one, node(store, name=ids.NodeId("node-b"), seed=2) as two:
        await net(one, "front")
        await svc(one, "web", "front", *WEB)
        await two.feed.reached(one.state.revision)
        await svc(two, "api", "front", request.Publish(published=8081, target=81))
        await one.feed.reached(two.state.revision)
        assert {(each.node, each.name) for each in one.state.ingress_sandboxes} == {
            ("node-a", "ingress-sbox"),
            ("node-b", "ingress-sbox-node-b"),
        }
        laws.check_ingress(one.state)
        await one.commands.remove_service("web")
        await two.feed.reached(one.state.revision)
        await two.commands.remove_service("api")
        assert two.state.ingress is None
        assert not two.state.ingress_sandboxes


async def test_a_name_that_is_taken_already_is_told() -> None:
    async with node() as one:
        await net(one, "front")
        taken = contract.Write(keys.name("network", "gwbridge"), b"somebody")
        await one.store.commit(contract.Transaction(compares=(), operations=(taken,)))
        await one.feed.reached((await one.store.range("")).revision)
        with pytest.raises(errors.Conflict) as caught:
            await svc(one, "web", "front", *WEB)
        assert caught.value.code == "SDD-PUBLISH-INGRESS"
        assert "the network gwbridge" in caught.value.sentence


async def test_C125_the_networks_of_ports_are_ours_and_stay_while_a_service_needs_them() -> None:
    async def refused(command: Awaitable[object]) -> None:
        with pytest.raises(errors.SddError) as caught:
            await command
        assert caught.value.code == "SDD-NET-PREDEFINED"

    async with node() as one:
        await net(one, "front")
        await svc(one, "names", "front", mode=service.EndpointMode.DNSRR)  # needs none of it
        assert one.state.ingress is None
        await svc(one, "web", "front", *WEB)
        before = await one.keys()
        for name in ("ingress", "gwbridge"):
            await refused(net(one, name))
            await refused(one.commands.remove_network(name))
        assert await one.keys() == before
        await one.commands.remove_service("web")
        assert one.state.ingress is None
        await svc(one, "again", "front", *WEB)
        assert one.state.ingress is not None
