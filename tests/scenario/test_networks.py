"""Subnets of every shape, DNS settings that change, and networks nobody uses."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest

from sdd import errors
from sdd.alloc.pools import PoolTemplate, ula
from sdd.control import taken
from sdd.model import endpoint, network, request
from sdd.model.forwardzone import ForwardZone
from sdd.model.host_link import HostLink
from tests.scenario import laws
from tests.scenario.node import NODE, Node, node


def spec(subnet: str, **more: str) -> request.PoolSpec:
    gateway, ip_range = more.get("gateway"), more.get("ip_range")
    return request.PoolSpec(
        subnet=ip_network(subnet),
        gateway=ip_address(gateway) if gateway else None,
        ip_range=ip_network(ip_range) if ip_range else None,
    )


async def make(one: Node, name: str, *pools: request.PoolSpec, **more: bool) -> network.Network:
    return await one.commands.create_network(
        request.NetworkCreate(name=name, pools=pools, ipv6=more.get("ipv6", False))
    )


async def join(one: Node, box: str, net: str, **more: object) -> endpoint.Endpoint:
    attachment = request.Attachment(network=net, **more)  # type: ignore[arg-type]  # options of one test each
    made = await one.commands.create_sandbox(
        request.SandboxCreate(name=box, attachments=(attachment,))
    )
    (end,) = one.state.endpoints_by_sandbox[made.id]
    return end


def subnets(net: network.Network) -> list[str]:
    return [str(pool.subnet) for pool in net.pools]


def hosts(end: endpoint.Endpoint) -> list[str]:
    return [str(ip) for ip in end.hosts]


async def test_C62_the_daemons_own_pools_are_used_in_order() -> None:
    pools = (
        PoolTemplate(base=ip_network("175.30.0.0/16"), size=16),
        PoolTemplate(base=ip_network("175.33.0.0/16"), size=24),
    )
    async with node(pools=pools) as one:
        default = await one.commands.ensure_default_network()
        first, second = await make(one, "a"), await make(one, "b")
        assert [subnets(each) for each in (default, first, second)] == [
            ["175.30.0.0/16"],
            ["175.33.0.0/24"],
            ["175.33.1.0/24"],
        ]


async def test_C74_free_pools_avoid_host_routes_and_each_other() -> None:
    async with node() as one:
        one.world.prefixes = (ip_network("172.17.5.0/24"), ip_network("172.19.0.0/16"))
        await make(one, "x", spec("172.20.0.0/24"))
        assert subnets(await make(one, "a")) == ["172.18.0.0/16"]
        assert subnets(await make(one, "b")) == ["172.21.0.0/16"]


async def test_I4_a_free_pool_holds_no_name_server_of_the_host() -> None:
    servers = (ip_address("172.18.255.53"), ip_address("8.8.8.8"), ip_address("2001:db8::53"))
    async with node(nameservers=servers) as one:
        assert subnets(await make(one, "a")) == ["172.17.0.0/16"]
        assert subnets(await make(one, "b")) == ["172.19.0.0/16"]
        assert subnets(await make(one, "c", spec("172.18.0.0/16"))) == ["172.18.0.0/16"]


async def test_a_free_pool_is_none_that_the_host_reaches_by_a_gateway() -> None:
    async with node() as one:
        one.world.ways = (ip_network("172.18.0.0/16"), ip_network("172.17.0.0/20"))
        assert subnets(await make(one, "a")) == ["172.19.0.0/16"]


async def test_a_subnet_that_is_said_may_be_part_of_a_way_but_not_hide_it() -> None:
    async with node() as one:
        one.world.ways = (ip_network("10.40.64.0/20"),)
        assert subnets(await make(one, "a", spec("10.40.65.0/24"))) == ["10.40.65.0/24"]
        await one.commands.remove_network("a")
        for name, subnet in (("same", "10.40.64.0/20"), ("wider", "10.40.0.0/17")):
            with pytest.raises(errors.Conflict) as caught:
                await make(one, name, spec(subnet))
            assert caught.value.code == "SDD-NET-OVERLAP"
            assert "the host's own route 10.40.64.0/20" in caught.value.sentence


async def test_peers_107_pools_are_distinct_run_out_and_come_back() -> None:
    async with node() as one:
        given = [subnets(await make(one, f"n{number}"))[0] for number in range(31)]  # docker.md I1
        nets = [ip_network(each) for each in given]
        assert not any(a.overlaps(b) for a in nets for b in nets if a is not b)
        with pytest.raises(errors.Exhausted) as caught:
            await make(one, "more")
        assert caught.value.code == "SDD-IPAM-POOLS"
        await one.commands.remove_network("n7")
        assert subnets(await make(one, "more")) == [given[7]]


async def test_a_size_alone_asks_for_any_subnet_of_it() -> None:
    async with node() as one:
        assert subnets(await make(one, "a", spec("0.0.0.0/26"))) == ["172.17.0.0/26"]
        assert subnets(await make(one, "b", spec("0.0.0.0/26"))) == ["172.17.0.64/26"]
        six = await make(one, "d", spec("::/80"))
        assert subnets(six)[0].endswith("/80")
        assert six.pools[0].subnet.subnet_of(ula(NODE).base)  # type: ignore[arg-type]  # both are IPv6


async def test_ipv6_alone_brings_a_ula_subnet_besides_ipv4() -> None:
    async with node() as one:
        net = await make(one, "a", ipv6=True)
        four, six = net.pools
        assert str(four.subnet) == "172.17.0.0/16"
        assert six.subnet.prefixlen == 64
        assert six.subnet.subnet_of(ula(NODE).base)  # type: ignore[arg-type]  # both are IPv6
        assert net.ipv6
        assert hosts(await join(one, "w", "a")) == ["172.17.0.2", str(six.subnet[2])]


ENABLE = "com.docker.network.enable_ipv"


@pytest.mark.parametrize(
    ("given", "families"),
    [
        ({"ipv4": False, "ipv6": True}, {6}),
        ({"ipv4": True}, {4}),
        ({"ipv4": True, "pools": (spec("fd03::/64"),)}, {4, 6}),
        ({"ipv4": False, "pools": (spec("fd03::/64"),)}, {6}),
        ({"options": {f"{ENABLE}6": "true"}}, {4, 6}),
        ({"options": {f"{ENABLE}4": "false", f"{ENABLE}6": "true"}}, {6}),
        ({"options": {f"{ENABLE}4": "1", f"{ENABLE}6": "0"}}, {4}),
    ],
)
async def test_flags_and_dockers_options_say_the_ip_versions(
    given: dict[str, object], families: set[int]
) -> None:
    async with node() as one:
        net = await one.commands.create_network(request.NetworkCreate(name="n", **given))  # type: ignore[arg-type]  # fields of one case each
        assert {pool.subnet.version for pool in net.pools} == families
        assert net.options == {}
        await one.commands.create_template(request.NetworkCreate(name="t", **given))  # type: ignore[arg-type]  # same
        await one.commands.remove_network("n")
        made = await one.commands.create_network(
            request.NetworkCreate(name="m", config_from="t", driver=network.Driver.MACVLAN)
        )
        assert {pool.subnet.version for pool in made.pools} == families


async def test_ipv6_adds_the_family_that_was_not_named() -> None:
    async with node() as one:
        net = await make(one, "a", spec("fd01::/64"), ipv6=True)
        assert subnets(net) == ["fd01::/64", "172.17.0.0/16"]
        net = await make(one, "b", spec("10.0.0.0/24"), spec("fd02::/64"), ipv6=True)
        assert subnets(net) == ["10.0.0.0/24", "fd02::/64"]


async def test_an_ipv6_subnet_alone_makes_an_ipv6_only_network() -> None:
    async with node() as one:
        net = await make(one, "six", spec("fd01::/64"))
        assert subnets(net) == ["fd01::/64"]
        end = await join(one, "w", "six")
        assert hosts(end) == ["fd01::2"]
        assert end.mac.startswith("02:")
        made = await one.commands.create_service(request.ServiceCreate(name="s", network="six"))
        assert made.vips == (ip_address("fd01::3"),)
        with pytest.raises(errors.Invalid) as caught:
            await join(one, "x", "six", ip=IPv4Address("10.0.0.9"))
        assert caught.value.code == "SDD-IPAM-OUTSIDE"


async def test_C70_fixed_addresses_on_subnets_from_the_pools() -> None:
    async with node() as one:
        net = await make(one, "a", ipv6=True)
        six = net.pools[1].subnet[77]
        assert isinstance(six, IPv6Address)
        end = await join(one, "w", "a", ip=IPv4Address("172.17.3.4"), ip6=six)
        assert hosts(end) == ["172.17.3.4", str(six)]
        vips = (six + 1, IPv4Address("172.17.3.5"))
        asked = request.ServiceCreate(name="s", network="a", vip=vips[0], vips=vips[1:])
        assert set((await one.commands.create_service(asked)).vips) == set(vips)


async def test_several_subnets_of_one_family_are_filled_in_turn() -> None:
    async with node() as one:
        await make(one, "a", spec("10.0.0.0/30"), spec("10.1.0.0/29"))
        ends = [await join(one, f"w{n}", "a") for n in range(4)]
        assert [str(end.addresses[0]) for end in ends] == [
            "10.0.0.2/30",
            "10.1.0.2/29",
            "10.1.0.3/29",
            "10.1.0.4/29",
        ]
        fixed = await join(one, "w9", "a", ip=IPv4Address("10.1.0.6"))
        assert str(fixed.addresses[0]) == "10.1.0.6/29"


async def test_a_31_has_room_for_its_gateway_and_one_sandbox() -> None:
    async with node() as one:
        net = await make(one, "p2p", spec("192.168.135.0/31"))
        assert net.pools[0].gateway == ip_address("192.168.135.0")
        assert hosts(await join(one, "w", "p2p")) == ["192.168.135.1"]
        with pytest.raises(errors.Exhausted):
            await join(one, "x", "p2p")


@pytest.mark.parametrize("subnet", ["10.0.0.1/32", "fd00::1/128"])
async def test_P59_one_address_is_no_network(subnet: str) -> None:
    async with node() as one:
        with pytest.raises(errors.Invalid) as caught:
            await make(one, "n", spec(subnet))
        assert caught.value.code == "SDD-NET-SUBNET"
        assert subnet in caught.value.sentence


async def test_an_ip_range_bounds_the_automatic_addresses_only() -> None:
    async with node() as one:
        net = await make(one, "a", spec("10.0.0.0/24", ip_range="10.0.0.128/29"))
        assert net.pools[0].gateway == ip_address("10.0.0.128")
        taken_by = [hosts(await join(one, f"w{n}", "a"))[0] for n in range(7)]
        assert taken_by == [f"10.0.0.{n}" for n in range(129, 136)]
        with pytest.raises(errors.Exhausted) as caught:
            await join(one, "w8", "a")
        assert "10.0.0.128/29" in caught.value.sentence
        assert hosts(await join(one, "w9", "a", ip=IPv4Address("10.0.0.5"))) == ["10.0.0.5"]


async def test_C158_usage_follows_what_comes_and_goes() -> None:
    async with node() as one:
        pool = request.PoolSpec(
            subnet=ip_network("10.0.0.0/24"),
            gateway=ip_address("10.0.0.1"),
            ip_range=ip_network("10.0.0.2/31"),
            aux={"a": ip_address("10.0.0.3"), "b": ip_address("10.0.0.200")},
        )
        net = await make(one, "n", pool)

        def counts() -> tuple[int, int]:
            (usage,) = taken.usage_of(one.state, net)
            return usage.in_use, usage.free

        assert counts() == (5, 1)
        await join(one, "w1", "n")
        assert counts() == (6, 0)
        await join(one, "w2", "n", ip=IPv4Address("10.0.0.77"))
        assert counts() == (7, 0)
        await one.commands.remove_sandbox("w1")
        await one.commands.remove_sandbox("w2")
        assert counts() == (5, 1)


async def test_a_network_takes_dns_settings_while_it_lives() -> None:
    async with node() as one:
        await make(one, "lab")
        add = request.NetworkUpdate(
            dns_add=(IPv4Address("10.0.0.53"), IPv4Address("10.0.0.54")), search_add=("corp", ".")
        )
        changed = await one.commands.update_network("lab", add)
        assert [str(each) for each in changed.dns] == ["10.0.0.53", "10.0.0.54"]
        assert changed.dns_search == ("corp", ".")
        again = await one.commands.update_network("lab", add)
        assert again.dns == changed.dns
        less = request.NetworkUpdate(dns_remove=(IPv4Address("10.0.0.53"),), search_remove=(".",))
        left = await one.commands.update_network("lab", less)
        assert ([str(each) for each in left.dns], left.dns_search) == (["10.0.0.54"], ("corp",))
        before = one.state.revision
        for asked, code in (
            (less, "SDD-NET-DNS"),
            (request.NetworkUpdate(search_add=("a b",)), "SDD-NAME-HOST"),
        ):
            with pytest.raises(errors.SddError) as caught:
                await one.commands.update_network("lab", asked)
            assert caught.value.code == code
        assert one.state.revision == before
        await one.commands.ensure_default_network()
        with pytest.raises(errors.Forbidden):
            await one.commands.update_network("bridge", add)
        await laws.check(one)


async def test_C65_a_name_is_given_once() -> None:
    async with node() as one:
        await make(one, "testnet")
        with pytest.raises(errors.Conflict, match="network with name testnet already exists"):
            await make(one, "testnet")
        await one.commands.remove_network("testnet")
        await make(one, "testnet")


async def test_a_network_takes_forward_zones_while_it_lives() -> None:
    def zone(name: str, last: int) -> ForwardZone:
        return ForwardZone(zone=name, server=IPv4Address(f"10.0.0.{last}"))

    async with node() as one:
        asked = request.NetworkCreate(name="lab", dns_zones=(zone("Corp.Local.", 53),))
        made = await one.commands.create_network(asked)
        assert [str(each) for each in made.dns_zones] == ["corp.local=10.0.0.53"]
        more = request.NetworkUpdate(
            zone_add=(zone("corp.local", 54), zone("lab.test", 53)),
            zone_remove=(zone("CORP.local", 53),),
        )
        changed = await one.commands.update_network("lab", more)
        assert [str(each) for each in changed.dns_zones] == [
            "corp.local=10.0.0.54",
            "lab.test=10.0.0.53",
        ]
        before = one.state.revision
        for wrong, code in (
            (request.NetworkUpdate(zone_remove=(zone("corp.local", 53),)), "SDD-NET-DNS"),
            (request.NetworkUpdate(zone_add=(zone("x.onion", 53),)), "SDD-NAME-FORWARD"),
            (request.NetworkUpdate(zone_add=(zone(".", 53),)), "SDD-NAME-FORWARD"),
            (request.NetworkUpdate(zone_add=(zone("a b", 53),)), "SDD-NAME-HOST"),
        ):
            with pytest.raises(errors.SddError) as caught:
                await one.commands.update_network("lab", wrong)
            assert caught.value.code == code
        assert one.state.revision == before


@pytest.mark.parametrize(
    ("given", "gateway", "aux"),
    [
        (None, "10.8.0.3", {"bridge-own": "10.8.0.200"}),
        ("10.8.0.200", "10.8.0.200", {"bridge-own": "10.8.0.3"}),
        ("10.8.0.9", "10.8.0.9", {"bridge-own": "10.8.0.3", "bridge-own-2": "10.8.0.200"}),
    ],
)
async def test_what_an_adopted_bridge_has_is_its_gateway_or_kept_for_it(
    given: str | None, gateway: str, aux: dict[str, str]
) -> None:
    async with node() as one:
        own = tuple(map(ip_address, ("192.0.2.1", "10.8.0.3", "10.8.0.200")))
        one.world.parents = {"br0": HostLink(mtu=1500, addresses=own)}
        pool = request.PoolSpec(
            subnet=ip_network("10.8.0.0/24"), gateway=ip_address(given) if given else None
        )
        options = {network.OPTION_BRIDGE_NAME: "br0"}
        asked = request.NetworkCreate(name="lan", pools=(pool,), options=options)
        (made,) = (await one.commands.create_network(asked)).pools
        assert str(made.gateway) == gateway
        assert {name: str(each) for name, each in made.aux.items()} == aux


async def test_an_automatic_mac_is_none_that_was_given_on_the_network() -> None:
    async with node() as one:
        await make(one, "lan", spec("10.40.0.0/24"))
        given = await join(one, "a", "lan", ip=ip_address("10.40.0.9"), mac="02:42:0a:28:00:05")
        made = await join(one, "b", "lan", ip=ip_address("10.40.0.5"))
        assert given.mac == "02:42:0a:28:00:05"
        assert (made.mac != given.mac, made.mac[:3], len(made.mac)) == (True, "02:", 17)
        usual = await join(one, "c", "lan", ip=ip_address("10.40.0.6"))
        assert usual.mac == "02:42:0a:28:00:06"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("169.254.0.0", "reserved"),
        ("169.254.255.255", "reserved"),
        ("fe80::", "reserved"),
        ("fe80::9%eth0", "names a link"),
        ("10.40.0.9", "no link-local address"),
    ],
)
async def test_a_link_local_address_that_no_link_can_have_is_refused(text: str, why: str) -> None:
    async with node() as one:
        await make(one, "lan", spec("10.40.0.0/24"))
        before = await one.keys()
        with pytest.raises(errors.Invalid, match=why) as caught:
            await join(one, "a", "lan", link_local=(ip_address(text),))
        assert caught.value.code == "SDD-NET-ADDRESS"
        assert await one.keys() == before
