"""Each bad request gives its one sentence and code, and changes nothing (docker.md 1.6 and 3.9)."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest

from sdd import errors
from sdd.alloc.pools import PoolTemplate
from sdd.model import nameserver, network, request, sandbox, service
from tests.scenario.node import Facts, Node, node

Ask = Callable[[Node], Awaitable[object]]
V4 = IPv4Address


def pool(
    subnet: str, gateway: str = "", ip_range: str = "", aux: str = ""
) -> tuple[request.PoolSpec, ...]:
    return (
        request.PoolSpec(
            subnet=ip_network(subnet),
            gateway=ip_address(gateway) if gateway else None,
            ip_range=ip_network(ip_range) if ip_range else None,
            aux={"printer": ip_address(aux)} if aux else {},
        ),
    )


def make_net(name: str, *pools: request.PoolSpec, **options: object) -> Ask:
    asked = request.NetworkCreate(name=name, pools=pools, **options)  # type: ignore[arg-type]  # options of one case each
    return lambda one: one.commands.create_network(asked)


def make_box(name: str, *attachments: request.Attachment, **options: object) -> Ask:
    asked = request.SandboxCreate(name=name, attachments=attachments, **options)  # type: ignore[arg-type]  # same
    return lambda one: one.commands.create_sandbox(asked)


def make_svc(name: str, on: str, **options: object) -> Ask:
    asked = request.ServiceCreate(name=name, network=on, **options)  # type: ignore[arg-type]  # same
    return lambda one: one.commands.create_service(asked)


def connect(box: str, to: str, **options: object) -> Ask:
    asked = request.Attachment(network=to, **options)  # type: ignore[arg-type]  # same
    return lambda one: one.commands.connect(box, asked)


def on(name: str, **options: object) -> request.Attachment:
    return request.Attachment(network=name, **options)  # type: ignore[arg-type]  # same


TCP = service.CheckKind.TCP


@dataclass(frozen=True, kw_only=True)
class Case:
    name: str
    ask: Ask
    kind: type[errors.SddError]
    code: str
    words: tuple[str, ...]


def case(name: str, ask: Ask, kind: type[errors.SddError], code: str, *words: str) -> object:
    return pytest.param(Case(name=name, ask=ask, kind=kind, code=code, words=words), id=name)


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
        "driver_not_built",
        make_net("n1", driver=network.Driver.OVERLAY),
        errors.Invalid,
        "SDD-NET-DRIVER",
        "overlay",
        "bridge",
    ),
    case(
        "C154_overlap",
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
        "C153_gateway_outside",
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
        "C152_range_outside",
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
        "aux_outside",
        make_net("n1", *pool("10.81.0.0/24", aux="10.82.0.7")),
        errors.Invalid,
        "SDD-NET-AUX",
        "printer=10.82.0.7",
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
        "C159_address_outside",
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
]
SANDBOXES += [
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
SERVICES = [
    case(
        "name_taken",
        make_svc("web", "lab"),
        errors.Conflict,
        "SDD-SERVICE-EXISTS",
        "web",
        "already exists",
    ),
    case(
        "tasks_name", make_svc("tasks.web", "lab"), errors.Invalid, "SDD-SERVICE-NAME", "tasks.web"
    ),
    case("on_default", make_svc("s", "bridge"), errors.Invalid, "SDD-SERVICE-NETWORK", "bridge"),
    case(
        "unknown_network", make_svc("s", "nowhere"), errors.NotFound, "SDD-NET-NOTFOUND", "nowhere"
    ),
    case(
        "vip_outside",
        make_svc("s", "lab", vip=V4("10.99.0.1")),
        errors.Invalid,
        "SDD-IPAM-OUTSIDE",
        "10.99.0.1",
    ),
    case(
        "vip_of_other_family",
        make_svc("s", "lab", vip=IPv6Address("fd00::1")),
        errors.Invalid,
        "SDD-IPAM-OUTSIDE",
        "fd00::1",
    ),
    case(
        "vip_taken",
        make_svc("s", "lab", vip=V4("10.80.0.9")),
        errors.Conflict,
        "SDD-IPAM-INUSE",
        "10.80.0.9",
        "db",
    ),
    case(
        "vip_of_another",
        make_svc("s", "lab", vip=V4("10.80.0.2")),
        errors.Conflict,
        "SDD-IPAM-INUSE",
        "service web",
    ),
    case(
        "vip_and_dnsrr",
        make_svc("s", "lab", vip=V4("10.80.0.77"), mode=service.EndpointMode.DNSRR),
        errors.Invalid,
        "SDD-SERVICE-VIP",
        "dnsrr",
    ),
    case(
        "health_port",
        make_svc("s", "lab", health=service.HealthCheck(kind=TCP, port=0)),
        errors.Invalid,
        "SDD-SERVICE-HEALTH",
        "port 0",
    ),
    case(
        "health_path",
        make_svc(
            "s", "lab", health=service.HealthCheck(kind=service.CheckKind.HTTP, port=80, path="a b")
        ),
        errors.Invalid,
        "SDD-SERVICE-HEALTH",
        "path",
    ),
    case(
        "health_ttl",
        make_svc("s", "lab", health=service.HealthCheck(kind=service.CheckKind.TTL)),
        errors.Invalid,
        "SDD-SERVICE-HEALTH",
        "ttl",
    ),
    case(
        "health_dns_name",
        make_svc("s", "lab", health=service.HealthCheck(kind=service.CheckKind.DNS, port=53)),
        errors.Invalid,
        "SDD-SERVICE-HEALTH",
        "name",
    ),
    case(
        "health_host",
        make_svc(
            "s", "lab", health=service.HealthCheck(kind=service.CheckKind.TLS, port=53, host="a..b")
        ),
        errors.Invalid,
        "SDD-SERVICE-HEALTH",
        "a..b",
    ),
    case(
        "health_status",
        make_svc(
            "s",
            "lab",
            health=service.HealthCheck(
                kind=service.CheckKind.HTTP, port=80, path="/", status_low=400, status_high=200
            ),
        ),
        errors.Invalid,
        "SDD-SERVICE-HEALTH",
        "400 to 200",
    ),
    case(
        "health_long",
        make_svc(
            "s",
            "lab",
            health=service.HealthCheck(kind=service.CheckKind.UDP, port=80, send="x" * 600),
        ),
        errors.Invalid,
        "SDD-SERVICE-HEALTH",
        "512",
    ),
    case(
        "health_fast",
        make_svc("s", "lab", health=service.HealthCheck(kind=TCP, port=80, fast_s=0)),
        errors.Invalid,
        "SDD-SERVICE-HEALTH",
        "fast interval",
    ),
    case(
        "health_interval",
        make_svc("s", "lab", health=service.HealthCheck(kind=TCP, port=1, interval_s=0)),
        errors.Invalid,
        "SDD-SERVICE-HEALTH",
        "interval",
    ),
    case(
        "health_rise",
        make_svc("s", "lab", health=service.HealthCheck(kind=TCP, port=1, rise=0)),
        errors.Invalid,
        "SDD-SERVICE-HEALTH",
        "rise",
    ),
    case("drain", make_svc("s", "lab", drain_s=-1.0), errors.Invalid, "SDD-SERVICE-TIME", "drain"),
    case(
        "bad_alias",
        make_svc("s", "lab", aliases=("a..b",)),
        errors.Invalid,
        "SDD-NAME-HOST",
        "a..b",
    ),
    case(
        "joined_twice",
        lambda one: one.commands.join("web", request.Join(sandbox="db")),
        errors.Conflict,
        "SDD-MEMBER-EXISTS",
        "db",
        "web",
    ),
    case(
        "join_without_network",
        lambda one: one.commands.join("mute", request.Join(sandbox="db")),
        errors.Conflict,
        "SDD-MEMBER-NETWORK",
        "quiet",
        "db",
    ),
    case(
        "join_weight",
        lambda one: one.commands.join("web", request.Join(sandbox="other", weight=65536)),
        errors.Invalid,
        "SDD-MEMBER-WEIGHT",
        "65536",
    ),
    case(
        "set_weight",
        lambda one: one.commands.set_weight("web", "db", -1),
        errors.Invalid,
        "SDD-MEMBER-WEIGHT",
        "-1",
    ),
    case(
        "leave_no_member",
        lambda one: one.commands.leave("web", "other"),
        errors.NotFound,
        "SDD-MEMBER-NOTFOUND",
        "other",
    ),
    case(
        "unknown_rm",
        lambda one: one.commands.remove_service("nothing"),
        errors.NotFound,
        "SDD-SERVICE-NOTFOUND",
        "nothing",
    ),
]


@pytest.fixture
async def lab() -> AsyncIterator[Node]:
    async with node() as one:
        one.world.prefixes = (ip_network("10.99.7.0/24"),)
        one.world.namespaces |= {
            "/run/netns/own": Facts(inode=7, ifnames=frozenset({"lo", "eth0"})),
            "/proc/1/ns/net": Facts(inode=1),
        }
        await one.commands.ensure_default_network()
        for ask in (
            make_net("lab", *pool("10.80.0.0/24", aux="10.80.0.250")),
            make_net("quiet", *pool("10.83.0.0/24")),
            make_net("tiny", *pool("10.84.0.0/30")),
            make_svc("web", "lab"),
            make_svc("mute", "quiet"),
            make_box("db", on("lab", ip=V4("10.80.0.9")), services=("web",)),
            make_box("other", on("lab")),
            make_box("t1", on("tiny")),
            make_box("adopted", on("lab"), netns="/run/netns/own"),
        ):
            await ask(one)
        yield one


@pytest.mark.parametrize("case", NETWORKS + SANDBOXES + SERVICES)
async def test_refused(lab: Node, case: Case) -> None:
    before = await lab.store.range("")
    with pytest.raises(errors.SddError) as caught:
        await case.ask(lab)
    refusal = caught.value
    assert (type(refusal), refusal.code) == (case.kind, case.code)
    for word in case.words:
        assert word in f"{refusal.sentence}\n{refusal.hint}"
    assert refusal.hint
    assert "\n" not in refusal.sentence + refusal.hint
    assert await lab.store.range("") == before


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


async def test_A8_71_quic_for_a_sandbox_or_a_network_is_refused_by_name(lab: Node) -> None:
    quic = nameserver.parse("quic://192.0.2.1")
    for ask in (
        make_box("x", dns=sandbox.DnsSettings(servers=(quic,))),
        make_net("x", dns=(quic,)),
        lambda one: one.commands.update_network("lab", request.NetworkUpdate(dns_add=(quic,))),
    ):
        with pytest.raises(errors.Invalid) as caught:
            await ask(lab)
        assert (caught.value.code, "quic://192.0.2.1" in caught.value.sentence) == (
            "SDD-DNS-SERVER",
            True,
        )
