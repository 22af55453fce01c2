"""Bridge options as their user sees them: gateway modes, talk among sandboxes, who gets in."""

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_network

import pytest

from sdd import state
from sdd.model import ids, network
from sdd.model.port import Port
from tests.kernel.netns import outside
from tests.kernel.netns.conftest import Host, run_in
from tests.kernel.netns.outside import fetch, listening, pings
from tests.netns_states import at, box, end, net
from tests.support import eventually

pytestmark = pytest.mark.kernel

SUBNETS = ("10.70.0.0/24", "fd70::/64")
ONE = ("10.70.0.2", "fd70::2")
PLAIN = net("plain", "10.71.0.0/24", "fd71::/64")


def with_mode(mode: str, *, internal: bool = False) -> network.Network:
    return net(
        "moded",
        *SUBNETS,
        internal=internal,
        options={"bridge.gateway_mode_ipv4": mode, "bridge.gateway_mode_ipv6": mode},
    )


def state_of(host: Host, moded: network.Network) -> state.ClusterState:
    """One and two on `moded`, other on a plain network."""
    one, two, other = (box(name, host.sandbox_path(name)) for name in ("one", "two", "other"))
    return at(
        1,
        moded,
        PLAIN,
        one,
        two,
        other,
        end(moded, one, *ONE),
        end(moded, two, "10.70.0.3", "fd70::3"),
        end(PLAIN, other, "10.71.0.2", "fd71::2"),
    )


@pytest.fixture
def far(host: Host) -> Iterator[str]:
    """A neighbour that has a route to the sandboxes."""
    with outside.neighbour(host) as path:
        outside.route(path, *SUBNETS)
        yield path


@pytest.mark.parametrize(
    ("mode", "ping", "port"),
    [("nat", False, False), ("nat-unprotected", True, True), ("routed", True, False)],
)
async def test_C85_C94_what_gets_in_without_being_published(
    host: Host, far: str, mode: str, ping: bool, port: bool
) -> None:
    await host.settle(state_of(host, with_mode(mode)))
    with listening(host.sandbox_path("one")):
        for where in (far, host.sandbox_path("other")):
            for address in ONE:
                assert pings(where, address, outside.limit_s(ping)) is ping, (where, address)
                assert bool(fetch(where, address, within_s=outside.limit_s(port))) is port, (
                    where,
                    address,
                )
        for address in ONE:
            assert fetch(host.sandbox_path("two"), address)
            assert fetch(host.path, address)


async def test_C85_C94_a_published_port_is_open_at_its_own_address_where_it_is_routed(
    host: Host, far: str
) -> None:
    now = state_of(host, with_mode("routed"))
    one = next(each for each in now.sandboxes.values() if each.name == "one")
    opened = replace(one, ports=(Port(published=0, target=80),))
    await host.settle(
        at(2, *now.networks.values(), *now.sandboxes.values(), *now.endpoints.values())
    )
    with listening(one.netns), listening(one.netns, 81):
        await host.settle(now.apply(ids.Revision(3), [state.Put(opened)]))
        for where in (far, host.sandbox_path("other")):
            for address in ONE:
                assert fetch(where, address), (where, address)
                assert not fetch(where, address, 81, within_s=outside.SILENCE_S), (where, address)
        assert fetch(far, ONE[0]) == outside.THERE4
        await host.settle(now.apply(ids.Revision(4), ()))
        assert not fetch(far, ONE[0], within_s=outside.SILENCE_S)


@pytest.mark.parametrize(
    ("mode", "seen"),
    [
        ("nat", (outside.HOST4, outside.HOST6)),
        ("nat-unprotected", (outside.HOST4, outside.HOST6)),
        ("routed", ONE),
    ],
)
async def test_under_which_address_a_sandbox_goes_out(
    host: Host, far: str, mode: str, seen: tuple[str, str]
) -> None:
    await host.settle(state_of(host, with_mode(mode)))
    with listening(far):
        got = [fetch(host.sandbox_path("one"), to) for to in (outside.THERE4, outside.THERE6)]
    assert got == list(seen)


async def test_masquerading_can_be_switched_off(host: Host, far: str) -> None:
    plain = net("moded", *SUBNETS, options={"bridge.enable_ip_masquerade": "false"})
    await host.settle(state_of(host, plain))
    with listening(far):
        assert fetch(host.sandbox_path("one"), outside.THERE4) == "10.70.0.2"


async def test_the_source_of_what_leaves_can_be_chosen(host: Host, far: str) -> None:
    host.run("ip", "addr", "add", "192.0.2.77/32", "dev", "lo")
    run_in(far, "ip", "route", "add", "192.0.2.77", "via", outside.HOST4)
    chosen = net("moded", *SUBNETS, options={"host_ipv4": "192.0.2.77"})
    await host.settle(state_of(host, chosen))
    with listening(far):
        assert fetch(host.sandbox_path("one"), outside.THERE4) == "192.0.2.77"


async def test_packets_from_a_trusted_link_get_in(host: Host, far: str) -> None:
    trusting = net("moded", *SUBNETS, options={"bridge.trusted_host_interfaces": "up9:up0"})
    await host.settle(state_of(host, trusting))
    with listening(host.sandbox_path("one")):
        assert [bool(fetch(far, address)) for address in ONE] == [True, True]
        assert not fetch(host.sandbox_path("other"), ONE[0], within_s=outside.SILENCE_S)


async def test_an_isolated_network_is_its_own_world(host: Host, far: str) -> None:
    await host.settle(state_of(host, with_mode("isolated", internal=True)))
    assert host.run("ip", "-br", "addr", "show", with_mode("isolated").device).split()[2:] == []
    assert pings(host.sandbox_path("one"), "10.70.0.3")
    for where in (far, host.path, host.sandbox_path("other")):
        assert not pings(where, ONE[0], outside.SILENCE_S)


async def test_C77_two_sandboxes_share_a_31(host: Host) -> None:
    pool = network.Pool(subnet=ip_network("192.168.135.0/31"))
    tiny = network.Network(
        id=PLAIN.id,
        name="tiny",
        pools=(pool,),
        internal=True,
        options={"com.docker.network.bridge.inhibit_ipv4": "true"},
    )
    one, two = (box(name, host.sandbox_path(name)) for name in ("one", "two"))
    ends = end(tiny, one, "192.168.135.0"), end(tiny, two, "192.168.135.1")
    await host.settle(at(1, tiny, one, two, *ends))
    assert pings(one.netns, "192.168.135.1")
    assert pings(two.netns, "192.168.135.0")


@pytest.mark.parametrize("icc", [True, False])
async def test_C82_sandboxes_of_one_network_talk_unless_told_not_to(host: Host, icc: bool) -> None:
    social = net("moded", *SUBNETS, options={"bridge.enable_icc": str(icc).lower()})
    now = state_of(host, social)
    await host.settle(now)
    one, two = host.sandbox_path("one"), host.sandbox_path("two")

    def local() -> str:
        """The kernel gives it when the link carries, and then makes sure that it is nobody's."""
        inside = run_in(one, "ip", "-6", "-br", "addr", "show", "eth0", "-tentative").split()
        return next((word.split("/")[0] for word in inside if word.startswith("fe80")), "")

    eventually(local, 30, "it has an address on the link")
    for address in (*ONE, f"{local()}%eth0"):
        assert pings(two, address, outside.limit_s(icc)) is icc, address
    for gateway in ("10.70.0.1", "fd70::1"):
        assert pings(two, gateway)
    # Not by the way of the bridge either.
    run_in(two, "ip", "route", "add", "10.70.0.2/32", "via", "10.70.0.1")
    assert pings(two, ONE[0], outside.limit_s(icc)) is icc


async def test_a_port_that_was_let_loose_is_isolated_again(host: Host) -> None:
    alone = net("moded", *SUBNETS, options={"bridge.enable_icc": "false"})
    now = state_of(host, alone)
    await host.settle(now)
    port = next(each.host_link for each in now.endpoints.values() if each.network == alone.id)
    host.run("bridge", "link", "set", "dev", port, "isolated", "off")
    outcome = await host.settle(now)
    assert outcome.repaired == 1


@pytest.mark.parametrize("was_on", [False, True])
async def test_C103_a_host_that_forwards_for_us_alone_is_nobody_elses_router(
    host: Host, far: str, was_on: bool
) -> None:
    host.run("sysctl", "-qw", f"net.ipv4.ip_forward={int(was_on)}")
    with outside.neighbour(host, "up1") as second:
        run_in(second, "ip", "addr", "flush", "dev", "eth0")
        run_in(second, "ip", "addr", "add", "198.51.100.9/24", "dev", "eth0")
        run_in(second, "ip", "route", "add", "default", "via", "198.51.100.1")
        host.run("ip", "addr", "flush", "dev", "up1")
        host.run("ip", "addr", "add", "198.51.100.1/24", "dev", "up1")
        run_in(far, "ip", "route", "add", "198.51.100.0/24", "via", outside.HOST4)
        await host.settle(at(1, PLAIN))
        assert host.run("cat", "/proc/sys/net/ipv4/ip_forward").strip() == "1"
        assert pings(far, "198.51.100.9", outside.limit_s(was_on)) is was_on
        await host.settle(at(2))
    assert host.run("cat", "/proc/sys/net/ipv4/ip_forward").strip() == str(int(was_on))


async def test_a_route_learned_from_a_router_outlives_our_forwarding(host: Host, far: str) -> None:
    assert far
    advertised = "ip -6 route add default via fe80::1 dev up0 proto ra metric 512"
    host.run("sysctl", "-qw", "net.ipv6.conf.up0.accept_ra=1")
    host.run(*advertised.split())
    await host.settle(at(1, PLAIN))
    assert host.run("cat", "/proc/sys/net/ipv6/conf/up0/accept_ra").strip() == "2"
    assert host.run("cat", "/proc/sys/net/ipv6/conf/lo/accept_ra").strip() == "1"
