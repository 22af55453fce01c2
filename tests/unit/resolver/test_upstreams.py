"""Who is asked for foreign names, from where, and what resolv.conf tells of it."""

from ipaddress import ip_address

import pytest

from resolver import resolvconf, upstreams
from sdd.model import nameserver, network, sandbox
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


def test_A8_25_no_upstream_is_said_in_the_file() -> None:
    lines = text(DAEMON, states.box("mute"), states.net("sealed", internal=True))
    assert "# no upstream: names that are not ours get SERVFAIL" in lines


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
