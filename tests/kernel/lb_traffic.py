"""Real traffic that every balancing kernel carries the same way; nftables and IPVS run this suite."""

import collections
import contextlib
import socket
import struct
from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from types import MappingProxyType

import pytest

from lb import plan, table, world
from sdd.model.network import IPAddress
from sdd.model.service import Scheduler
from tests.kernel import lb_town
from tests.kernel.lb_town import VIP, VIP6, Town

ALL = ("b1", "b2", "b3")
# Given by hand, so that what is hashed is the same in every run; below those of the kernel.
PORTS = range(20_000, 20_040)
BOTH = (VIP, VIP6)
SOON = 2  # times that TCP sends again: after 0.2 s, then after twice as long each time
# What people write: nothing comes in but replies, nothing goes out but what is meant to.
FIREWALL = """table inet own {
  chain in { type filter hook input priority 0; policy drop;
    ct state established,related accept; iif lo accept
    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept;
  }
  chain out { type filter hook output priority 0; policy drop;
    ct state established,related accept; ct state new tcp dport 80 accept
    ct state new udp dport 53 accept
    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept;
  }
}"""


async def put(
    kernel: world.Kernel, town: Town, *services: table.VirtualService, name: str = "client"
) -> None:
    """`name` balances exactly `services` afterwards."""
    place = town.place(name)
    have = await kernel.read(place)
    want = table.Table(services=MappingProxyType({each.vip: each for each in services}))
    done = await kernel.apply(place, have, plan.diff(have, want))
    assert done.refusals == ()
    found = await kernel.read(place)
    assert found == want


def service(
    town: Town,
    vip: IPAddress = VIP,
    scheduler: Scheduler = Scheduler.RR,
    persistence_s: int = 0,
    **weights: int,
) -> table.VirtualService:
    """Over all backends equally, or those named with their weights."""
    shares = weights or dict.fromkeys(ALL, 1)
    return table.VirtualService(
        number=1 if vip == VIP else 2,
        vip=vip,
        scheduler=scheduler,
        persistence_s=persistence_s,
        backends=plan.ordered(
            [town.backend(name, each, vip.version) for name, each in shares.items()]
        ),
    )


def thousand() -> Iterator[table.VirtualService]:
    """1000 services with 10 backends each; nobody has the addresses."""
    backends = tuple(table.Backend(address=ip_address(f"10.77.8.{at}")) for at in range(1, 11))
    for at in range(1000):
        vip = ip_address("10.77.4.0") + at
        yield table.VirtualService(number=at + 1, vip=vip, backends=backends)


def empty(vip: IPAddress = VIP) -> table.VirtualService:
    return table.VirtualService(number=1 if vip == VIP else 2, vip=vip)


def shares(town: Town, count: int, to: IPAddress = VIP) -> dict[str, int]:
    return dict(collections.Counter(town.ask(to=to).who for _ in range(count)))


def _listening(town: Town, name: str) -> socket.socket:
    """A listener of `name` whose connections the test accepts and closes itself."""
    opened = town.doors.run_sync(town.path(name), lambda: socket.create_server(("", 2800)))
    opened.settimeout(lb_town.PATIENCE_S)
    return opened


def _ended_by_the_server(town: Town, listener: socket.socket, to: IPAddress, port: int) -> int:
    """How often the client's SYN had to be sent again."""
    with contextlib.closing(town.opened("client", socket.SOCK_STREAM, port=port)) as one:
        one.connect((str(to), 2800))
        accepted, _ = listener.accept()
        accepted.close()
        assert one.recv(1) == b""
        return lb_town.sent_again(one)


def from_port(town: Town, port: int) -> str:
    """Who answers the client's source port; closed by a reset, so that it can be used again."""
    with contextlib.closing(town.opened("client", socket.SOCK_STREAM, port=port)) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        one.connect((str(VIP), 80))
        return lb_town.say(one).who


def spread(town: Town) -> dict[str, int]:
    """Who answers how many of PORTS."""
    return dict(collections.Counter(from_port(town, port) for port in PORTS))


class LbTraffic:
    """Subclasses give `town` and `kernel`; each test starts from an empty client."""

    @pytest.mark.parametrize("vip", BOTH)
    async def test_B9_01_B9_23_round_robin_gives_each_its_share(
        self, kernel: world.Kernel, town: Town, vip: IPAddress
    ) -> None:
        await put(kernel, town, service(town, vip))
        assert shares(town, 9, vip) == {"b1": 3, "b2": 3, "b3": 3}

    async def test_B9_02_weights_are_shares(self, kernel: world.Kernel, town: Town) -> None:
        await put(kernel, town, service(town, scheduler=Scheduler.WRR, b1=4, b2=1, b3=1))
        assert shares(town, 60) == {"b1": 40, "b2": 10, "b3": 10}

    @pytest.mark.parametrize("vip", BOTH)
    async def test_B9_38_the_backend_sees_the_clients_own_address(
        self, kernel: world.Kernel, town: Town, vip: IPAddress
    ) -> None:
        await put(kernel, town, service(town, vip))
        client = str(town.address("client", vip.version))
        assert {town.ask(to=vip).peer for _ in range(6)} == {client}
        assert {town.ask_udp(to=vip).peer for _ in range(6)} == {client}

    async def test_all_ports_and_both_protocols_are_forwarded(
        self, kernel: world.Kernel, town: Town
    ) -> None:
        await put(kernel, town, service(town))
        for port in lb_town.PORTS:
            assert {town.ask(port=port).who for _ in range(6)} == set(ALL)
            assert {town.ask_udp(port=port).who for _ in range(6)} == set(ALL)

    @pytest.mark.parametrize("vip", BOTH)
    async def test_B9_50_a_backend_calls_its_own_virtual_address(
        self, kernel: world.Kernel, town: Town, vip: IPAddress
    ) -> None:
        await put(kernel, town, service(town, vip), name="b1")
        answers = [town.ask("b1", vip) for _ in range(6)]
        answers += [town.ask_udp("b1", vip) for _ in range(6)]
        assert {each.who for each in answers} == set(ALL)
        assert {each.peer for each in answers} == {str(town.address("b1", vip.version))}
        await put(kernel, town, name="b1")

    @pytest.mark.parametrize("vip", BOTH)
    async def test_ping_answers_while_a_backend_is_up(
        self, kernel: world.Kernel, town: Town, vip: IPAddress
    ) -> None:
        await put(kernel, town, service(town, vip))
        assert town.ping(to=vip)
        await put(kernel, town, empty(vip))
        assert not town.ping(to=vip)

    @pytest.mark.parametrize("vip", BOTH)
    async def test_without_a_backend_the_client_is_refused_at_once(
        self, kernel: world.Kernel, town: Town, vip: IPAddress
    ) -> None:
        await put(kernel, town, empty(vip))
        with contextlib.closing(town.opened("client", socket.SOCK_STREAM, vip.version)) as one:
            with pytest.raises(ConnectionRefusedError):
                one.connect((str(vip), 80))
            assert lb_town.sent_again(one) == 0, "its first packet is refused"
        with pytest.raises(ConnectionRefusedError):
            town.ask_udp(to=vip)

    @pytest.mark.parametrize("vip", BOTH)
    async def test_a_client_with_a_stateful_firewall_of_its_own_is_served(
        self, kernel: world.Kernel, town: Town, vip: IPAddress
    ) -> None:
        await put(kernel, town, service(town, vip))
        town.nft("client", FIREWALL)
        try:
            assert shares(town, 6, vip) == dict.fromkeys(ALL, 2)
            assert {town.ask_udp(to=vip).who for _ in range(9)} == set(ALL)
        finally:
            town.nft("client", "delete table inet own")

    @pytest.mark.parametrize("order", [(0, 1), (1, 0)])
    async def test_a_source_port_used_for_two_addresses_of_a_backend_loses_no_syn(
        self, kernel: world.Kernel, town: Town, order: tuple[int, int]
    ) -> None:
        """The backend still holds the first connection in TIME_WAIT: it closed first."""
        vips = (VIP, VIP + 1)
        await put(kernel, town, *(service(town, each, b1=1) for each in vips))
        with contextlib.closing(_listening(town, "b1")) as listener:
            lost = [_ended_by_the_server(town, listener, vips[each], port=2801) for each in order]
        assert lost == [0, 0]

    async def test_B9_04_weight_zero_gets_no_new_connection(
        self, kernel: world.Kernel, town: Town
    ) -> None:
        await put(kernel, town, service(town, b1=1, b2=0, b3=1))
        assert shares(town, 20) == {"b1": 10, "b3": 10}
        await put(kernel, town, service(town, b1=0))
        with pytest.raises(ConnectionRefusedError):
            town.ask()

    @pytest.mark.parametrize("scheduler", list(Scheduler))
    async def test_every_scheduler_reaches_living_backends(
        self, kernel: world.Kernel, town: Town, scheduler: Scheduler
    ) -> None:
        await put(kernel, town, service(town, scheduler=scheduler, b1=3, b2=2, b3=0))
        assert set(shares(town, 12)) <= {"b1", "b2"}

    async def test_a_live_connection_survives_joins_drains_and_new_settings(
        self, kernel: world.Kernel, town: Town
    ) -> None:
        await put(kernel, town, service(town, b1=1, b2=1))
        live = [town.connect() for _ in range(6)]
        before = [lb_town.say(each).who for each in live]
        for change in (
            service(town),
            service(town, b1=0, b2=1, b3=1),
            service(town, scheduler=Scheduler.MH, b1=0, b2=1, b3=1),
            service(town, scheduler=Scheduler.WRR, b1=3, b2=0),
        ):
            await put(kernel, town, change)
            assert [lb_town.say(each).who for each in live] == before
        for each in live:
            each.close()

    async def test_B9_07_a_removed_backends_connection_is_reset_not_left_hanging(
        self, kernel: world.Kernel, town: Town
    ) -> None:
        await put(kernel, town, service(town, b1=1))
        with contextlib.closing(town.connect()) as live:
            assert lb_town.say(live).who == "b1"
            await put(kernel, town, service(town, b2=1))
            with pytest.raises(ConnectionResetError):
                lb_town.say(live)
            assert lb_town.sent_again(live) <= SOON, "not after many tries"
        assert town.ask().who == "b2"

    @pytest.mark.parametrize("vip", BOTH)
    async def test_B9_08_the_same_udp_port_reaches_another_backend_after_a_removal(
        self, kernel: world.Kernel, town: Town, vip: IPAddress
    ) -> None:
        await put(kernel, town, service(town, vip, b1=1))
        with contextlib.closing(town.opened("client", socket.SOCK_DGRAM, vip.version)) as one:
            one.connect((str(vip), 53))
            assert lb_town.say(one).who == "b1"
            await put(kernel, town, service(town, vip, b2=1))
            assert lb_town.say(one).who == "b2"

    async def test_a_draining_backend_keeps_tcp_and_loses_udp(
        self, kernel: world.Kernel, town: Town
    ) -> None:
        await put(kernel, town, service(town, b1=1))
        with (
            contextlib.closing(town.connect()) as stream,
            contextlib.closing(town.opened("client", socket.SOCK_DGRAM)) as datagrams,
        ):
            datagrams.connect((str(VIP), 53))
            assert (lb_town.say(stream).who, lb_town.say(datagrams).who) == ("b1", "b1")
            await put(kernel, town, service(town, b1=0, b2=1))
            assert (lb_town.say(stream).who, lb_town.say(datagrams).who) == ("b1", "b2")

    async def test_a_udp_client_that_called_too_early_is_served_once_the_service_is_there(
        self, kernel: world.Kernel, town: Town
    ) -> None:
        with contextlib.closing(town.opened("client", socket.SOCK_DGRAM)) as early:
            early.connect((str(VIP), 53))
            early.send(b"anybody?")
            await put(kernel, town, service(town))
            assert lb_town.say(early).who in ALL

    async def test_B9_52_the_kernel_counts_who_is_connected_where(
        self, kernel: world.Kernel, town: Town
    ) -> None:
        await put(kernel, town, service(town, b1=1, b2=3, b3=0), empty(VIP6))
        live = [town.connect() for _ in range(4)]
        for each in live:
            lb_town.say(each)
        loads = await kernel.loads(town.place())
        tcp = {each.address: each for each in loads if each.vip == VIP and each.protocol != "udp"}
        weights = {town.address("b1"): 1, town.address("b2"): 3, town.address("b3"): 0}
        assert {address: each.weight for address, each in tcp.items()} == weights
        assert {address: each.active for address, each in tcp.items()} == {
            town.address("b1"): 2,
            town.address("b2"): 2,
            town.address("b3"): 0,
        }
        assert {each.address for each in loads if each.vip == VIP6} == {None}
        for each in live:
            each.close()

    async def test_a_udp_client_that_was_refused_is_served_once_there_is_a_backend(
        self, kernel: world.Kernel, town: Town
    ) -> None:
        for before in (empty(), service(town, b1=0)):
            await put(kernel, town, before)
            with contextlib.closing(town.opened("client", socket.SOCK_DGRAM)) as early:
                early.connect((str(VIP), 53))
                with pytest.raises(ConnectionRefusedError):
                    lb_town.say(early)
                await put(kernel, town, service(town, b1=1))
                assert lb_town.say(early).who == "b1"

    @pytest.mark.parametrize("vip", BOTH)
    async def test_the_kernel_says_where_a_connection_was_led(
        self, kernel: world.Kernel, town: Town, vip: IPAddress
    ) -> None:
        await put(kernel, town, service(town, vip))
        for _ in range(6):
            with contextlib.closing(town.connect(to=vip)) as live:
                port = live.getsockname()[1]
                who = lb_town.say(live).who
                led = await kernel.led_to(town.place(), vip, port)
                assert led == town.address(who, vip.version)
        assert await kernel.led_to(town.place(), vip, 1) is None

    @pytest.mark.parametrize("vip", BOTH)
    async def test_B9_10_B9_11_affinity_holds_until_the_backend_is_unhealthy(
        self, kernel: world.Kernel, town: Town, vip: IPAddress
    ) -> None:
        await put(kernel, town, service(town, vip, persistence_s=300))
        (held,) = {town.ask(to=vip).who for _ in range(10)}
        others = {name: 1 for name in ALL if name != held}
        await put(kernel, town, service(town, vip, Scheduler.RR, 300, **others))
        for _ in range(5):
            with contextlib.closing(town.connect(to=vip)) as one:
                assert lb_town.sent_again(one) == 0, "nobody waits for the one that left"
                assert lb_town.say(one).who in others

    async def test_B9_13_the_order_in_which_backends_came_does_not_matter(
        self, kernel: world.Kernel, town: Town
    ) -> None:
        async def chosen(order: Sequence[str]) -> list[str]:
            for count in range(1, len(order) + 1):
                shares = dict.fromkeys(order[:count], 1)
                await put(kernel, town, service(town, VIP, Scheduler.MH, 0, **shares))
            found = [from_port(town, port) for port in PORTS]
            await put(kernel, town)
            return found

        first = await chosen(("b1", "b2", "b3"))
        assert set(first) == set(ALL)
        assert await chosen(("b3", "b1", "b2")) == first

    async def test_removed_services_leave_nothing(self, kernel: world.Kernel, town: Town) -> None:
        await put(kernel, town, service(town), service(town, VIP6))
        await put(kernel, town)
        assert town.nft("client", "list tables") == ""
