"""Who is asked for foreign names, from where, and what resolv.conf tells of it."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from resolver import protocol
from resolver.desired import desired
from resolver.files import resolvconf, upstreams
from sdd.model import nameserver, network, sandbox
from sdd.model.forwardzone import ForwardZone
from sdd.model.network import OPTION_FORWARD_UNKNOWN
from sdd.state import ClusterState
from tests import resolver_states as states

HOST = resolvconf.Host(
    servers=(ip_address("127.0.0.53"), ip_address("192.0.2.53")), search=("host.example",)
)
DAEMON = upstreams.DaemonDns(host=HOST, direct=HOST)
GIVEN = upstreams.DaemonDns(
    servers=(nameserver.parse("198.51.100.1"),), search=("daemon.example",), host=HOST, direct=HOST
)


def world(box: sandbox.Sandbox, *nets: network.Network) -> tuple[ClusterState, sandbox.Sandbox]:
    ends = [states.plug(box.name, net.name, f"10.44.{n}.2/24") for n, net in enumerate(nets, 1)]
    return states.state(box, *nets, *ends), box


def asked(
    daemon: upstreams.DaemonDns, box: sandbox.Sandbox, *nets: network.Network
) -> list[tuple[str, bool]]:
    found = upstreams.servers(*world(box, *nets), daemon)
    return [(str(each.server), each.inside) for each in found]


def test_the_sandboxs_own_come_first_then_networks_then_daemons_then_hosts() -> None:
    own = states.box("own", servers=("10.44.1.9",))
    plain = states.box("plain")
    red, with_dns = states.net("red"), states.net("dns", dns=("10.44.1.8",))
    assert asked(GIVEN, own, with_dns) == [("10.44.1.9", True)]
    assert asked(GIVEN, plain, red, with_dns) == [("10.44.1.8", True)]
    assert asked(GIVEN, plain, red) == [("198.51.100.1", False)]
    assert asked(DAEMON, plain, red) == [("127.0.0.53", False), ("192.0.2.53", False)]


def test_A8_23_on_internal_networks_only_explicit_servers_are_asked_and_from_inside() -> None:
    sealed = states.net("sealed", internal=True)
    assert asked(GIVEN, states.box("mute"), sealed) == []
    assert asked(GIVEN, states.box("own", servers=("10.44.1.9",)), sealed) == [("10.44.1.9", True)]


def test_A8_22_an_open_network_beside_the_internal_one_gives_upstreams() -> None:
    nets = states.net("sealed", internal=True), states.net("red", 2)
    assert asked(DAEMON, states.box("both"), *nets)


def test_a_sandbox_without_any_network_has_no_upstream() -> None:
    assert asked(GIVEN, states.box("alone")) == []
    alone = replace(states.box("alone"), keeps_server=True)
    (note,) = upstreams.wanted(*world(alone), GIVEN).notes
    assert note == "no upstream, for it is on no network: names that are not ours get SERVFAIL"


@pytest.mark.parametrize("servers", [("127.0.0.11",), ("127.0.0.11", "192.0.2.1")])
def test_the_sandboxs_own_server_is_never_its_upstream(servers: tuple[str, ...]) -> None:
    red = states.net("red")
    assert "127.0.0.11" not in dict(asked(DAEMON, states.box("loop", servers=servers), red))
    host = resolvconf.Host(servers=tuple(map(ip_address, servers)))
    daemon = upstreams.DaemonDns(host=host)
    assert "127.0.0.11" not in dict(asked(daemon, states.box("plain"), red))


def text(daemon: upstreams.DaemonDns, box: sandbox.Sandbox, *nets: network.Network) -> list[str]:
    return resolvconf.render(upstreams.wanted(*world(box, *nets), daemon)).splitlines()


def test_R6_our_server_is_the_only_one_named() -> None:
    lines = text(DAEMON, states.box("b", servers=("10.61.0.9",)), states.net("red"))
    assert [each for each in lines if each.startswith("nameserver")] == ["nameserver 127.0.0.11"]
    assert "options ndots:0" in lines
    assert "search host.example" in lines
    assert "# upstream: 10.61.0.9 (--dns)" in lines


def test_D7_our_server_stays_in_the_file_when_the_last_network_with_names_is_left() -> None:
    left = replace(states.box("left"), keeps_server=True)
    for nets in ((), (states.net("bridge", predefined=True),)):
        text = resolvconf.render(upstreams.wanted(*world(left, *nets), DAEMON))
        (line,) = (each for each in text.splitlines() if each.startswith("nameserver"))
        assert line == "nameserver 127.0.0.11"
    assert asked(DAEMON, left) == []
    assert asked(DAEMON, left, states.net("bridge", predefined=True))


def test_A8_25_no_upstream_is_said_in_the_file() -> None:
    lines = text(DAEMON, states.box("mute"), states.net("sealed", internal=True))
    assert "# no upstream: names that are not ours get NXDOMAIN" in lines


def test_R5_on_the_default_network_loopback_servers_are_dropped() -> None:
    default = states.net("bridge", predefined=True)
    lines = text(DAEMON, states.box("plain"), default)
    assert [each for each in lines if each.startswith("nameserver")] == ["nameserver 192.0.2.53"]
    assert not [each for each in lines if "ndots" in each]


def test_R5_given_servers_are_kept_as_they_are_on_the_default_network() -> None:
    default = states.net("bridge", predefined=True)
    lines = text(DAEMON, states.box("plain", servers=("127.0.0.1",)), default)
    assert "nameserver 127.0.0.1" in lines


def test_no_public_server_is_ever_made_up() -> None:
    lines = text(upstreams.DaemonDns(), states.box("plain"), states.net("bridge", predefined=True))
    assert not [each for each in lines if each.startswith("nameserver")]
    assert "# no nameserver can be reached from here; give one with --dns" in lines


def test_search_lists_are_overridden_not_added_up() -> None:
    red = states.net("red", search=("net.example",))
    own = states.box("own", search=("own.example",))
    none = states.box("none", search=(".",))
    assert "search own.example" in text(GIVEN, own, red)
    assert "search net.example" in text(GIVEN, states.box("plain"), red)
    assert "search daemon.example" in text(GIVEN, states.box("plain"), states.net("blue"))
    assert not [each for each in text(GIVEN, none, red) if each.startswith("search")]


HOST6 = resolvconf.Host(
    servers=tuple(map(ip_address, ("192.0.2.53", "2001:db8::53", "fe80::1%eth0")))
)
BRIDGE = states.net("bridge", predefined=True)


def named(lines: list[str]) -> list[str]:
    return [each.split()[1] for each in lines if each.startswith("nameserver")]


def test_C44_ipv6_servers_are_for_sandboxes_that_have_ipv6() -> None:
    daemon = upstreams.DaemonDns(host=HOST6, direct=HOST6)
    box = states.box("b")
    four = states.state(box, BRIDGE, states.plug("b", "bridge", "10.44.1.2/24"))
    both = states.state(box, BRIDGE, states.plug("b", "bridge", "10.44.1.2/24", "fd00::2/64"))
    lines = [resolvconf.render(upstreams.wanted(at, box, daemon)) for at in (four, both)]
    assert [named(each.splitlines()) for each in lines] == [
        ["192.0.2.53"],
        ["192.0.2.53", "2001:db8::53", "fe80::1%eth0"],
    ]


def test_C37_one_server_of_ours_and_a_note_of_the_hosts() -> None:
    host = resolvconf.Host(servers=(ip_address("10.0.0.1"),))
    lines = text(upstreams.DaemonDns(host=host), states.box("b"), states.net("red"))
    assert named(lines) == ["127.0.0.11"]
    assert "# upstream: 10.0.0.1 (/etc/resolv.conf, asked from the host)" in lines


def test_a_given_server_that_names_a_link_is_never_asked_and_told_of() -> None:
    """Older releases took such; the link is one of the host."""
    box, red = states.box("b", servers=("fe80::1%eth0", "10.0.0.2")), states.net("red")
    state = states.state(box, red, states.plug("b", "red", "10.44.1.2/24"))
    asked = upstreams.servers(state, box, upstreams.DaemonDns())
    assert [str(each.server) for each in asked] == ["10.0.0.2"]
    lines = text(upstreams.DaemonDns(), box, red)
    told = "fe80::1%eth0 (--dns): it names a link of the host, which no sandbox has"
    assert f"# left out: {told}" in lines
    default = states.box("b", servers=("fe80::1%eth0",))
    assert named(text(upstreams.DaemonDns(), default, BRIDGE)) == ["fe80::1%eth0"]


def test_C38_given_servers_are_asked_from_inside_and_noted_without_the_host() -> None:
    host = resolvconf.Host(servers=(ip_address("10.0.0.1"),))
    daemon = upstreams.DaemonDns(host=host)
    box, red = states.box("b", servers=("10.0.0.2",)), states.net("red")
    assert [each for each in text(daemon, box, red) if "upstream" in each] == [
        "# upstream: 10.0.0.2 (--dns)"
    ]
    assert asked(daemon, box, red) == [("10.0.0.2", True)]


def test_C40_no_server_at_all_is_a_comment() -> None:
    lines = text(upstreams.DaemonDns(), states.box("b"), states.net("red"))
    assert named(lines) == ["127.0.0.11"]
    assert "# no upstream: names that are not ours get SERVFAIL" in lines


def test_A8_25_a_sandbox_is_sealed_by_all_its_networks_and_by_nothing_else() -> None:
    box, red, inner = states.box("b"), states.net("red"), states.net("inner", 2, internal=True)
    for nets, is_sealed in (((), False), ((red,), False), ((inner,), True), ((red, inner), False)):
        assert upstreams.sealed(*world(box, *nets)) is is_sealed


def test_C41_ipv6_and_scoped_servers_keep_their_order() -> None:
    host = resolvconf.parse(
        "nameserver 2001:db8::1\nnameserver fe80::2%eth0\nnameserver 192.0.2.3\nnameserver ::4\n"
    )
    assert asked(upstreams.DaemonDns(host=host), states.box("b"), states.net("red")) == [
        (each, False) for each in ("2001:db8::1", "fe80::2%eth0", "192.0.2.3", "::4")
    ]


def test_C43_of_loopback_and_real_servers_the_real_ones_are_named_where_we_serve_nobody() -> None:
    host = resolvconf.parse("nameserver 127.0.0.1\nnameserver 10.0.0.1\nnameserver ::1\n")
    daemon = upstreams.DaemonDns(host=host, direct=host)
    lines = text(daemon, states.box("b"), BRIDGE)
    assert named(lines) == ["10.0.0.1"]
    assert "# left out: ::1 (/etc/resolv.conf): a loopback address of the host" in lines


def test_what_resolv_conf_cannot_name_is_told_where_we_serve_nobody() -> None:
    servers = [nameserver.server(each) for each in ("10.0.0.2", "tls://10.1.1.1", "tcp://10.0.0.3")]
    own = replace(states.box("b"), dns=sandbox.DnsSettings(servers=tuple(servers)))
    lines = text(upstreams.DaemonDns(), own, BRIDGE)
    assert named(lines) == ["10.0.0.2"]
    why = "resolv.conf names only plain servers on port 53"
    assert [each for each in lines if "left out" in each] == [
        f"# left out: {each} (--dns): {why}" for each in ("tls://10.1.1.1", "tcp://10.0.0.3")
    ]


def test_that_the_host_names_our_own_server_is_told() -> None:
    host = resolvconf.parse("nameserver 127.0.0.11\n")
    lines = text(upstreams.DaemonDns(host=host), states.box("b"), states.net("red"))
    assert "# left out of /etc/resolv.conf: nameserver 127.0.0.11: the server of sdd" in lines


@pytest.mark.parametrize(
    ("given", "line", "origin"),
    [
        ({"servers": ("10.0.0.2",)}, "# upstream: 10.0.0.2 (--dns)", ""),
        ({"search": ("own.example",)}, "search own.example", "# search: --dns-search"),
        ({"options": ("ndots:3",)}, "options ndots:3", "# options: --dns-opt"),
    ],
)
def test_C46_each_group_is_overridden_alone_and_the_comment_says_which(
    given: dict[str, tuple[str, ...]], line: str, origin: str
) -> None:
    host = resolvconf.parse("nameserver 10.0.0.1\nsearch host.example\noptions ndots:2 rotate\n")
    daemon = upstreams.DaemonDns(host=host)
    red = states.net("red")
    before = set(text(daemon, states.box("b"), red))
    after = set(text(daemon, states.box("b", **given), red))  # type: ignore[arg-type]  # one group each
    assert {line, origin} - {""} <= after
    assert len(before - after) == 1 + bool(origin)


def test_C47_what_is_wrong_in_the_hosts_file_is_told_and_what_is_unknown_copied() -> None:
    host = resolvconf.parse(
        f"nameserver 1.2.3\nnameserver 10.0.0.1\nsortlist 10.0.0.0/8\nfamily \x07\n# {'x' * 9}\n"
        f"search {'long ' * 999}\nblank\n"
    )
    lines = text(upstreams.DaemonDns(host=host), states.box("b"), states.net("red"))
    assert "sortlist 10.0.0.0/8" in lines
    assert "# left out of /etc/resolv.conf, no address: nameserver 1.2.3" in lines
    assert "# left out of /etc/resolv.conf: family ?" in lines
    assert any(each.startswith("# left out of /etc/resolv.conf: search long") for each in lines)
    assert not [each for each in lines if each.startswith(("search", "family", "blank"))]


def test_C50_a_resolved_stub_on_the_host_with_a_search_list() -> None:
    host = resolvconf.parse("nameserver 127.0.0.53\noptions edns0 trust-ad\nsearch corp.example\n")
    assert text(upstreams.DaemonDns(host=host), states.box("b"), states.net("red")) == [
        "# Written by sdd. Change it and sdd never touches it again.",
        "nameserver 127.0.0.11",
        "search corp.example",
        "options edns0 trust-ad ndots:0",
        "",
        "# nameserver: the server of sdd",
        "# search: /etc/resolv.conf",
        "# options: /etc/resolv.conf",
        "# ndots:0: the server of sdd",
        "# upstream: 127.0.0.53 (/etc/resolv.conf, asked from the host)",
    ]


@pytest.mark.parametrize("where", ["--dns-opt", "daemon", "host"])
def test_N15_whoever_sets_ndots_keeps_bare_names_here(where: str) -> None:
    options = ("ndots:2",)
    box = states.box("b", options=options if where == "--dns-opt" else ())
    daemon = upstreams.DaemonDns(
        options=options if where == "daemon" else (),
        host=resolvconf.Host(options=options if where == "host" else ()),
    )
    assert upstreams.keeps_single(box, daemon)
    bad = states.box("b", options=("ndots:x", "rotate"))
    assert not upstreams.keeps_single(bad, upstreams.DaemonDns())
    assert not upstreams.keeps_single(states.box("b"), upstreams.DaemonDns())


def test_C20_our_own_address_alone_leaves_nobody_and_beside_another_that_one() -> None:
    red = states.net("red")
    assert asked(GIVEN, states.box("b", servers=("127.0.0.11",)), red) == []
    both = states.box("b", servers=("127.0.0.11", "192.0.2.1"))
    assert asked(GIVEN, both, red) == [("192.0.2.1", True)]


def test_encrypted_servers_of_a_sandbox_or_a_network_are_asked_from_inside() -> None:
    dot = nameserver.parse("tls://9.9.9.9#dns.quad9.net")
    daemon = upstreams.DaemonDns(host=HOST, direct=HOST, ca="/ca.pem")
    own = replace(
        states.box("own"), dns=sandbox.DnsSettings(servers=(dot, ip_address("10.44.1.9")))
    )
    red = replace(states.net("red"), dns=(dot,))
    for box, nets in ((own, (states.net("red"),)), (states.box("plain"), (red,))):
        found = upstreams.for_worker(upstreams.servers(*world(box, *nets), daemon))
        first = found[0]
        assert (first.transport, first.port, first.name) == ("tls", 853, "dns.quad9.net")
        assert (first.inside, first.ca) == (True, "/ca.pem")
    assert [
        each.ca
        for each in upstreams.for_worker(upstreams.servers(*world(own, states.net("red")), daemon))
    ] == ["/ca.pem", ""]
    assert "# upstream: tls://9.9.9.9#dns.quad9.net (--dns)" in text(daemon, own, states.net("red"))
    assert named(text(daemon, own, BRIDGE)) == ["10.44.1.9"]  # resolv.conf knows plain DNS only


def test_an_encrypted_server_alone_gives_way_to_nobody_where_we_serve_nobody() -> None:
    dot = nameserver.parse("tls://9.9.9.9")
    own = replace(states.box("own"), dns=sandbox.DnsSettings(servers=(dot,)))
    assert named(text(DAEMON, own, BRIDGE)) == []


def test_A8_112_the_search_list_is_known_wherever_it_comes() -> None:
    daemon = upstreams.DaemonDns(host=resolvconf.Host(search=("corp.test",)))
    state = states.state(states.box("b"))
    first = replace(daemon, options=("ndots:2",))
    assert upstreams.searches(state, states.box("b"), first) == (("corp.test",), 2)
    assert upstreams.searches(state, states.box("b"), daemon) == (("corp.test",), 0)


def zoned(name: str, number: int, *zones: str, internal: bool = False) -> network.Network:
    pairs = (each.split("=") for each in zones)
    given = tuple(ForwardZone(zone=zone, server=ip_address(text)) for zone, text in pairs)
    return replace(states.net(name, number, internal=internal), dns_zones=given)


def test_forward_zones_are_those_of_the_first_network_that_has_them_and_asked_inside() -> None:
    red = zoned("red", 1, "corp.local=10.0.0.1", "corp.local=10.0.0.2", internal=True)
    blue = zoned("blue", 2, "corp.local=10.0.0.3", "lab=10.0.0.4", "loop=127.0.0.11", internal=True)
    box = states.box("b")
    plugs = (states.plug("b", "red", "10.44.1.2"), states.plug("b", "blue", "10.44.2.2"))
    state = states.state(red, blue, box, *plugs)
    found = upstreams.zones(state, box, GIVEN)
    told = {zone: [(str(s.server), s.inside) for s in own] for zone, own in found.items()}
    first = {end.network for end in state.endpoints_by_sandbox[box.id][:1]}
    corp = ["10.0.0.1", "10.0.0.2"] if first == {red.id} else ["10.0.0.3"]
    assert told == {"corp.local": [(each, True) for each in corp], "lab": [("10.0.0.4", True)]}
    assert upstreams.servers(state, box, GIVEN) == ()  # internal networks only
    text = resolvconf.render(upstreams.wanted(state, box, GIVEN))
    assert "# upstream: 10.0.0.4 (network --dns-forward-zone lab)" in text
    assert "# no upstream" not in text
    assert "# no other upstream: names that are not ours, nor in a zone above" in text


@pytest.mark.parametrize(
    ("zone", "has_effect"),
    [
        ("red", False),
        ("deep.red", False),
        ("blue", False),  # of another network of the same sandbox
        ("1.44.10.in-addr.arpa", False),
        ("7.1.44.10.in-addr.arpa", False),
        ("fred", True),
        ("44.10.in-addr.arpa", True),
        ("9.44.10.in-addr.arpa", True),
    ],
)
def test_a_forward_zone_of_what_is_ours_is_asked_of_nobody_and_costs_no_socket(
    zone: str, has_effect: bool
) -> None:
    box = states.box("b")
    plugs = (states.plug("b", "red", "10.44.1.2/24"), states.plug("b", "blue", "10.44.2.2/24"))
    state = states.state(zoned("red", 1, f"{zone}=10.0.0.1"), states.net("blue", 2), box, *plugs)
    assert (upstreams.zones(state, box, GIVEN).keys() == {zone}) == has_effect
    need = desired(state, states.NODE, GIVEN).needs[box.id]
    assert need.spot.families == ({protocol.Family.IPV4} if has_effect else set())
    assert need.view is not None
    assert bool(need.view.routes) == has_effect
    assert (f"left out: {zone} (network --dns-forward-zone)" in need.texts.resolv) != has_effect


def test_a_zone_below_a_network_that_forwards_what_it_does_not_know_has_effect() -> None:
    box, plug = states.box("b"), states.plug("b", "red", "10.44.1.2/24")
    red = replace(zoned("red", 1, "deep.red=10.0.0.1"), options={OPTION_FORWARD_UNKNOWN: "true"})
    state = states.state(red, box, plug)
    assert upstreams.zones(state, box, GIVEN).keys() == {"deep.red"}
