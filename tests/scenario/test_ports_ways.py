"""Which networks a port of the node can lead into."""

from dataclasses import replace

import pytest

from sdd import errors
from sdd.api import ports
from sdd.model import request
from sdd.model.port import Mode, Policy
from tests.scenario import laws
from tests.scenario.node import node
from tests.scenario.test_ports import box, front, numbers, publish, served, shown


async def test_C92_an_ipv6_address_of_the_host_leads_to_no_ipv4_network() -> None:
    async with node() as one:
        await front(one)
        before = await one.keys()
        with pytest.raises(errors.Invalid, match="IPv6") as caught:
            await box(one, "web", publish(host="2001:db8::1"))
        assert caught.value.code == "SDD-PUBLISH-NETWORK"
        assert await one.keys() == before


ROUTED = {f"com.docker.network.bridge.gateway_mode_ipv{version}": "routed" for version in (4, 6)}


async def test_B9_behind_a_routed_gateway_no_number_of_the_node_is_taken() -> None:
    async with node() as one:
        await front(one, options=ROUTED)
        before = await one.keys()
        for name in ("web", "twin"):
            made = await box(one, name, publish(), publish(0, 443), publish(8080))
            assert [str(each) for each in made.ports] == ["80/tcp", "443/tcp"]
            assert numbers(made) == [0, 0]
        await laws.check(one)
        for name in ("web", "twin"):
            await one.commands.remove_sandbox(name)
        after = await one.keys()
        assert {key for key in after if "port" in key} == {key for key in before if "port" in key}


async def test_C97_with_a_nat_network_beside_it_the_number_leads_there() -> None:
    async with node() as one:
        await front(one, options=ROUTED)
        await one.commands.create_network(request.NetworkCreate(name="nat"))
        plugs = tuple(request.Attachment(network=name) for name in ("front", "nat"))
        made = await one.commands.create_sandbox(
            request.SandboxCreate(name="web", attachments=plugs, publish=(publish(),))
        )
        assert numbers(made) == [8080]


async def test_a_sandbox_without_a_network_keeps_its_numbers_and_shows_none_as_published() -> None:
    async with node() as one:
        await one.commands.create_network(request.NetworkCreate(name="lab"))
        asked = request.SandboxCreate(
            name="web",
            attachments=(request.Attachment(network="lab"),),
            publish=(request.Publish(target=80, published=8710),),
        )
        made = await one.commands.create_sandbox(asked)

        def told() -> tuple[object, str]:
            box = one.state.sandboxes[made.id]
            return ports.bindings(one.state, box), ports.lost(one.state, box)

        published = {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8710"}]}
        assert told() == (published, "")
        await one.commands.disconnect("lab", "web")
        shown, lost = told()
        assert shown == {"80/tcp": []}
        assert lost.startswith("ports of sandbox web lead nowhere")
        assert lost.endswith("8710->80/tcp")
        other = replace(asked, name="other")
        with pytest.raises(errors.Conflict, match="published by sandbox web"):
            await one.commands.create_sandbox(other)
        await one.commands.connect("web", request.Attachment(network="lab"))
        assert told() == (published, "")


OTHERWISE = (
    publish(policy=Policy.SNAT),
    publish(policy=Policy.LOCAL),
    publish(mode=Mode.HOST),
    publish(mode=Mode.HOST, host="127.0.0.1"),
    publish(8080, 80, published_last=8081, target_last=81, mode=Mode.HOST),
)


@pytest.mark.parametrize("other", OTHERWISE)
async def test_a_port_with_another_mode_or_policy_is_refused_until_the_old_one_goes(
    other: request.Publish,
) -> None:
    """It was taken without a word, and nothing changed."""
    async with node() as one:
        await served(one, publish())
        before = await one.keys()
        with pytest.raises(errors.Conflict, match="with mode=ingress and policy=preserve") as told:
            await one.commands.update_service("web", request.ServiceUpdate(publish_add=(other,)))
        assert told.value.code == "SDD-PUBLISH-INUSE"
        assert "--publish-rm 8080:80" in told.value.hint
        assert await one.keys() == before
        both = request.ServiceUpdate(
            publish_add=(other,), publish_remove=(request.Unpublish(published=8080, target=80),)
        )
        await one.commands.update_service("web", both)
        (svc,) = one.state.services.values()
        assert {(each.mode, each.policy) for each in svc.ports} == {
            (other.mode or Mode.INGRESS, other.policy)
        }
        await one.commands.update_service("web", request.ServiceUpdate(publish_add=(other,)))
        assert one.state.services[svc.id].ports == svc.ports
        await laws.check(one)


async def test_nothing_is_published_in_two_ways_at_once() -> None:
    async with node() as one:
        await front(one)
        asked = request.ServiceCreate(
            name="web", network="front", publish=(publish(), publish(mode=Mode.HOST))
        )
        with pytest.raises(errors.Conflict, match="cannot with mode=host"):
            await one.commands.create_service(asked)
        assert not one.state.services


async def test_what_is_for_127_0_0_1_may_have_a_policy_of_its_own() -> None:
    async with node() as one:
        await served(one, publish(), publish(host="127.0.0.1", policy=Policy.SNAT))
        assert shown(one) == ["8080:80/tcp"] * 2
