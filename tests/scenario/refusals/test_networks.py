"""What of networks is refused, in one sentence with its code, changes nothing (docker.md 1.6 and 3.9)."""

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from sdd import errors
from sdd.alloc.pools import PoolTemplate
from sdd.model import network, request
from tests.scenario.node import Node, node
from tests.scenario.refusals.asking import (
    Ask,
    Case,
    assert_refused,
    case,
    connect,
    make_net,
    pool,
)

V4, V6 = (f"com.docker.network.enable_ipv{version}" for version in (4, 6))


def remove(name: str) -> Ask:
    return lambda one: one.commands.remove_network(name)


NETWORKS = [
    case(
        "C65_name_taken",
        make_net("lab"),
        errors.Conflict,
        "SDD-NET-EXISTS",
        "network with name lab already exists",
    ),
    case("default_name_taken", make_net("bridge"), errors.Conflict, "SDD-NET-EXISTS", "bridge"),
    case("reserved_name", make_net("host"), errors.Forbidden, "SDD-NET-PREDEFINED", "host"),
    case("empty_name", make_net(""), errors.Invalid, "SDD-NET-NAME", "''"),
    case("slash_in_name", make_net("a/b"), errors.Invalid, "SDD-NET-NAME", "a/b"),
    case("long_name", make_net("n" * 64), errors.Invalid, "SDD-NET-NAME", "n" * 64),
    case(
        "C154_driver_not_built",
        make_net("n1", driver=network.Driver.OVERLAY),
        errors.Invalid,
        "SDD-NET-DRIVER",
        "overlay",
        "bridge",
    ),
    *(
        case(
            f"subnet_of_{kind}",
            make_net("n1", *pool(subnet)),
            errors.Invalid,
            "SDD-NET-SUBNET",
            words,
        )
        for kind, subnet, words in (
            ("loopback", "127.1.0.0/16", "loopback"),
            ("multicast", "239.0.0.0/24", "multicast"),
            ("all_that_holds_multicast", "128.0.0.0/1", "multicast"),
            ("broadcast", "255.255.255.0/24", "broadcast"),
            ("this_network", "0.1.0.0/16", "this network"),
            ("mapped_v4", "::ffff:10.1.0.0/112", "IPv4 addresses written as IPv6"),
            ("link_local_v6", "fe80::/64", "link-local"),
            ("multicast_v6", "ff00::/64", "multicast"),
        )
    ),
    case(
        "C155_peers_58_overlap",
        make_net("n1", *pool("10.80.0.0/16")),
        errors.Conflict,
        "SDD-NET-OVERLAP",
        "Pool overlaps with other one on this address space",
        "n1",
        "10.80.0.0/16",
        "lab",
        "10.80.0.0/24",
    ),
    case(
        "overlap_inside",
        make_net("n1", *pool("10.80.0.64/26")),
        errors.Conflict,
        "SDD-NET-OVERLAP",
        "lab",
    ),
    case(
        "overlap_with_itself",
        make_net("n1", *pool("10.81.0.0/24"), *pool("10.81.0.0/25")),
        errors.Conflict,
        "SDD-NET-OVERLAP",
        "same network",
    ),
    case(
        "overlap_with_host",
        make_net("n1", *pool("10.99.0.0/16")),
        errors.Conflict,
        "SDD-NET-OVERLAP",
        "host",
        "10.99.7.0/24",
    ),
    case(
        "C153_peers_59_gateway_outside",
        make_net("n1", *pool("10.81.0.0/24", gateway="10.82.0.1")),
        errors.Invalid,
        "SDD-NET-GATEWAY",
        "10.82.0.1",
        "must be part of the network",
        "10.81.0.0/24",
    ),
    case(
        "gateway_of_other_family",
        make_net("n1", *pool("10.81.0.0/24", gateway="fd00::1")),
        errors.Invalid,
        "SDD-NET-GATEWAY",
        "fd00::1",
    ),
    case(
        "gateway_is_broadcast",
        make_net("n1", *pool("10.81.0.0/24", gateway="10.81.0.255")),
        errors.Invalid,
        "SDD-NET-GATEWAY",
        "10.81.0.255",
    ),
    case(
        "C152_peers_59_range_outside",
        make_net("n1", *pool("10.81.0.0/24", ip_range="10.82.0.0/25")),
        errors.Invalid,
        "SDD-NET-RANGE",
        "10.82.0.0/25",
    ),
    case(
        "range_larger",
        make_net("n1", *pool("10.81.0.0/24", ip_range="10.81.0.0/16")),
        errors.Invalid,
        "SDD-NET-RANGE",
        "10.81.0.0/16",
    ),
    case(
        "range_of_one",
        make_net("n1", *pool("10.81.0.0/24", ip_range="10.81.0.7/32")),
        errors.Invalid,
        "SDD-NET-GATEWAY",
        "10.81.0.7/32 has no address left for a sandbox beside the gateway",
    ),
    case(
        "aux_outside",
        make_net("n1", *pool("10.81.0.0/24", aux="10.82.0.7")),
        errors.Invalid,
        "SDD-NET-AUX",
        "printer=10.82.0.7",
    ),
    case(
        "aux_is_network_address",
        make_net("n1", *pool("10.81.0.0/24", aux="10.81.0.0")),
        errors.Invalid,
        "SDD-NET-AUX",
        "printer=10.81.0.0",
        "reserved",
    ),
    case(
        "aux_is_broadcast",
        make_net("n1", *pool("10.81.0.0/24", aux="10.81.0.255")),
        errors.Invalid,
        "SDD-NET-AUX",
        "printer=10.81.0.255",
    ),
    case(
        "aux_is_gateway",
        make_net("n1", *pool("10.81.0.0/24", gateway="10.81.0.3", aux="10.81.0.3")),
        errors.Conflict,
        "SDD-IPAM-INUSE",
        "Address already in use: 10.81.0.3 is the gateway and the auxiliary address printer",
    ),
    case(
        "aux_twice",
        make_net(
            "n1",
            replace(
                pool("10.81.0.0/24")[0],
                aux={name: ip_address("10.81.0.3") for name in ("printer", "scanner")},
            ),
        ),
        errors.Conflict,
        "SDD-IPAM-INUSE",
        "Address already in use: 10.81.0.3",
        "printer",
        "scanner",
    ),
    *(
        case(
            f"{kind}_without_a_subnet",
            make_net("n1", *pool("10.81.0.0/24"), spec),
            errors.Invalid,
            f"SDD-NET-{area}",
            f"no matching subnet for {words}",
            "--subnet",
        )
        for kind, area, words, spec in (
            (
                "gateway",
                "GATEWAY",
                "gateway 10.40.1.2",
                request.PoolSpec(gateway=ip_address("10.40.1.2")),
            ),
            (
                "range",
                "RANGE",
                "ip-range 10.40.1.0/25",
                request.PoolSpec(ip_range=ip_network("10.40.1.0/25")),
            ),
            (
                "aux",
                "AUX",
                "auxiliary address p=fd00::9",
                request.PoolSpec(aux={"p": ip_address("fd00::9")}),
            ),
            ("gateway_of_a_size", "GATEWAY", "gateway 10.1.1.1", pool("0.0.0.0/24", "10.1.1.1")[0]),
        )
    ),
    *(
        case(
            f"every_address_{version}",
            make_net("n1", *pool(subnet)),
            errors.Invalid,
            "SDD-NET-SUBNET",
            f"{subnet} is every address",
            size,
        )
        for version, subnet, size in ((4, "0.0.0.0/0", "0.0.0.0/24"), (6, "::/0", "::/64"))
    ),
    case(
        "no_room_for_gateway",
        make_net("n1", *pool("10.81.0.0/30", ip_range="10.81.0.1/32", aux="10.81.0.1")),
        errors.Invalid,
        "SDD-NET-GATEWAY",
        "no address left",
    ),
    case(
        "unknown_option",
        make_net("n1", options={"colour": "red"}),
        errors.Invalid,
        "SDD-NET-OPTION",
        "colour",
        "known",
    ),
    *(
        case(f"versions_{kind}", make_net("n1", *pools, **said), errors.Invalid, code, words)
        for kind, pools, said, code, words in (
            ("none", (), {"ipv4": False}, "SDD-NET-SUBNET", "--ipv6"),
            ("v4", pool("10.9.0.0/24"), {"ipv4": False}, "SDD-NET-SUBNET", "no IPv4"),
            ("v6", pool("fd9::/64"), {"options": {V6: "false"}}, "SDD-NET-SUBNET", "no IPv6"),
            ("twice_v6", (), {"options": {V6: "false"}, "ipv6": True}, "SDD-NET-OPTION", V6),
            ("twice_v4", (), {"options": {V4: "true"}, "ipv4": False}, "SDD-NET-OPTION", V4),
            ("odd", (), {"options": {V4: "maybe"}}, "SDD-NET-OPTION", "true or false"),
        )
    ),
    case(
        "bad_mtu",
        make_net("n1", options={network.OPTION_MTU: "big"}),
        errors.Invalid,
        "SDD-NET-OPTION",
        "big",
        "65535",
    ),
    case(
        "small_mtu",
        make_net("n1", options={network.OPTION_MTU: "67"}),
        errors.Invalid,
        "SDD-NET-OPTION",
        "67",
    ),
    *(
        case(
            f"small_mtu_for_ipv6_{kind}",
            make_net("n1", *pools, options={network.OPTION_MTU: "1279"}, ipv6=not pools),
            errors.Invalid,
            "SDD-NET-OPTION",
            "1280",
        )
        for kind, pools in (("asked", ()), ("subnet", pool("fd00:7::/64")))
    ),
    case(
        "bad_bridge_name",
        make_net("n1", options={network.OPTION_BRIDGE_NAME: "a/b"}),
        errors.Invalid,
        "SDD-NET-OPTION",
        "a/b",
    ),
    case(
        "bridge_name_taken",
        make_net("n1", options={network.OPTION_BRIDGE_NAME: "sdd0"}),
        errors.Conflict,
        "SDD-NET-OPTION",
        "sdd0",
        "bridge",
    ),
    case(
        "C148_unknown_rm",
        lambda one: one.commands.remove_network("nowhere"),
        errors.NotFound,
        "SDD-NET-NOTFOUND",
        "nowhere",
    ),
    case(
        "C147_predefined_rm",
        lambda one: one.commands.remove_network("bridge"),
        errors.Forbidden,
        "SDD-NET-PREDEFINED",
        "bridge is a pre-defined network and cannot be removed",
    ),
    *(
        case(
            f"{what}_{name}",
            ask,
            errors.Forbidden,
            "SDD-NET-PREDEFINED",
            f"not permitted on predefined {name} network",
        )
        for name in ("host", "none")
        for what, ask in (("rm", remove(name)), ("connect", connect("db", name)))
    ),
    case(
        "C146_rm_in_use",
        lambda one: one.commands.remove_network("lab"),
        errors.Forbidden,
        "SDD-NET-INUSE",
        "lab has active endpoints",
        "db",
    ),
    case(
        "rm_used_by_service",
        lambda one: one.commands.remove_network("quiet"),
        errors.Forbidden,
        "SDD-NET-INUSE",
        "quiet is in use by service",
        "mute",
    ),
    case(
        "C150_not_connected",
        lambda one: one.commands.disconnect("quiet", "db"),
        errors.NotFound,
        "SDD-NET-NOTCONNECTED",
        "quiet",
        "db",
    ),
    case(
        "C149_connected_twice",
        connect("db", "lab"),
        errors.Conflict,
        "SDD-NET-CONNECTED",
        "endpoint with name db already exists in network lab",
    ),
]


@pytest.mark.parametrize("case", NETWORKS)
async def test_refused(lab: Node, case: Case) -> None:
    await assert_refused(lab, case)


async def test_every_pool_in_use_names_them() -> None:
    pools = (PoolTemplate(base=ip_network("10.0.0.0/23"), size=24),)
    async with node(pools=pools) as one:
        one.world.prefixes = (ip_network("10.0.0.128/25"),)
        await make_net("first")(one)
        with pytest.raises(errors.Exhausted) as caught:
            await make_net("second")(one)
        assert caught.value.code == "SDD-IPAM-POOLS"
        assert "10.0.1.0/24 (first)" in caught.value.sentence
        assert "10.0.0.128/25 (host)" in caught.value.sentence
        await one.commands.remove_network("first")
        await make_net("second")(one)


async def test_nobody_is_told_to_remove_the_predefined_network(lab: Node) -> None:
    for name, way in (("bridge", False), ("lab", True)):
        with pytest.raises(errors.Conflict) as caught:
            await make_net(name)(lab)
        assert ("network rm" in caught.value.hint) is way
