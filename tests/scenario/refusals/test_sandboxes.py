"""What of sandboxes is refused, in one sentence with its code, changes nothing (docker.md 1.6 and 3.9)."""

from ipaddress import IPv6Address

import pytest

from sdd import errors
from sdd.model import nameserver, request, sandbox
from sdd.model.forwardzone import ForwardZone
from sdd.model.interface import IFNAME
from tests.scenario.node import Facts, Node, node
from tests.scenario.refusals.asking import (
    V4,
    Case,
    assert_refused,
    case,
    connect,
    make_box,
    make_net,
    on,
)

SANDBOXES = [
    case("name_taken", make_box("db"), errors.Conflict, "SDD-SANDBOX-EXISTS", "db", "already"),
    case("name_is_a_path", make_box("../evil"), errors.Invalid, "SDD-SANDBOX-NAME", "../evil"),
    case("name_is_dots", make_box(".."), errors.Invalid, "SDD-SANDBOX-NAME", ".."),
    case(
        "unknown_network",
        make_box("x", on("nowhere")),
        errors.NotFound,
        "SDD-NET-NOTFOUND",
        "nowhere",
    ),
    case(
        "address_taken",
        make_box("x", on("lab", ip=V4("10.80.0.9"))),
        errors.Conflict,
        "SDD-IPAM-INUSE",
        "Address already in use",
        "10.80.0.9",
        "lab",
        "db",
    ),
    case(
        "address_of_gateway",
        make_box("x", on("lab", ip=V4("10.80.0.1"))),
        errors.Conflict,
        "SDD-IPAM-INUSE",
        "10.80.0.1",
        "gateway",
    ),
    case(
        "address_of_aux",
        make_box("x", on("lab", ip=V4("10.80.0.250"))),
        errors.Conflict,
        "SDD-IPAM-INUSE",
        "printer",
    ),
    case(
        "address_of_vip",
        make_box("x", on("lab", ip=V4("10.80.0.2"))),
        errors.Conflict,
        "SDD-IPAM-INUSE",
        "service web",
    ),
    case(
        "C151_C159_address_outside",
        make_box("x", on("lab", ip=V4("10.99.0.9"))),
        errors.Invalid,
        "SDD-IPAM-OUTSIDE",
        "no configured subnet contains IP address 10.99.0.9",
        "10.80.0.0/24",
    ),
    case(
        "address_is_network",
        make_box("x", on("lab", ip=V4("10.80.0.0"))),
        errors.Invalid,
        "SDD-IPAM-RESERVED",
        "requested address is out of range",
        "10.80.0.0",
    ),
    case(
        "address_is_broadcast",
        make_box("x", on("lab", ip=V4("10.80.0.255"))),
        errors.Invalid,
        "SDD-IPAM-RESERVED",
        "10.80.0.255",
    ),
    case(
        "ip6_without_ipv6",
        make_box("x", on("lab", ip6=IPv6Address("fd00::9"))),
        errors.Invalid,
        "SDD-IPAM-OUTSIDE",
        "fd00::9",
    ),
    case(
        "C159_mapped_ip6",
        make_box("x", on("lab", ip6=IPv6Address("::ffff:10.80.0.7"))),
        errors.Invalid,
        "SDD-NET-ADDRESS",
        "invalid IPv6 address",
    ),
    case(
        "alias_on_default",
        make_box("x", on("bridge", aliases=("a",))),
        errors.Invalid,
        "SDD-NET-ALIAS",
        "only supported for user-defined networks",
    ),
    case(
        "address_on_default",
        make_box("x", on("bridge", ip=V4("172.17.0.9"))),
        errors.Invalid,
        "SDD-NET-ADDRESS",
        "user-defined networks only",
    ),
    case(
        "bad_alias",
        make_box("x", on("lab", aliases=("a b",))),
        errors.Invalid,
        "SDD-NAME-HOST",
        "a b",
    ),
    case(
        "localhost_as_alias",
        make_box("x", on("lab", aliases=("localhost",))),
        errors.Invalid,
        "SDD-NAME-LOCALHOST",
        "localhost",
    ),
    case("bad_hostname", make_box("x", hostname="-x"), errors.Invalid, "SDD-NAME-HOST", "-x"),
    case(
        "bad_extra_host",
        make_box("x", extra_hosts=(sandbox.ExtraHost(name="a b", address=V4("10.0.0.1")),)),
        errors.Invalid,
        "SDD-NAME-HOST",
        "a b",
    ),
    case("bad_mac", make_box("x", on("lab", mac="02:00")), errors.Invalid, "SDD-NET-MAC", "02:00"),
    case(
        "multicast_mac",
        make_box("x", on("lab", mac="01:00:00:00:00:01")),
        errors.Invalid,
        "SDD-NET-MAC",
        "multicast",
    ),
    case(
        "mac_taken",
        make_box("x", on("lab", mac="02-42-0A-50-00-09")),
        errors.Conflict,
        "SDD-NET-MAC",
        "02:42:0a:50:00:09",
        "db",
    ),
    case(
        "priority",
        make_box("x", on("lab", gw_priority=2**31)),
        errors.Invalid,
        "SDD-NET-PRIORITY",
        str(2**31),
    ),
    case(
        "C165_link_name_twice",
        make_box(
            "x", on("lab", driver_opts={IFNAME: "a0"}), on("bridge", driver_opts={IFNAME: "a0"})
        ),
        errors.Conflict,
        "SDD-NET-IFNAME",
        "a0",
    ),
    case(
        "C165_link_name_taken",
        connect("db", "bridge", driver_opts={IFNAME: "eth0"}),
        errors.Conflict,
        "SDD-NET-IFNAME",
        "eth0",
    ),
    case(
        "network_twice",
        make_box("x", on("lab"), on("lab")),
        errors.Invalid,
        "SDD-SANDBOX-TWICE",
        "lab",
    ),
    case(
        "unknown_service",
        make_box("x", services=("nothing",)),
        errors.NotFound,
        "SDD-SERVICE-NOTFOUND",
        "nothing",
    ),
    case(
        "no_process", make_box("x", pid=99999999), errors.Invalid, "SDD-SANDBOX-NETNS", "99999999"
    ),
    case(
        "no_namespace",
        make_box("x", netns="/etc/passwd"),
        errors.Invalid,
        "SDD-SANDBOX-NETNS",
        "/etc/passwd",
    ),
    case(
        "both_ways",
        make_box("x", netns="/run/netns/own", pid=1),
        errors.Invalid,
        "SDD-SANDBOX-NETNS",
        "both",
    ),
    case("host_namespace", make_box("x", pid=1), errors.Invalid, "SDD-SANDBOX-HOST", "host"),
    case(
        "adopted_twice",
        make_box("x", netns="/run/netns/own"),
        errors.Conflict,
        "SDD-SANDBOX-ADOPTED",
        "/run/netns/own",
        "adopted",
    ),
    case(
        "named_by_path",
        make_box("x", on("quiet"), netns="/run/netns/db"),
        errors.Conflict,
        "SDD-SANDBOX-ADOPTED",
        "/run/netns/db",
        "sandbox db",
        "network connect NET db",
    ),
    case(
        "named_by_pid",
        make_box("x", on("quiet"), pid=88),
        errors.Conflict,
        "SDD-SANDBOX-ADOPTED",
        "sandbox db",
    ),
    case(
        "name_of_anothers_namespace",
        make_box("theirs", on("lab")),
        errors.Conflict,
        "SDD-NETNS-TAKEN",
        "/var/run/netns/theirs",
        "attach it instead: sdctl sandbox attach theirs --netns /var/run/netns/theirs",
    ),
    case(
        "unknown_rm",
        lambda one: one.commands.remove_sandbox("nobody"),
        errors.NotFound,
        "SDD-SANDBOX-NOTFOUND",
        "nobody",
    ),
    case(
        "exhausted",
        make_box("x", on("tiny")),
        errors.Exhausted,
        "SDD-IPAM-EXHAUSTED",
        "no available IPv4 addresses on this network's address pools",
        "tiny",
        "t1",
    ),
    case(
        "dns_option_with_a_second_line",
        make_box("x", dns=sandbox.DnsSettings(options=("ndots:1\nnameserver 192.0.2.1",))),
        errors.Invalid,
        "SDD-NAME-OPTION",
        "nameserver",
    ),
    case(
        "dns_search_with_a_blank",
        make_box("x", dns=sandbox.DnsSettings(search=("a b",))),
        errors.Invalid,
        "SDD-NAME-HOST",
        "a b",
    ),
]


@pytest.mark.parametrize("case", SANDBOXES)
async def test_refused(lab: Node, case: Case) -> None:
    await assert_refused(lab, case)


async def test_an_adopted_sandbox_gets_the_first_link_name_that_is_free(lab: Node) -> None:
    (box,) = (each for each in lab.state.sandboxes.values() if each.name == "adopted")
    assert (box.origin, box.netns, box.netns_inode) == (sandbox.Origin.ADOPTED, "/run/netns/own", 7)
    (end,) = lab.state.endpoints_by_sandbox[box.id]
    assert end.ifname == "eth1"
    made = await lab.commands.connect("adopted", request.Attachment(network="quiet"))
    assert made.ifname == "eth2"


async def test_C55_host_gateway_is_the_default_networks_gateway(lab: Node) -> None:
    await make_box("reaching", gateway_hosts=("Host.internal",))(lab)
    (box,) = (each for each in lab.state.sandboxes.values() if each.name == "reaching")
    default = next(net for net in lab.state.networks.values() if net.predefined)
    gateways = [pool.gateway for pool in default.pools]
    assert [(each.name, each.address) for each in box.extra_hosts] == [
        ("Host.internal", gateway) for gateway in gateways
    ]
    assert gateways


async def test_C32_an_alias_on_the_default_network_is_refused(lab: Node) -> None:
    with pytest.raises(errors.Invalid) as caught:
        await make_box("x", on("bridge", aliases=("a",)))(lab)
    assert caught.value.code == "SDD-NET-ALIAS"
    assert "x" not in {each.name for each in lab.state.sandboxes.values()}


@pytest.mark.parametrize(
    "text", ["a\nb", "a b", "a\tb", "a\rnameserver 6.6.6.6", "\x1b[2J", "a\0b"]
)
@pytest.mark.parametrize("what", ["search", "option", "hostname", "alias", "extra", "gateway"])
async def test_A8_94_control_characters_and_blanks_never_reach_a_file(
    lab: Node, what: str, text: str
) -> None:
    settings: dict[str, dict[str, object]] = {
        "search": {"dns": sandbox.DnsSettings(search=(text,))},
        "option": {"dns": sandbox.DnsSettings(options=(text,))},
        "hostname": {"hostname": text},
        "alias": {},
        "extra": {"extra_hosts": (sandbox.ExtraHost(name=text, address=V4("10.0.0.1")),)},
        "gateway": {"gateway_hosts": (text,)},
    }
    plug = on("lab", aliases=(text,)) if what == "alias" else on("lab")
    with pytest.raises(errors.Invalid):
        await make_box("x", plug, **settings[what])(lab)
    assert "x" not in {each.name for each in lab.state.sandboxes.values()}


async def test_A8_71_quic_without_its_library_is_refused_by_name() -> None:
    quic = nameserver.parse("quic://192.0.2.1")
    without = frozenset(nameserver.Transport) - {nameserver.Transport.QUIC}
    async with node(transports=without) as lab:
        await make_net("lab")(lab)
        for ask in (
            make_box("x", dns=sandbox.DnsSettings(servers=(quic,))),
            make_net("x", dns=(quic,)),
            lambda one: one.commands.update_network("lab", request.NetworkUpdate(dns_add=(quic,))),
        ):
            with pytest.raises(
                errors.Invalid, match=r"quic://192\.0\.2\.1 cannot be asked"
            ) as caught:
                await ask(lab)
            assert caught.value.code == "SDD-DNS-QUIC"
            assert "sdd[quic]" in caught.value.hint


@pytest.mark.parametrize("text", ["127.0.0.11", "tls://127.0.0.11", "::ffff:127.0.0.11"])
async def test_a_server_that_would_ask_itself_is_refused(lab: Node, text: str) -> None:
    itself = nameserver.server(text)
    zone = ForwardZone(zone="corp.local", server=itself)
    await make_net("n")(lab)
    for ask in (
        make_box("x", dns=sandbox.DnsSettings(servers=(itself,))),
        make_net("x", dns=(itself,)),
        make_net("x", dns_zones=(zone,)),
        lambda one: one.commands.update_network("n", request.NetworkUpdate(zone_add=(zone,))),
    ):
        with pytest.raises(errors.Invalid, match="it would ask itself") as caught:
            await ask(lab)
        assert caught.value.code == "SDD-DNS-LOOP"
    assert "x" not in {each.name for each in lab.state.sandboxes.values()}
    assert "x" not in {each.name for each in lab.state.networks.values()}


@pytest.mark.parametrize("left", [None, Facts(inode=0), Facts(inode=9)])
async def test_a_namespace_with_the_number_of_one_that_ended_is_adopted(
    lab: Node, left: Facts | None
) -> None:
    """The old path leads nowhere, to a plain file, or to another namespace by now."""
    del lab.world.namespaces["/run/netns/own"]
    if left:
        lab.world.namespaces["/run/netns/own"] = left
    lab.world.namespaces["/run/netns/next"] = Facts(inode=7)
    made = await lab.commands.create_sandbox(
        request.SandboxCreate(name="next", netns="/run/netns/next")
    )
    assert (made.netns, made.netns_inode) == ("/run/netns/next", 7)
