"""Who gets which port of the node: never two the same, none left behind, nothing half done."""

from ipaddress import ip_address, ip_network

import pytest

from sdd import errors
from sdd.model import port, request
from sdd.model.network import Network
from sdd.model.port import Mode, Protocol
from sdd.model.progress import Backend, Failure
from sdd.model.sandbox import Sandbox
from sdd.state import ClusterState
from tests.scenario import laws
from tests.scenario.node import Node, node


def publish(published: int = 8080, target: int = 80, **options: object) -> request.Publish:
    host = options.pop("host", "")
    address = ip_address(str(host)) if host else None
    return request.Publish(published=published, target=target, address=address, **options)  # type: ignore[arg-type]  # options of one case each


async def front(one: Node, **options: object) -> Network:
    pools = (request.PoolSpec(subnet=ip_network("10.1.0.0/24")),)
    asked = request.NetworkCreate(name="front", pools=pools, **options)  # type: ignore[arg-type]  # same
    return await one.commands.create_network(asked)


async def box(one: Node, name: str, *asked: request.Publish, on: str = "front") -> Sandbox:
    plug = request.Attachment(network=on)
    wanted = request.SandboxCreate(name=name, attachments=(plug,), publish=asked)
    return await one.commands.create_sandbox(wanted)


def numbers(of: Sandbox) -> list[int]:
    return [each.published for each in of.ports]


async def test_P3_the_holder_of_a_port_is_named_and_nothing_changes() -> None:
    async with node() as one:
        await front(one)
        await box(one, "web", publish())
        before = await one.keys()
        with pytest.raises(errors.Conflict) as caught:
            await box(one, "twin", publish(target=81))
        assert caught.value.sentence == (
            "Bind for 0.0.0.0:8080 failed: port is already allocated: 8080/tcp is published by"
            " sandbox web"
        )
        assert caught.value.code == "SDD-PUBLISH-INUSE"
        assert await one.keys() == before
        assert numbers(await box(one, "udp", publish(protocol=Protocol.UDP))) == [8080]
        await laws.check(one)


async def test_a_removed_sandbox_gives_its_ports_back() -> None:
    async with node() as one:
        await front(one)
        await box(one, "web", publish(), publish(81))
        await one.commands.remove_sandbox("web")
        await laws.check(one)
        assert numbers(await box(one, "next", publish())) == [8080]


@pytest.mark.parametrize(
    ("first", "second", "clash"),
    [
        ("", "127.0.0.1", True),
        ("0.0.0.0", "127.0.0.1", True),
        ("127.0.0.1", "0.0.0.0", True),
        ("127.0.0.1", "", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
    ],
)
async def test_P6_peers_67_one_number_on_several_host_addresses(
    first: str, second: str, *, clash: bool
) -> None:
    async with node() as one:
        await front(one)
        await box(one, "web", publish(host=first))
        if clash:
            with pytest.raises(errors.Conflict):
                await box(one, "other", publish(host=second))
        else:
            await box(one, "other", publish(host=second))
            await one.commands.remove_sandbox("web")
            with pytest.raises(errors.Conflict):  # the one left goes on
                await box(one, "third", publish(host=second))
        await laws.check(one)


async def test_C98_every_address_and_one_of_them_in_one_sandbox_is_one_port() -> None:
    async with node() as one:
        await front(one)
        made = await box(one, "web", publish(), publish(host="127.0.0.1"))
        assert numbers(made) == [8080]


async def test_peers_65_a_range_is_one_to_one() -> None:
    async with node() as one:
        await front(one)
        made = await box(one, "web", publish(8000, 80, published_last=8002, target_last=82))
        assert [(each.published, each.target) for each in made.ports] == [
            (8000, 80),
            (8001, 81),
            (8002, 82),
        ]
        with pytest.raises(errors.Conflict):
            await box(one, "other", publish(7999, 1, published_last=8000, target_last=2))
        await laws.check(one)


async def test_P4_the_first_free_of_a_range_is_taken_for_one_target() -> None:
    async with node() as one:
        await front(one)
        one.world.busy = frozenset({(Protocol.TCP, 8000)})
        asked = publish(8000, 80, published_last=8002)
        assert numbers(await box(one, "a", asked)) == [8001]
        assert numbers(await box(one, "b", asked)) == [8002]
        with pytest.raises(errors.Exhausted) as caught:
            await box(one, "c", asked)
        assert caught.value.code == "SDD-PUBLISH-EXHAUSTED"
        assert "8000-8002/tcp" in caught.value.sentence
        await laws.check(one)


async def test_P2_L15_a_free_number_is_chosen_that_nobody_has() -> None:
    async with node() as one:
        await front(one)
        every = range(port.AUTO_FIRST, port.AUTO_LAST + 1)
        free = {30100, 32000}
        one.world.busy = frozenset((Protocol.TCP, each) for each in every if each not in free)
        found = {numbers(await box(one, name, publish(0)))[0] for name in ("a", "b")}
        assert found == free
        with pytest.raises(errors.Exhausted) as caught:
            await box(one, "c", publish(0))
        assert caught.value.sentence.startswith("all ports are allocated: ")


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (publish(70000), "SDD-PUBLISH-PORT"),
        (publish(target=0), "SDD-PUBLISH-PORT"),
        (publish(8000, 80, published_last=8002, target_last=81), "SDD-PUBLISH-PORT"),
        (publish(8002, 80, published_last=8000), "SDD-PUBLISH-PORT"),
        (publish(mode=Mode.INGRESS), "SDD-PUBLISH-MODE"),
        (publish(1, 1, published_last=60000, target_last=60000), "SDD-PUBLISH-MANY"),
        (publish(host="2001:db8::1"), "SDD-PUBLISH-NETWORK"),
        (publish(host="::1"), "SDD-PUBLISH-NETWORK"),
    ],
)
async def test_bad_requests_change_nothing(asked: request.Publish, code: str) -> None:
    async with node() as one:
        await front(one)
        before = await one.keys()
        with pytest.raises(errors.Invalid) as caught:
            await box(one, "web", asked)
        assert caught.value.code == code
        assert await one.keys() == before


async def test_a_range_that_runs_backwards_is_told_so() -> None:
    async with node() as one:
        await front(one)
        with pytest.raises(errors.Invalid) as caught:
            await box(one, "web", publish(90, 80, published_last=80))
        assert caught.value.sentence == "a range of ports runs backwards: 90-80"


async def test_the_hosts_own_loopback_of_ipv6_is_refused_with_what_works() -> None:
    async with node() as one:
        await front(one, ipv6=True)
        for mode in (None, Mode.HOST):
            with pytest.raises(errors.Invalid) as caught:
                await box(one, "web", publish(host="::1", mode=mode))
            assert "cannot be published on ::1" in caught.value.sentence
            assert "127.0.0.1" in caught.value.hint


async def test_71_nothing_is_published_behind_an_internal_network() -> None:
    async with node() as one:
        await front(one, internal=True)
        with pytest.raises(errors.Invalid) as caught:
            await box(one, "web", publish())
        assert caught.value.code == "SDD-PUBLISH-NETWORK"
        assert "front" in caught.value.sentence


async def test_C89_C101_a_port_that_the_node_cannot_bind_is_taken_back_whole() -> None:
    def refuse(state: ClusterState) -> tuple[Failure, ...]:
        return tuple(
            Failure(subject=each.id, sentence="port 8080/tcp is taken", code="SDD-PUBLISH-TAKEN")
            for each in state.publishers
        )

    async with node() as one:
        await front(one)
        before = set(await one.keys())
        one.refuse(Backend.PORTS, refuse)
        with pytest.raises(errors.KernelRefused) as caught:
            await box(one, "web", publish(), publish(81))
        assert caught.value.code == "SDD-PUBLISH-TAKEN"
        left = {each for each in await one.keys() if not each.startswith("cursors/")}
        assert left == before
        await laws.check(one)


async def served(one: Node, *asked: request.Publish) -> None:
    await front(one)
    await one.commands.create_service(
        request.ServiceCreate(name="web", network="front", publish=asked)
    )


def shown(one: Node) -> list[str]:
    (found,) = one.state.services.values()
    return [f"{each.published}:{each.target}/{each.protocol}" for each in found.ports]


async def test_C127_one_target_may_be_published_several_times() -> None:
    async with node() as one:
        await served(one, publish(5005), publish(5006), publish(0), publish(0))
        assert shown(one)[:2] == ["5005:80/tcp", "5006:80/tcp"]
        assert len({*shown(one)}) == 4
        await laws.check(one)


async def test_C122_an_update_keeps_what_is_not_named_and_a_removal_frees_all() -> None:
    async with node() as one:
        await served(one, publish(5005, 80), publish(5006, 81))
        add, remove = (publish(5007, 82),), (request.Unpublish(target=81),)
        await one.commands.update_service(
            "web", request.ServiceUpdate(publish_add=add, publish_remove=remove)
        )
        assert shown(one) == ["5005:80/tcp", "5007:82/tcp"]
        await laws.check(one)
        await one.commands.remove_service("web")
        await laws.check(one)
        assert numbers(await box(one, "next", publish(5005), publish(5006))) == [5005, 5006]


async def test_C122_one_of_several_numbers_of_a_target_goes_alone() -> None:
    async with node() as one:
        await served(
            one,
            publish(5005),
            publish(5006),
            publish(5007),
            publish(5006, 80, protocol=Protocol.UDP),
        )
        only, other = (
            request.Unpublish(published=5006),
            request.Unpublish(published=5007, target=80),
        )
        change = request.ServiceUpdate(publish_remove=(only, other))
        await one.commands.update_service("web", change)
        assert shown(one) == ["5005:80/tcp", "5006:80/udp"]
        await laws.check(one)
        before = await one.keys()
        for wrong in (other, request.Unpublish(published=5005, target=81), request.Unpublish()):
            with pytest.raises(errors.NotFound) as caught:
                await one.commands.update_service(
                    "web", request.ServiceUpdate(publish_remove=(wrong,))
                )
            assert caught.value.code == "SDD-SERVICE-PORT"
        assert await one.keys() == before


async def test_a_port_that_every_node_opens_is_asked_for_at_127_0_0_1_beside_it() -> None:
    async with node() as one:
        await served(one, publish(5005), publish(5005, host="127.0.0.1"))
        await laws.check(one)
        (found,) = one.state.services.values()
        assert [str(each.address) for each in found.ports] == ["None", "127.0.0.1"]
        other = (publish(5005, 81, host="127.0.0.1"),)
        with pytest.raises(errors.Conflict):
            await one.commands.update_service("web", request.ServiceUpdate(publish_add=other))
        with pytest.raises(errors.Conflict):
            await box(one, "other", publish(5005, host="127.0.0.1"))
        less = request.Unpublish(published=5005, address=ip_address("127.0.0.1"))
        await one.commands.update_service("web", request.ServiceUpdate(publish_remove=(less,)))
        assert shown(one) == ["5005:80/tcp"]
        await laws.check(one)
        again = request.ServiceUpdate(publish_add=(publish(5005, host="127.0.0.1"),))
        await one.commands.update_service("web", again)
        await one.commands.update_service("web", again)
        assert shown(one) == ["5005:80/tcp"] * 2
        await laws.check(one)
        await one.commands.remove_service("web")
        await laws.check(one)


async def test_while_a_port_is_stolen_other_changes_of_its_service_are_done() -> None:
    def stolen(state: ClusterState) -> tuple[Failure, ...]:
        return tuple(
            Failure(subject=svc.id, sentence=f"port {each} is taken", code="SDD-PUBLISH-TAKEN")
            for svc in state.services.values()
            for each in svc.ports
            if each.published in (5005, 5006)
        )

    async with node() as one:
        await served(one, publish(5005))
        one.refuse(Backend.PORTS, stolen)
        await box(one, "a")  # the next pass shows what fails by now
        await one.commands.join("web", request.Join(sandbox="a"))
        changed = await one.commands.update_service("web", request.ServiceUpdate(drain_s=3.0))
        assert changed.drain_s == 3.0
        await one.commands.set_weight("web", "a", 7)
        await one.commands.leave("web", "a")
        with pytest.raises(errors.KernelRefused, match="5006"):
            await one.commands.update_service(
                "web", request.ServiceUpdate(publish_add=(publish(5006),))
            )
        assert shown(one) == ["5005:80/tcp"]


async def test_a_number_can_move_to_another_target_in_one_update() -> None:
    async with node() as one:
        await served(one, publish(5005, 80))
        moved = request.ServiceUpdate(
            publish_add=(publish(5005, 81),), publish_remove=(request.Unpublish(target=80),)
        )
        await one.commands.update_service("web", moved)
        assert shown(one) == ["5005:81/tcp"]


async def test_B9_46_the_second_service_on_a_port_is_refused_before_any_backend_hears_of_it() -> (
    None
):
    async with node() as one:
        await served(one, publish(5005), publish(5005, host="127.0.0.1"))
        stored, revision = await one.keys(), one.state.revision
        seen = {name: each.passes for name, each in one.backends.items()}
        for clash in (publish(5005), publish(5005, 81), publish(5005, host="192.0.2.1")):
            asked = request.ServiceCreate(name="api", network="front", publish=(clash,))
            with pytest.raises(errors.Conflict, match="by service web") as caught:
                await one.commands.create_service(asked)
            assert caught.value.code == "SDD-PUBLISH-INUSE"
        assert (await one.keys(), one.state.revision) == (stored, revision)
        assert {name: each.passes for name, each in one.backends.items()} == seen
        other = publish(5005, protocol=Protocol.UDP)
        asked = request.ServiceCreate(name="api", network="front", publish=(other,))
        await one.commands.create_service(asked)


async def test_46_a_service_and_a_sandbox_never_share_a_port() -> None:
    async with node() as one:
        await served(one, publish(5005))
        with pytest.raises(errors.Conflict) as caught:
            await box(one, "web", publish(5005))
        assert "service web" in caught.value.sentence
        before = await one.keys()
        await box(one, "other", publish(5006))
        with pytest.raises(errors.Conflict) as caught:
            await one.commands.update_service(
                "web", request.ServiceUpdate(publish_add=(publish(5006),))
            )
        assert "sandbox other" in caught.value.sentence
        with pytest.raises(errors.NotFound) as absent:
            await one.commands.update_service(
                "web", request.ServiceUpdate(publish_remove=(request.Unpublish(target=99),))
            )
        assert absent.value.code == "SDD-SERVICE-PORT"
        assert set(before) < set(await one.keys())
        assert shown(one) == ["5005:80/tcp"]
