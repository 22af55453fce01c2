"""Ports that every node opens, as nftables and IPVS carry them alike: both run this suite."""

import asyncio
import contextlib
import socket
from ipaddress import ip_address

import pytest

from lb import desired
from lb.back import DAMAGED
from sdd.model import request
from sdd.model.network import IPAddress
from sdd.model.port import Protocol
from tests.kernel import lb_town
from tests.kernel.ingress_town import (
    HERE,
    HERE6,
    HOST,
    HOST6,
    LOCALHOST,
    PORTS,
    TALK,
    WEB,
    IngressTown,
)
from tests.kernel.lb_town import Answer

ALL = {"b1", "b2", "b3"}
BOTH = ((HOST, HERE), (HOST6, HERE6))


def weigh(town: IngressTown, **weights: int) -> None:
    """The members have these weights, the others 1."""
    for name in town.backends:
        weight = weights.get(name, 1)
        town.do(lambda one, name=name, weight=weight: one.commands.set_weight("web", name, weight))  # type: ignore[misc]  # bound now


def leave(town: IngressTown, name: str) -> None:
    town.do(lambda one: one.commands.leave("web", name))


def join(town: IngressTown, name: str) -> None:
    town.do(lambda one: one.commands.join("web", request.Join(sandbox=name)))


class IngressTraffic:
    """Subclasses give `town`, on which the three members serve with weight 1."""

    @pytest.mark.parametrize(("to", "seen"), BOTH)
    def test_B9_38_every_member_sees_the_client_by_tcp(
        self, town: IngressTown, to: IPAddress, seen: str
    ) -> None:
        assert town.visits(9, to=to) == {Answer(name, seen) for name in ALL}

    @pytest.mark.parametrize(("to", "seen"), BOTH)
    def test_B9_38_and_by_udp(self, town: IngressTown, to: IPAddress, seen: str) -> None:
        found = {town.ask_udp("client", to, TALK) for _ in range(9)}
        assert found == {Answer(name, seen) for name in ALL}

    def test_members_answer_the_ingress_sandbox_itself_as_they_answer_clients(
        self, town: IngressTown
    ) -> None:
        """A check by datagrams: the servers' sockets belong to no address."""
        (gate,) = town.state.ingress_sandboxes
        (box,) = (each for each in town.state.sandboxes.values() if each.name == "b1")
        near, end = town.state.on_ingress(gate.id), town.state.on_ingress(box.id)
        assert near is not None
        assert end is not None
        for own, each in zip(near.hosts, end.hosts, strict=True):
            assert town.ask_udp("ingress-sbox", each, 53) == Answer("b1", str(own))

    @pytest.mark.parametrize(("to", "seen"), BOTH)
    def test_whom_a_client_was_led_to_is_known_by_its_address_and_port(
        self, town: IngressTown, to: IPAddress, seen: str
    ) -> None:
        (gate,), (web,) = town.state.ingress_sandboxes, town.state.services.values()
        (vip,) = (each for each in web.ingress_vips if each.version == to.version)
        place = desired.place_of(town.state, gate)

        def led(client: str) -> IPAddress | None:
            who = ip_address(client)
            return asyncio.run(town.kernel.led_to(place, vip, port, Protocol.TCP, who))

        with contextlib.closing(town.connect("client", to, WEB)) as one:
            answered = lb_town.say(one).who
            port = one.getsockname()[1]
            (box,) = (each for each in town.state.sandboxes.values() if each.name == answered)
            end = town.state.on_ingress(box.id)
            assert end is not None
            assert led(seen) in end.hosts
            assert led("192.0.2.77" if to.version == 4 else "2001:db8:7::77") is None

    def test_B9_50_the_host_is_balanced_as_well(self, town: IngressTown) -> None:
        assert {each.who for each in town.visits(6, "host")} == ALL
        assert town.visits(3, "host") == {Answer(name, str(HOST)) for name in ALL}
        with pytest.raises(ConnectionRefusedError):
            town.connect("host", LOCALHOST, WEB)
        near = request.Publish(published=WEB, target=80, address=LOCALHOST)
        ask = request.ServiceUpdate(publish_add=(near,))
        town.do(lambda one: one.commands.update_service("web", ask))
        masked = town.visits(6, "host", LOCALHOST)
        assert {each.who for each in masked} == ALL
        assert len({each.peer for each in masked} - {"127.0.0.1"}) == 1
        gone = request.Unpublish(published=WEB, address=LOCALHOST)
        leave_it = request.ServiceUpdate(publish_remove=(gone,))
        town.do(lambda one: one.commands.update_service("web", leave_it))
        with pytest.raises(ConnectionRefusedError):
            town.connect("host", LOCALHOST, WEB)
        assert {each.who for each in town.visits(6, "host", HOST6)} == ALL

    @pytest.mark.parametrize("name", ["near", "b1"])
    def test_U10_neighbours_and_members_themselves_reach_all(
        self, town: IngressTown, name: str
    ) -> None:
        assert {each.who for each in town.visits(6, name)} == ALL
        assert {town.ask_udp(name, HOST, TALK).who for _ in range(9)} == ALL

    def test_B9_04_weight_0_takes_nothing_new_and_keeps_what_lives(self, town: IngressTown) -> None:
        with contextlib.closing(town.connect("client", HOST, WEB)) as live:
            who = lb_town.say(live).who
            weigh(town, **{who: 0})
            assert town.who() == ALL - {who}
            assert lb_town.say(live).who == who
        weigh(town)
        assert town.who() == ALL

    def test_without_a_member_of_any_weight_it_is_refused_at_once(self, town: IngressTown) -> None:
        weigh(town, b1=0, b2=0, b3=0)
        for to in (HOST, HOST6):
            with pytest.raises(ConnectionRefusedError):
                town.connect("client", to, WEB)
            with pytest.raises(ConnectionRefusedError):
                town.ask_udp("client", to, TALK)
        weigh(town)

    def test_B9_07_a_member_that_left_resets_its_connections(self, town: IngressTown) -> None:
        with contextlib.closing(town.connect("client", HOST, WEB)) as live:
            who = lb_town.say(live).who
            leave(town, who)
            with pytest.raises(ConnectionResetError):
                lb_town.say(live)
        assert town.who() == ALL - {who}
        join(town, who)
        assert town.who() == ALL

    def test_B9_08_U4_a_flow_moves_when_its_member_leaves(self, town: IngressTown) -> None:
        with contextlib.closing(town.opened("client", socket.SOCK_DGRAM)) as flow:
            flow.connect((str(HOST), TALK))
            first = lb_town.say(flow).who
            assert lb_town.say(flow).who == first
            leave(town, first)
            assert lb_town.say(flow).who in ALL - {first}
        join(town, first)

    def test_C122_a_port_comes_and_goes_while_others_live(self, town: IngressTown) -> None:
        more = (request.Publish(published=8081, target=80),)
        with contextlib.closing(town.connect("client", HOST, WEB)) as live:
            who = lb_town.say(live).who
            add = request.ServiceUpdate(publish_add=more)
            town.do(lambda one: one.commands.update_service("web", add))
            assert town.ask("client", HOST, 8081).who in ALL
            gone = (request.Unpublish(target=80),)
            remove = request.ServiceUpdate(publish_remove=gone, publish_add=PORTS[:1])
            town.do(lambda one: one.commands.update_service("web", remove))
            with pytest.raises(ConnectionRefusedError):
                town.connect("client", HOST, 8081)
            assert lb_town.say(live).who == who

    def test_nothing_else_is_forwarded(self, town: IngressTown) -> None:
        """A member with a route of its own through the ingress sandbox gets nowhere."""
        (net,) = (each for each in town.state.networks.values() if each.is_ingress)
        box = next(each.id for each in town.state.sandboxes.values() if each.name == "b2")
        end = town.state.on_ingress(box)
        (service,) = town.state.services.values()
        assert end is not None
        for to in (end.hosts[0], service.ingress_vips[0]):
            assert to.version == 4
            assert net.pool_of(to)
            with pytest.raises(OSError, match=r"unreachable|refused"):
                town.connect("b1", to, 80)

    @pytest.mark.parametrize(
        ("where", "damage"),
        [
            ("b1", "nft delete table inet sdd-ingress"),
            ("b1", "nft flush chain inet sdd-ingress answering"),
            ("b1", "nft add rule inet sdd-ingress arriving drop"),
            ("b1", "ip rule del pref 24000"),
            ("b1", "ip -6 rule del pref 24000"),
            ("b1", "ip rule add pref 24001 fwmark 0x5e999999 lookup 99 protocol 94"),
            ("b1", "ip link set ing0 down"),
            ("b1", "ip addr flush dev ing0"),
            ("ingress-sbox", "sysctl -qw net.ipv4.ip_forward=0"),
            ("ingress-sbox", "sysctl -qw net.ipv4.conf.all.arp_announce=0"),
            ("ingress-sbox", "nft delete table inet sdd-lb"),
            ("ingress-sbox", "nft flush chain inet sdd-lb forward"),
            ("ingress-sbox", "ip route del default"),
            ("host", "ip route del 172.18.0.0/16"),
            ("host", "ip link del sdd-gwbridge"),
        ],
    )
    def test_what_hands_change_is_mended(self, town: IngressTown, where: str, damage: str) -> None:
        words = damage.replace("172.18", _ingress_prefix(town)).split()
        town.inside(where, *words)
        assert town.mend() > 0
        for to, seen in BOTH:
            assert town.visits(9, to=to) == {Answer(name, seen) for name in ALL}

    def test_B9_26_foreign_rules_and_routes_are_not_touched(self, town: IngressTown) -> None:
        town.inside("b1", "ip", "rule", "add", "pref", "77", "fwmark", "7", "lookup", "77")
        town.inside("b1", "ip", "route", "add", "10.99.0.0/24", "dev", "eth0", "table", "77")
        leave(town, "b1")
        assert "lookup 77" in town.inside("b1", "ip", "rule")
        assert "24000" not in town.inside("b1", "ip", "rule")
        assert "10.99.0.0/24" in town.inside("b1", "ip", "route", "show", "table", "77")
        assert "sdd-ingress" not in town.inside("b1", "nft", "list", "tables")
        town.inside("b1", "ip", "rule", "del", "pref", "77")
        join(town, "b1")
        assert town.who() == ALL

    def test_a_damaged_way_back_reads_as_such(self, town: IngressTown) -> None:
        (box,) = (each for each in town.state.sandboxes.values() if each.name == "b1")
        place = desired.place_of(town.state, box)
        whole = asyncio.run(town.kernel.read(place))
        assert whole.back is not None
        town.inside("b1", "ip", "rule", "del", "pref", "24000")
        assert asyncio.run(town.kernel.read(place)).back == DAMAGED
        town.mend()
        assert asyncio.run(town.kernel.read(place)) == whole

    def test_B9_47_the_last_port_takes_all_of_it_along(self, town: IngressTown) -> None:
        town.mend()  # what another test broke
        sandbox = town.path("ingress-sbox")
        gone = (request.Unpublish(target=80), request.Unpublish(target=53, protocol=UDP))
        without = request.ServiceUpdate(publish_remove=gone, drain_s=0.0)
        town.do(lambda one: one.commands.update_service("web", without))
        town.mend()
        assert not town.state.ingress_sandboxes
        assert town.state.ingress is None
        assert "sdd-gwbridge" not in town.inside("host", "ip", "-br", "link")
        assert "172." not in town.inside("host", "ip", "route")
        assert "sdd-ports" not in town.inside("host", "nft", "list", "tables")
        for name in town.backends:
            assert "ing0" not in town.inside(name, "ip", "-br", "link")
            assert "sdd-ingress" not in town.inside(name, "nft", "list", "tables")
            for each in ("-4", "-6"):
                assert "proto 94" not in town.inside(name, "ip", each, "rule")
        with pytest.raises(ConnectionRefusedError):
            town.connect("client", HOST, WEB)
        again = request.ServiceUpdate(publish_add=PORTS)
        town.do(lambda one: one.commands.update_service("web", again))
        assert town.path("ingress-sbox") != sandbox
        assert town.who() == ALL


UDP = PORTS[1].protocol


def _ingress_prefix(town: IngressTown) -> str:
    assert town.state.ingress is not None
    return str(town.state.ingress.pools[0].subnet).rsplit(".", 2)[0]
