"""Which links of the host a network may stand on, and what of it must fit (C118, M5)."""

from collections.abc import Mapping
from ipaddress import ip_network

import pytest

from sdd import errors
from sdd.model import network, request
from sdd.model.host_link import HostLink
from tests.scenario.node import Node, node

MACVLAN, IPVLAN = network.Driver.MACVLAN, network.Driver.IPVLAN
MTU = network.OPTION_MTU
LINKS = {
    "eth0": HostLink(mtu=1500),
    "slow": HostLink(mtu=1200),
    "port": HostLink(mtu=1500, holder="bridge"),
    "wg0": HostLink(mtu=1420, is_ethernet=False),
    "eth0.20": HostLink(mtu=1400),
    "odd.4095": HostLink(mtu=1500),
    "enp3s0": HostLink(mtu=1500, own_name="eth0"),
    "ens9": HostLink(mtu=1200, own_name="slow"),
    "long": HostLink(mtu=1500, own_name="abcdefghijkl"),
}


async def make(
    one: Node,
    options: Mapping[str, str],
    *,
    driver: network.Driver = MACVLAN,
    name: str = "lan",
    subnet: str = "192.0.2.0/24",
) -> network.Network:
    pools = (request.PoolSpec(subnet=ip_network(subnet)),)
    one.world.parents = LINKS
    asked = request.NetworkCreate(name=name, driver=driver, pools=pools, options=options)
    return await one.commands.create_network(asked)


@pytest.mark.parametrize("driver", [MACVLAN, IPVLAN])
@pytest.mark.parametrize(
    ("parent", "word", "advice"),
    [
        ("nope", "is no link of this host", "like eth0.100"),
        ("nope.20", "the host has no link 'nope'", "ip -br link"),
        ("eth0.0", "no VLAN", "a tag of 1 to 4094"),
        ("eth0.4095", "no VLAN", "a tag of 1 to 4094"),
        ("eth0.x", "no VLAN", "a tag of 1 to 4094"),
        ("eth0.10.20", "a VLAN on a VLAN is not made", "ip link add link eth0.10 name eth0.10.20"),
        ("port", "is a port of a bridge", "choose another link"),
        ("wg0", "is no Ethernet", "ip -br link"),
        ("wg0.20", "is no Ethernet", "ip -br link"),
    ],
)
async def test_C118_what_cannot_be_a_parent_is_refused_at_once_and_changes_nothing(
    driver: network.Driver, parent: str, word: str, advice: str
) -> None:
    async with node() as one:
        before = await one.keys()
        with pytest.raises(errors.Invalid) as caught:
            await make(one, {"parent": parent}, driver=driver)
        assert caught.value.code == "SDD-NET-PARENT"
        assert word in caught.value.sentence
        assert advice in caught.value.hint
        assert await one.keys() == before


@pytest.mark.parametrize("parent", ["eth0", "eth0.7", "eth0.20", "odd.4095", "port.7"])
async def test_C118_a_link_that_is_there_or_can_be_made_will_do(parent: str) -> None:
    async with node() as one:
        made = await make(one, {"parent": parent})
        assert made.options["parent"] == parent


@pytest.mark.parametrize(
    ("given", "own"),
    [("enp3s0", "eth0"), ("enp3s0.7", "eth0.7"), ("enp3s0.20", "eth0.20"), ("ens9", "slow")],
)
async def test_a_parent_by_another_of_its_names_is_stored_by_its_own(given: str, own: str) -> None:
    async with node() as one:
        made = await make(one, {"parent": given, "macvlan_mode": "passthru"})
        assert made.options["parent"] == own
        for name in (given, own):
            with pytest.raises(errors.Conflict, match=f"parent {own} is already used") as caught:
                await make(one, {"parent": name}, name="more", subnet="198.51.100.0/24")
            assert caught.value.code == "SDD-NET-PARENT"


async def test_an_own_name_that_no_vlan_can_have_is_refused() -> None:
    async with node() as one:
        before = await one.keys()
        with pytest.raises(errors.Invalid, match=r"cannot be 'abcdefghijkl\.4000'") as caught:
            await make(one, {"parent": "long.4000"})
        assert (caught.value.code, "1 to 15 char" in caught.value.hint) == ("SDD-NET-OPTION", True)
        assert await one.keys() == before


async def test_a_bridge_by_another_of_its_names_is_stored_by_its_own() -> None:
    async with node() as one:
        options = {network.OPTION_BRIDGE_NAME: "lan-bridge"}
        links = {"lan-bridge": HostLink(mtu=1500, own_name="br0"), "br0": HostLink(mtu=1500)}
        one.world.parents = links
        made = await one.commands.create_network(request.NetworkCreate(name="a", options=options))
        assert made.device == made.options[network.OPTION_BRIDGE_NAME] == "br0"
        with pytest.raises(errors.Conflict, match="the bridge br0 belongs to network 'a'"):
            await one.commands.create_network(request.NetworkCreate(name="b", options=options))


@pytest.mark.parametrize(
    ("parent", "mtu"), [("eth0", "1501"), ("eth0.7", "9000"), ("eth0.20", "1500")]
)
@pytest.mark.parametrize("driver", [MACVLAN, IPVLAN])
async def test_a_larger_mtu_than_the_parents_is_refused(
    driver: network.Driver, parent: str, mtu: str
) -> None:
    async with node() as one:
        with pytest.raises(errors.Invalid, match="larger than that of the parent") as caught:
            await make(one, {"parent": parent, MTU: mtu}, driver=driver)
        assert caught.value.code == "SDD-NET-OPTION"
        assert f"mtu {mtu}" in caught.value.hint
        await make(one, {"parent": parent, MTU: "1400"}, driver=driver)


@pytest.mark.parametrize(
    ("driver", "options", "word"),
    [
        (network.Driver.BRIDGE, {MTU: "1000"}, "the option MTU of 1000"),
        (MACVLAN, {MTU: "1279"}, "the option MTU of 1279"),
        (MACVLAN, {"parent": "slow"}, "the parent's MTU of 1200"),
        (IPVLAN, {"parent": "slow.7"}, "the parent's MTU of 1200"),
    ],
)
async def test_a_link_too_small_for_ipv6_gets_no_ipv6_subnet(
    driver: network.Driver, options: Mapping[str, str], word: str
) -> None:
    async with node() as one:
        with pytest.raises(errors.Invalid, match="which needs 1280") as caught:
            await make(one, options, driver=driver, subnet="2001:db8::/64")
        assert caught.value.code == "SDD-NET-OPTION"
        assert word in caught.value.sentence
        await make(one, options, driver=driver)


async def test_passthru_names_the_sandbox_that_has_the_parent() -> None:
    async with node() as one:
        await make(one, {"parent": "eth0", "macvlan_mode": "passthru"})
        on_lan = (request.Attachment(network="lan"),)
        await one.commands.create_sandbox(request.SandboxCreate(name="a", attachments=on_lan))
        before = await one.keys()
        with pytest.raises(
            errors.Conflict, match="takes the whole parent eth0: a has it"
        ) as caught:
            await one.commands.create_sandbox(request.SandboxCreate(name="b", attachments=on_lan))
        assert caught.value.code == "SDD-NET-PARENT"
        assert "sdctl network disconnect lan a" in caught.value.hint
        assert await one.keys() == before
        await one.commands.disconnect("lan", "a")
        await one.commands.create_sandbox(request.SandboxCreate(name="b", attachments=on_lan))


async def test_networks_of_one_parent_give_a_mac_address_once() -> None:
    mac = "02:00:00:00:00:09"
    async with node() as one:
        for name, parent, subnet in (
            ("left", "eth0", "192.0.2.0/25"),
            ("right", "eth0", "192.0.2.128/25"),
            ("apart", "eth0.20", "198.51.100.0/25"),
        ):
            await make(one, {"parent": parent}, name=name, subnet=subnet)
        await one.commands.create_sandbox(sandbox("a", on="left", mac=mac))
        with pytest.raises(errors.Conflict, match="on network left of the same parent") as caught:
            await one.commands.create_sandbox(sandbox("b", on="right", mac=mac))
        assert caught.value.code == "SDD-NET-MAC"
        await one.commands.create_sandbox(sandbox("c", on="apart", mac=mac))
        await one.commands.create_sandbox(sandbox("d", on="right"))


def sandbox(name: str, *, on: str, mac: str = "") -> request.SandboxCreate:
    return request.SandboxCreate(name=name, attachments=(request.Attachment(network=on, mac=mac),))
