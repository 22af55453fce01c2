"""Published ports on this machine's kernel: the contract, and what hands can do to our table."""

import re
import socket
from collections.abc import Callable, Collection, Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from lb.kernel.nft_prints import Prints
from lb.kernel.ports import reading
from lb.kernel.ports.linux import PortsKernel
from lb.kernel.ports.sockets import MOST_KEPT, Sockets
from lb.ports import image
from sdd import notify
from sdd.linux import namespaces
from sdd.model.port import Protocol
from tests import keeper, support
from tests.contract import ports_kernel
from tests.contract.ports_kernel import EVERYTHING, WEB, bind, entry, made_of
from tests.kernel.spaces import Space, Spaces

pytestmark = pytest.mark.kernel
KINDS = {Protocol.TCP: socket.SOCK_STREAM, Protocol.UDP: socket.SOCK_DGRAM}


@pytest.fixture
def host(spaces: Spaces) -> Space:
    return spaces.make("ports")


@pytest.fixture
def doors(host: Space) -> Iterator[namespaces.Namespaces]:
    opened = namespaces.Namespaces(host.path)
    yield opened
    opened.close()


@pytest.fixture
def kernel(doors: namespaces.Namespaces) -> Iterator[PortsKernel]:
    made = PortsKernel(doors)
    yield made
    made.close()


@pytest.fixture
def opened(doors: namespaces.Namespaces) -> Iterator[Callable[[Protocol, int], socket.socket]]:
    """A socket of somebody else on the host."""
    sockets: list[socket.socket] = []

    def take(protocol: Protocol, number: int) -> socket.socket:
        def work() -> socket.socket:
            made = socket.socket(socket.AF_INET, KINDS[protocol])
            sockets.append(made)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind(("", number))
            if protocol is Protocol.TCP:
                made.listen()
            return made

        return doors.run_sync("", work)

    yield take
    for each in sockets:
        each.close()


class TestContract(ports_kernel.PortsKernelContract):
    """The suite of the fake."""

    @pytest.fixture
    def take(
        self, opened: Callable[[Protocol, int], socket.socket]
    ) -> Callable[[Protocol, int], object]:
        return opened


@pytest.mark.parametrize("protocol", list(KINDS))
async def test_P1_a_held_port_is_nobody_elses_until_it_is_released(
    kernel: PortsKernel, opened: Callable[[Protocol, int], socket.socket], protocol: Protocol
) -> None:
    assert await kernel.hold([bind(protocol=protocol)]) == {}
    with pytest.raises(OSError, match="in use"):
        opened(protocol, 8080)
    await kernel.release([bind(protocol=protocol)])
    assert opened(protocol, 8080)


@pytest.mark.parametrize("protocol", list(KINDS))
async def test_a_port_stays_held_while_we_are_started_again(
    doors: namespaces.Namespaces,
    opened: Callable[[Protocol, int], socket.socket],
    protocol: Protocol,
    tmp_path: Path,
) -> None:
    mine, gone = bind(protocol=protocol), bind(8081, protocol=protocol)
    with keeper.manager(tmp_path / "n") as manager:
        speaker = notify.Notifier(manager.address)
        first = PortsKernel(doors, Sockets(speaker))
        assert await first.hold([mine, gone]) == {}
        support.eventually(lambda: len(manager.kept) == 2, 30, "both are kept")
        first.close()
        for number in (8080, 8081):
            with pytest.raises(OSError, match="in use"):
                opened(protocol, number)
        second = PortsKernel(doors, Sockets(speaker, manager.sockets()))
        assert await second.hold([mine]) == {}, "it takes over its own"
        assert opened(protocol, 8081), "what nobody wants any more is free"
        with pytest.raises(OSError, match="in use"):
            opened(protocol, 8080)
        await second.release([mine])
        assert opened(protocol, 8080), "free at once"
        assert manager.kept == {}
        second.close()


async def test_a_copy_is_in_nobodys_way_who_wants_the_same_number_elsewhere(
    doors: namespaces.Namespaces, tmp_path: Path
) -> None:
    with keeper.manager(tmp_path / "n") as manager:
        speaker = notify.Notifier(manager.address)
        first = PortsKernel(doors, Sockets(speaker))
        assert await first.hold([bind()]) == {}
        support.eventually(lambda: manager.kept, 30, "it is kept")
        first.close()
        second = PortsKernel(doors, Sockets(speaker, manager.sockets()))
        assert await second.hold([bind(address=ip_address("127.0.0.1"))]) == {}
        second.close()


def stored(manager: keeper.Manager) -> int:
    """How many copies it was given; it reads in a thread of its own."""
    return sum("FDSTORE=" in each for each in tuple(manager.said))


async def test_no_more_copies_than_the_unit_allows(
    doors: namespaces.Namespaces, tmp_path: Path
) -> None:
    unit = Path(__file__).parents[2] / "systemd" / "sdd.service"
    assert f"FileDescriptorStoreMax={MOST_KEPT}\n" in unit.read_text()
    with keeper.manager(tmp_path / "n") as manager:
        one = PortsKernel(doors, Sockets(notify.Notifier(manager.address)))
        wanted = [bind(number) for number in range(20000, 20000 + MOST_KEPT + 5)]
        assert await one.hold(wanted) == {}
        support.eventually(lambda: stored(manager) == MOST_KEPT, 30, "as many as it takes")
        await one.release(wanted[:3])
        support.eventually(lambda: len(manager.kept) == MOST_KEPT, 30, "others have the room")
        await one.release(wanted)
        support.eventually(lambda: manager.kept == {}, 30, "all are given up")
        one.close()


async def test_sockets_that_hold_ports_leave_the_low_descriptors_free(kernel: PortsKernel) -> None:
    """libnftables waits by select(), which ends the process at a descriptor of 1024."""
    wanted = [bind(number) for number in range(20000, 22000)]
    assert await kernel.hold(wanted) == {}
    with socket.socket() as one:
        assert one.fileno() < 1024
    await kernel.write((), EVERYTHING, EVERYTHING)
    assert await kernel.read() == EVERYTHING


async def test_an_address_that_the_host_has_not_is_told(kernel: PortsKernel) -> None:
    wanted = bind(address=ip_address("192.0.2.77"))
    assert await kernel.hold([wanted]) == {wanted: "this host has no such address"}


@pytest.mark.parametrize(
    "damage",
    [
        "flush chain inet sdd-ports lead",
        "flush chain inet sdd-ports guard",
        "insert rule inet sdd-ports refuse accept",
        "add rule inet sdd-ports mask accept",
        "add chain inet sdd-ports foreign",
        "add table inet sdd-ports { flags dormant; }",
        "add chain inet sdd-ports refuse { policy drop; }",
    ],
)
async def test_a_damaged_table_is_none_and_written_anew(
    kernel: PortsKernel, host: Space, damage: str
) -> None:
    await kernel.write((), EVERYTHING, EVERYTHING)
    host.run("nft", damage)
    assert await kernel.read() is None
    await kernel.write((), EVERYTHING, EVERYTHING)
    assert await kernel.read() == EVERYTHING


@pytest.mark.parametrize("is_restarted", [False, True])
@pytest.mark.parametrize(
    ("chain", "rule"),
    [
        ("lead", "accept"),
        ("guard", 'iifname "lo" ip daddr 127.0.0.0/8 drop'),
        ("refused", "meta l4proto tcp drop"),
        ("pool-", "meta l4proto udp dnat ip to numgen inc mod 2 map { 0 : 10.77.0.2 } : 80"),
    ],
)
async def test_a_rule_that_hands_replaced_with_its_comment_is_seen(
    doors: namespaces.Namespaces, host: Space, chain: str, rule: str, is_restarted: bool
) -> None:
    kernel = PortsKernel(doors)
    await kernel.write((), EVERYTHING, EVERYTHING)
    host.run("nft", "add", "table", "inet", "theirs")
    assert await kernel.read(EVERYTHING) == EVERYTHING
    listed = host.run("nft", "-a", "list", "table", "inet", "sdd-ports")
    name, _, rules = next(
        each.partition("{") for each in listed.split("chain ") if each.startswith(chain)
    )
    comment, handle = re.findall(r'comment "([^"]*)" # handle (\d+)', rules)[0]
    replaced = f"replace rule inet sdd-ports {name} handle {handle} {rule}"
    host.run("nft", f'{replaced} comment "{comment}"')
    if is_restarted:
        kernel.close()
        kernel = PortsKernel(doors)
    assert await kernel.read(EVERYTHING) is None
    assert await kernel.read(EVERYTHING) is None
    await kernel.write((), EVERYTHING, EVERYTHING)
    assert await kernel.read(EVERYTHING) == EVERYTHING
    kernel.close()


async def test_rules_are_compared_once_whatever_others_write(
    kernel: PortsKernel, host: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    wanted = reading.wanted

    def noted(chains: Collection[image.Element]) -> Prints:
        made.append("once more")
        return wanted(chains)

    monkeypatch.setattr(reading, "wanted", noted)
    await kernel.write((), EVERYTHING, EVERYTHING)
    for table in ("one", "two"):
        assert await kernel.read(EVERYTHING) == EVERYTHING
        host.run("nft", "add", "table", "inet", table)
    assert made == []
    one = made_of(entry(bind(1), WEB))
    await kernel.write((), one, None)
    for table in ("three", "four"):
        host.run("nft", "add", "table", "inet", table)
        assert await kernel.read(EVERYTHING | one) == EVERYTHING | one
    assert made == ["once more"]


@pytest.mark.parametrize(
    ("damage", "lost"),
    [
        ("delete element inet sdd-ports to_any4 { tcp . 8080 }", "to_any4"),
        ("flush set inet sdd-ports own_any4", "own_any4"),
        ("flush map inet sdd-ports to_any6", "to_any6"),
    ],
)
async def test_elements_that_hands_took_away_are_missed(
    kernel: PortsKernel, host: Space, damage: str, lost: str
) -> None:
    await kernel.write((), EVERYTHING, EVERYTHING)
    host.run("nft", damage)
    have = await kernel.read()
    assert have is not None
    assert {each.set for each in EVERYTHING - have} == {lost}
    await kernel.write((), EVERYTHING - have, None)
    assert await kernel.read() == EVERYTHING


async def test_a_table_that_is_gone_reads_as_nothing(kernel: PortsKernel, host: Space) -> None:
    await kernel.write((), EVERYTHING, EVERYTHING)
    host.run("nft", "flush", "ruleset")
    assert await kernel.read() == image.NONE


async def test_X17_a_thousand_ports_are_elements_and_not_rules(
    kernel: PortsKernel, host: Space
) -> None:
    one = frozenset(image.of(ports_kernel.entry(bind(), ports_kernel.WEB)))
    await kernel.write((), one, one)
    before = host.run("nft", "list", "table", "inet", "sdd-ports").count("comment")
    entries = [ports_kernel.entry(bind(each), ports_kernel.WEB) for each in range(20000, 21000)]
    more = ports_kernel.made_of(*entries)
    await kernel.write((), more, None)
    assert await kernel.read() == one | more
    assert host.run("nft", "list", "table", "inet", "sdd-ports").count("comment") == before


async def test_127_0_0_1_is_opened_on_links_of_ours_alone(kernel: PortsKernel, host: Space) -> None:
    for name, alias in (("br-ours", "sdd:1"), ("br-theirs", "theirs")):
        host.run("ip", "link", "add", name, "type", "bridge")
        host.run("ip", "link", "set", name, "alias", alias)

    def knobs() -> list[str]:
        names = ("net.ipv4.conf.br-ours", "net.ipv4.conf.br-theirs")
        return host.run("sysctl", "-n", *(f"{each}.route_localnet" for each in names)).split()

    assert await kernel.open_loopback({"br-ours", "br-theirs"}, ()) == set()
    assert knobs() == ["1", "0"]
    await kernel.open_loopback((), {"br-ours"})
    assert knobs() == ["0", "0"]


def test_C92_the_kernel_leads_no_packet_from_ipv6_to_ipv4(host: Space) -> None:
    """Why an IPv6 address of the host leads to no IPv4-only sandbox."""
    host.run("nft", "add table inet t; add chain inet t c { type nat hook prerouting priority 0; }")
    rule = "add rule inet t c meta nfproto ipv6 tcp dport 80 dnat ip to 10.0.0.2:80"
    with pytest.raises(AssertionError, match="conflicting protocols specified"):
        host.run("nft", rule)
