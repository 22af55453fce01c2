"""Driver options as the commands take and refuse them."""

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from sdd import errors
from sdd.model import child, network, request
from tests.scenario.node import node

BRIDGE = "com.docker.network.bridge."


def asked(name: str, **said: object) -> request.NetworkCreate:
    return request.NetworkCreate(name=name, **said)  # type: ignore[arg-type]  # fields of one case each


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({f"{BRIDGE}gateway_mode_ipv4": "natty"}, "routed"),
        ({f"{BRIDGE}enable_icc": "maybe"}, "true or false"),
        ({f"{BRIDGE}enable_iccc": "true"}, f"did you mean {BRIDGE}enable_icc?"),
        ({f"{BRIDGE}enable-icc": "true"}, f"did you mean {BRIDGE}enable_icc?"),
        ({"enable_icc": "true"}, f"did you mean {BRIDGE}enable_icc?"),
        ({"enable-ipv6": "true"}, "did you mean com.docker.network.enable_ipv6?"),
        ({"mtu": "1400"}, "did you mean com.docker.network.driver.mtu?"),
        ({"parent": "eth0"}, "-d macvlan"),
        ({f"{BRIDGE}default_bridge": "true"}, "called bridge"),
        ({f"{BRIDGE}gateway_mode_ipv4": "isolated"}, "--internal"),
        ({"macvlan_mode": "bridge"}, "known"),
    ],
)
async def test_a_bad_option_is_refused_with_what_would_do(
    options: dict[str, str], word: str
) -> None:
    async with node() as one:
        before = one.feed.state
        with pytest.raises(errors.Invalid) as caught:
            await one.commands.create_network(asked("n", options=options))
        assert caught.value.code == "SDD-NET-OPTION"
        assert word in f"{caught.value.sentence} {caught.value.hint}"
        assert one.feed.state is before


@pytest.mark.parametrize(
    ("options", "internal"),
    [
        ({f"{BRIDGE}gateway_mode_ipv4": "isolated"}, True),
        ({f"{BRIDGE}inhibit_ipv4": "true"}, True),
    ],
)
async def test_C77_without_a_gateway_a_31_has_room_for_two(
    options: dict[str, str], internal: bool
) -> None:
    pools = (request.PoolSpec(subnet=ip_network("192.168.135.0/31")),)
    async with node() as one:
        made = await one.commands.create_network(
            asked("tiny", options=options, internal=internal, pools=pools)
        )
        assert made.pools[0].gateway is None
        for name in ("a", "b"):
            await one.commands.create_sandbox(
                request.SandboxCreate(name=name, attachments=(request.Attachment(network="tiny"),))
            )
        taken = {str(ip) for each in one.feed.state.endpoints.values() for ip in each.hosts}
        assert taken == {"192.168.135.0", "192.168.135.1"}


async def test_the_prefix_option_names_the_links() -> None:
    async with node() as one:
        made = await one.commands.create_network(
            asked("n", options={"com.docker.network.container_iface_prefix": "lan"})
        )
        await one.commands.create_sandbox(
            request.SandboxCreate(name="a", attachments=(request.Attachment(network="n"),))
        )
        (end,) = one.feed.state.endpoints_by_network[made.id]
        assert end.ifname == "lan0"
    assert made.driver is network.Driver.BRIDGE


MACVLAN, IPVLAN = network.Driver.MACVLAN, network.Driver.IPVLAN


@pytest.mark.parametrize(
    ("first", "second", "word"),
    [
        ((MACVLAN, {}), (MACVLAN, {}), ""),
        ((MACVLAN, {}), (MACVLAN, {"macvlan_mode": "private"}), ""),
        ((MACVLAN, {}), (MACVLAN, {"macvlan_mode": "passthru"}), "passthru"),
        ((MACVLAN, {"macvlan_mode": "passthru"}), (MACVLAN, {}), "passthru"),
        ((MACVLAN, {}), (IPVLAN, {}), "whose driver is macvlan"),
        ((IPVLAN, {}), (IPVLAN, {}), ""),
        ((IPVLAN, {}), (IPVLAN, {"ipvlan_mode": "l3"}), "in mode l2"),
        ((IPVLAN, {"ipvlan_flag": "vepa"}), (IPVLAN, {}), "with flag vepa"),
    ],
)
async def test_C119_who_may_share_a_parent(
    first: tuple[network.Driver, dict[str, str]],
    second: tuple[network.Driver, dict[str, str]],
    word: str,
) -> None:
    async with node() as one:
        for name, (driver, options) in (("one", first), ("two", second)):
            wanted = asked(name, driver=driver, options={"parent": "eth0"} | options)
            if name == "one" or not word:
                await one.commands.create_network(wanted)
                continue
            with pytest.raises(errors.Conflict) as caught:
                await one.commands.create_network(wanted)
            assert caught.value.code == "SDD-NET-PARENT"
            assert word in caught.value.sentence
            assert "eth0.100" in caught.value.hint
        await one.commands.create_network(
            asked("vlan", driver=IPVLAN, options={"parent": "eth0.7", "ipvlan_mode": "l3"})
        )


@pytest.mark.parametrize(
    ("driver", "options", "word"),
    [
        (MACVLAN, {"parent": "lo"}, "loopback"),
        (MACVLAN, {"macvlan_mode": "hub"}, "'hub'"),
        (IPVLAN, {"ipvlan_mode": "l7"}, "'l7'"),
        (IPVLAN, {"ipvlan_flag": "on"}, "'on'"),
        (IPVLAN, {"macvlan_mode": "bridge"}, "ipvlan_mode"),
        (MACVLAN, {"macvlan_mode": "private", "host-access": "true"}, "use the mode bridge"),
        (MACVLAN, {"macvlan_mode": "passthru", "host-access": "true"}, "use the mode bridge"),
        (IPVLAN, {"ipvlan_flag": "vepa", "host-access": "true"}, "use the mode bridge"),
    ],
)
async def test_C121_a_bad_option_of_a_child_is_named(
    driver: network.Driver, options: dict[str, str], word: str
) -> None:
    async with node() as one:
        with pytest.raises(errors.Invalid) as caught:
            await one.commands.create_network(asked("n", driver=driver, options=options))
        assert caught.value.code == "SDD-NET-OPTION"
        assert word in f"{caught.value.sentence} {caught.value.hint}"


async def test_a_child_network_may_have_the_hosts_own_subnet_and_no_gateway() -> None:
    async with node() as one:
        one.world.prefixes = (ip_network("192.0.2.0/24"),)
        pools = (request.PoolSpec(subnet=ip_network("192.0.2.0/24")),)
        made = await one.commands.create_network(
            asked("lan", driver=MACVLAN, options={"parent": "eth0"}, pools=pools)
        )
        assert (made.pools[0].gateway, made.internal) == (None, False)
        with pytest.raises(errors.Conflict):
            await one.commands.create_network(asked("bridged", pools=pools))


async def test_C112_without_a_parent_a_network_is_internal() -> None:
    async with node() as one:
        made = await one.commands.create_network(asked("alone", driver=IPVLAN))
        assert made.internal


async def test_an_ipvlan_endpoint_has_no_mac_of_its_own() -> None:
    async with node() as one:
        await one.commands.create_network(asked("n", driver=IPVLAN))
        plain = request.Attachment(network="n")
        await one.commands.create_sandbox(request.SandboxCreate(name="a", attachments=(plain,)))
        assert [each.mac for each in one.feed.state.endpoints.values()] == [""]
        given = request.Attachment(network="n", mac="02:00:00:00:00:01")
        with pytest.raises(errors.Invalid, match="parent"):
            await one.commands.create_sandbox(request.SandboxCreate(name="b", attachments=(given,)))


async def test_host_access_keeps_an_address_of_each_subnet_for_the_host() -> None:
    pools = (
        request.PoolSpec(subnet=ip_network("192.0.2.0/24"), ip_range=ip_network("192.0.2.64/26")),
        request.PoolSpec(subnet=ip_network("2001:db8:1::/64")),
    )
    async with node() as one:
        made = await one.commands.create_network(
            asked("lan", driver=MACVLAN, options={"host-access": "true"}, pools=pools)
        )
        kept = child.host_addresses(made)
        assert list(map(str, kept)) == ["192.0.2.64", "2001:db8:1::1"]
        plain = request.Attachment(network="lan")
        await one.commands.create_sandbox(request.SandboxCreate(name="a", attachments=(plain,)))
        (end,) = one.feed.state.endpoints.values()
        assert set(end.hosts).isdisjoint(kept)


async def test_without_room_for_the_host_there_is_no_host_access() -> None:
    pools = (request.PoolSpec(subnet=ip_network("192.0.2.0/31"), gateway=ip_address("192.0.2.0")),)
    full = (replace(pools[0], aux={"machine": ip_address("192.0.2.1")}),)
    async with node() as one:
        with pytest.raises(errors.Invalid, match="no address left for the host"):
            await one.commands.create_network(
                asked("lan", driver=MACVLAN, options={"host-access": "true"}, pools=full)
            )
