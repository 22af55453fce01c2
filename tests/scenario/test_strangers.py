"""Addresses on a wire with other machines: nobody's address is given to a sandbox or a service."""

import asyncio
from collections.abc import Mapping
from ipaddress import ip_address, ip_network

import pytest

from sdd import errors
from sdd.model import child, endpoint, network, request
from sdd.model.host_link import HostLink
from tests.scenario.node import Node, node
from tests.support import eventually_async

BRIDGE, MACVLAN, IPVLAN = network.Driver.BRIDGE, network.Driver.MACVLAN, network.Driver.IPVLAN
MACHINE = "another machine, 02:aa:bb:cc:dd:ee"


def lan_addresses(count: int) -> list[str]:
    return [f"192.0.2.{number}" for number in range(1, count + 1)]


def strangers(*addresses: str) -> dict[network.IPAddress, str]:
    return dict.fromkeys(map(ip_address, addresses), MACHINE)


async def lan(
    one: Node,
    *subnets: str,
    ip_range: str = "",
    driver: network.Driver = MACVLAN,
    options: Mapping[str, str] = network.EMPTY,
    aux: Mapping[str, network.IPAddress] | None = None,
) -> None:
    within = ip_network(ip_range) if ip_range else None
    pools = tuple(
        request.PoolSpec(subnet=ip_network(each), ip_range=within, aux=aux or {})
        for each in subnets or ("192.0.2.0/24",)
    )
    said = {**({} if driver is BRIDGE else {"parent": "eth0"}), **options}
    await one.commands.create_network(
        request.NetworkCreate(name="lan", driver=driver, pools=pools, options=said)
    )


async def join(one: Node, name: str, ip: str = "") -> endpoint.Endpoint:
    wanted = request.Attachment(network="lan", ip=ip_address(ip) if ip else None)  # type: ignore[arg-type]  # IPv4 here
    made = await one.commands.create_sandbox(
        request.SandboxCreate(name=name, attachments=(wanted,))
    )
    (end,) = one.feed.state.endpoints_by_sandbox[made.id]
    return end


async def test_U38_an_address_that_somebody_has_is_passed_over() -> None:
    async with node() as one:
        await lan(one, "192.0.2.0/24", "2001:db8::/64")
        one.world.neighbours = strangers("192.0.2.1", "192.0.2.2", "2001:db8::1")
        end = await join(one, "a")
        assert list(map(str, end.hosts)) == ["192.0.2.3", "2001:db8::2"]
        assert str((await join(one, "b")).hosts[0]) == "192.0.2.4"


async def test_U38_a_given_address_that_somebody_has_is_refused_and_changes_nothing() -> None:
    async with node() as one:
        await lan(one)
        one.world.neighbours = strangers("192.0.2.9")
        before = await one.keys()
        with pytest.raises(errors.Conflict, match="02:aa:bb:cc:dd:ee") as caught:
            await join(one, "a", "192.0.2.9")
        assert caught.value.code == "SDD-IPAM-DUPLICATE"
        assert await one.keys() == before
        assert str((await join(one, "a", "192.0.2.8")).hosts[0]) == "192.0.2.8"


async def test_many_strangers_are_found_in_few_rounds_and_all_of_them_is_exhaustion() -> None:
    async with node() as one:
        await lan(one, ip_range="192.0.2.64/26")
        taken = [f"192.0.2.{number}" for number in range(64, 128)]
        one.world.neighbours = strangers(*taken[:-1])
        assert str((await join(one, "a")).hosts[0]) == taken[-1]
        rounds = one.world.rounds
        assert rounds <= 8
        with pytest.raises(errors.Exhausted, match="63 of them by machines that are not ours"):
            await join(one, "b")


@pytest.mark.parametrize("ip", ["169.254.9.9", "fe80::9"])
async def test_U38_a_link_local_address_that_somebody_has_is_refused(ip: str) -> None:
    async with node() as one:
        await lan(one, "192.0.2.0/24", "2001:db8::/64")
        one.world.neighbours = strangers(ip)
        wanted = request.Attachment(network="lan", link_local=(ip_address(ip),))
        box = request.SandboxCreate(name="a", attachments=(wanted,))
        with pytest.raises(errors.Conflict, match="02:aa:bb:cc:dd:ee") as caught:
            await one.commands.create_sandbox(box)
        assert caught.value.code == "SDD-IPAM-DUPLICATE"
        one.world.neighbours = {}
        near = request.Attachment(network="lan", link_local=(ip_address(ip) + 1,))
        await one.commands.create_sandbox(request.SandboxCreate(name="a", attachments=(near,)))


async def test_commands_beside_each_other_ask_for_different_addresses_and_once() -> None:
    async with node() as one, asyncio.TaskGroup() as group:
        await lan(one)
        one.world.neighbours = strangers("192.0.2.3", "192.0.2.5")
        one.world.answering = asyncio.Event()
        joins = [group.create_task(join(one, f"b{number}")) for number in range(30)]
        await eventually_async(lambda: len(one.world.asked) == 30, 60, "all of them ask")
        one.world.answering.set()
        given = {(await each).hosts[0] for each in joins}
        assert given == set(map(ip_address, lan_addresses(32))) - set(one.world.neighbours)
        assert len(one.world.asked) == len(set(one.world.asked))


async def test_a_command_that_is_called_off_leaves_the_others_their_answers() -> None:
    async with node() as one, asyncio.TaskGroup() as group:
        await lan(one)
        one.world.answering = asyncio.Event()
        first = group.create_task(join(one, "a", "192.0.2.9"))
        second = group.create_task(join(one, "b"))
        await eventually_async(lambda: one.world.rounds == 2, 60, "both ask")
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        one.world.answering.set()
        assert str((await second).hosts[0]) == "192.0.2.1"
        assert str((await join(one, "c", "192.0.2.9")).hosts[0]) == "192.0.2.9"


async def test_others_on_the_wire_of_a_bridge_that_was_there_are_asked() -> None:
    named = {network.OPTION_BRIDGE_NAME: "br0"}
    async with node() as one:
        one.world.parents["br0"] = HostLink(mtu=1500, addresses=(ip_address("192.0.2.1"),))
        one.world.neighbours = strangers("192.0.2.2", "192.0.2.9")
        await lan(one, driver=BRIDGE, options=named)
        assert str((await join(one, "a")).hosts[0]) == "192.0.2.3"
        with pytest.raises(errors.Conflict, match="02:aa:bb:cc:dd:ee") as caught:
            await join(one, "b", "192.0.2.9")
        assert caught.value.code == "SDD-IPAM-DUPLICATE"
        await one.commands.remove_sandbox("a")
        await one.commands.remove_network("lan")
        one.world.asked.clear()
        await lan(one, driver=BRIDGE, options=named | {"duplicate-probe": "false"})
        assert str((await join(one, "b", "192.0.2.9")).hosts[0]) == "192.0.2.9"
        assert one.world.asked == []


async def test_a_services_address_is_asked_for_too() -> None:
    async with node() as one:
        await lan(one)
        one.world.neighbours = strangers("192.0.2.1")
        made = await one.commands.create_service(request.ServiceCreate(name="web", network="lan"))
        assert list(map(str, made.vips)) == ["192.0.2.2"]


@pytest.mark.parametrize(
    ("driver", "options"),
    [
        (MACVLAN, {"duplicate-probe": "false"}),
        (IPVLAN, {"ipvlan_mode": "l3"}),
    ],
)
async def test_nobody_is_asked_where_there_is_nobody_or_it_was_said(
    driver: network.Driver, options: dict[str, str]
) -> None:
    async with node() as one:
        await lan(one, driver=driver, options=options)
        await join(one, "a")
        assert one.world.asked == []


HOST_ACCESS = {"host-access": "true"}


def kept(one: Node) -> list[str]:
    (made,) = one.feed.state.networks.values()
    return list(map(str, child.host_addresses(made)))


async def test_U38_the_hosts_own_address_is_asked_for_too() -> None:
    async with node() as one:
        one.world.neighbours = strangers("192.0.2.1", "192.0.2.2", "2001:db8::1")
        await lan(one, "192.0.2.0/24", "2001:db8::/64", options=HOST_ACCESS)
        assert kept(one) == ["192.0.2.3", "2001:db8::2"]


async def test_U38_a_given_address_of_the_host_that_somebody_has_is_refused() -> None:
    async with node() as one:
        one.world.neighbours = strangers("192.0.2.250")
        before = await one.keys()
        aux = {child.HOST_ACCESS: ip_address("192.0.2.250")}
        with pytest.raises(errors.Conflict, match="02:aa:bb:cc:dd:ee") as caught:
            await lan(one, aux=aux, options=HOST_ACCESS)
        assert caught.value.code == "SDD-IPAM-DUPLICATE"
        assert await one.keys() == before
        await lan(one, aux=aux, options=HOST_ACCESS | {"duplicate-probe": "false"})
        assert kept(one) == ["192.0.2.250"]


async def test_a_wire_without_an_address_for_the_host_is_said() -> None:
    async with node() as one:
        one.world.neighbours = strangers(*(f"192.0.2.{number}" for number in range(1, 7)))
        with pytest.raises(errors.Invalid, match="for the host: 6 are in use by others") as caught:
            await lan(one, "192.0.2.0/29", options=HOST_ACCESS)
        assert caught.value.code == "SDD-NET-AUX"


async def test_an_address_of_the_host_is_nobody_elses() -> None:
    async with node() as one:
        await one.commands.create_network(request.NetworkCreate(name="front"))
        (net,) = (each for each in one.state.networks.values() if each.name == "front")
        taken = net.pools[0].subnet[200]
        one.world.own = {taken}
        with pytest.raises(errors.Conflict) as caught:
            await one.commands.create_service(
                request.ServiceCreate(name="web", network="front", vips=(taken,))
            )
        assert caught.value.code == "SDD-IPAM-DUPLICATE"
        assert caught.value.sentence == f"{taken} is an address of this host itself"
        assert not one.state.services
        free = net.pools[0].subnet[201]
        await one.commands.create_service(
            request.ServiceCreate(name="web", network="front", vips=(free,))
        )
