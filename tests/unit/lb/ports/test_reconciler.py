"""When ports are held, led, mended and given back."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from lb.ports import desired, image
from lb.ports.fake import FakeKernel
from lb.ports.reconciler import Reconciler
from lb.ports.table import Bind, Entry
from lb.ports.way import Way
from sdd import errors
from sdd.model import ids
from sdd.model.health import Status
from sdd.model.look import EVERYWHERE, HOST, NOWHERE, Look
from sdd.model.network import IPAddress
from sdd.model.port import Mode, Policy, Port, Protocol
from sdd.model.progress import Failure, Outcome
from sdd.state import ClusterState, Object
from tests.unit.lb import states
from tests.unit.lb.ports import towns
from tests.unit.lb.ports.towns import box, port

PLUG = states.plug("web", "front", "10.1.0.2/24", "fd01::2/64")
LOCALHOST = "127.0.0.1"
BRIDGE = towns.FRONT.device


class Host:
    """A reconciler with a kernel in memory."""

    def __init__(self) -> None:
        self.kernel = FakeKernel()
        self.kernel.links.add(BRIDGE)
        self.one = Reconciler(self.kernel, states.NODE, ready_s=0.02)
        self.revision = 0

    async def to(self, *values: Object, look: Look = NOWHERE) -> Outcome:
        self.revision += 1
        self.now = states.state(*towns.GROUND, *values, revision=self.revision)
        return await self.one.realise(self.now, look)

    async def again(self, look: Look = EVERYWHERE) -> Outcome:
        return await self.one.realise(self.now, look)

    def wanted(self) -> image.Image:
        return wanted(self.now)


def wanted(state: ClusterState) -> image.Image:
    want = desired.desired(state, desired.nothing(states.NODE))
    return frozenset(
        element for part in want.parts.values() for each in part for element in image.of(each)
    )


async def test_ports_are_held_and_lead() -> None:
    host = Host()
    outcome = await host.to(box("web", port()), PLUG)
    assert (outcome.failures, outcome.repaired) == ((), 0)
    assert {str(each) for each in host.kernel.held} == {"8080/tcp"}
    assert host.kernel.image == host.wanted() != image.NONE
    assert host.kernel.loose == {BRIDGE}


async def test_an_address_that_the_host_has_not_is_no_other_program() -> None:
    host = Host()
    host.kernel.absent.add(ip_address("10.49.0.77"))
    (failure,) = (await host.to(box("web", port(host="10.49.0.77")), PLUG)).failures
    assert failure.told == (
        "failed to bind host port 10.49.0.77:8080/tcp: this host has no such address"
    )
    assert "ip -br address" in failure.hint
    assert "sport" not in failure.hint


async def test_another_pid_in_the_way_is_the_same_failure() -> None:
    host = Host()
    host.kernel.taken.add((Protocol.TCP, 8080))
    told: list[Failure] = []
    for host.kernel.holder in ("nginx (pid 7) has it", "nginx (pid 8) has it"):
        outcome = await host.to(box("web", port()), PLUG, look=EVERYWHERE)
        told.append(outcome.failures[0])
    assert [each.told for each in told] == [
        "failed to bind host port 8080/tcp: nginx (pid 7) has it",
        "failed to bind host port 8080/tcp: nginx (pid 8) has it",
    ]
    assert told[0] == told[1]
    assert len(set(told)) == 1


async def test_a_port_of_every_address_becomes_one_of_one_address_and_back() -> None:
    host = Host()
    for at, held in (("", "8080/tcp"), (LOCALHOST, f"{LOCALHOST}:8080/tcp"), ("", "8080/tcp")):
        outcome = await host.to(box("web", port(host=at)), PLUG)
        assert outcome.failures == ()
        assert {str(each) for each in host.kernel.held} == {held}
        assert host.kernel.image == host.wanted()


async def test_what_nobody_publishes_any_more_is_free_and_leads_nowhere() -> None:
    host = Host()
    await host.to(box("web", port()), PLUG)
    await host.to(box("web"), PLUG)
    assert (host.kernel.held, host.kernel.image, host.kernel.loose) == (set(), image.NONE, set())


async def test_Q6_one_more_port_touches_what_it_needs_and_no_more() -> None:
    host = Host()
    many = tuple(port(number) for number in range(20000, 21000))
    await host.to(box("web", *many), PLUG)
    host.kernel.writes.clear()
    await host.to(box("web", *many, port(81)), PLUG)
    assert host.kernel.writes == [4]  # own and to, of both IP versions


async def test_a_state_that_changes_nothing_here_does_nothing() -> None:
    host = Host()
    await host.to(box("web", port()), PLUG)
    host.kernel.writes.clear()
    await host.to(box("web", port()), PLUG, box("idle"))
    assert host.kernel.writes == []


async def test_C89_a_port_of_another_program_is_a_failure_and_the_others_work() -> None:
    host = Host()
    host.kernel.taken.add((Protocol.TCP, 8080))
    outcome = await host.to(box("web", port(), port(81)), PLUG)
    assert {each.code for each in outcome.failures} == {"SDD-PUBLISH-TAKEN"}
    assert {each.subject for each in outcome.failures} == {"web"}
    assert "8080/tcp" in outcome.failures[0].sentence
    assert host.kernel.image is not None
    assert not any("8080" in each.key for each in host.kernel.image)
    assert any(each.key == "tcp . 81" for each in host.kernel.image)
    moved = await host.to(box("web", port(8080, 82), port(81)), PLUG)
    assert outcome.failures != moved.failures, "who leads it elsewhere hears that it fails"
    host.kernel.taken.clear()
    assert (await host.again()).failures == ()
    assert host.kernel.image == host.wanted()


async def test_a_refused_port_that_is_given_up_is_no_failure_any_more() -> None:
    host = Host()
    host.kernel.taken.add((Protocol.TCP, 8080))
    await host.to(box("web", port()), PLUG)
    assert (await host.to(box("web"), PLUG)).failures == ()


async def test_what_hands_took_away_comes_back_at_a_look_at_the_host() -> None:
    host = Host()
    await host.to(box("web", port(), port(81)), PLUG)
    whole = host.kernel.image
    assert whole is not None
    for left in (image.NONE, None, whole - {next(iter(whole))}):
        host.kernel.image = left
        assert (await host.again(Look(spaces=frozenset({HOST})))).repaired >= 1
        assert host.kernel.image == whole
    assert (await host.again()).repaired == 0


async def test_a_look_elsewhere_reads_nothing() -> None:
    host = Host()
    await host.to(box("web", port()), PLUG)
    host.kernel.image = image.NONE
    await host.again(Look(spaces=frozenset({"/ns/other"}), links=frozenset({"veth1"})))
    assert host.kernel.image == image.NONE
    await host.again(Look(links=frozenset({BRIDGE})))
    assert host.kernel.image == host.wanted()


async def test_a_new_daemon_adopts_what_is_there_and_calls_it_no_repair() -> None:
    host = Host()
    await host.to(box("web", port()), PLUG)
    host.one, host.kernel.held = Reconciler(host.kernel, states.NODE, ready_s=0.02), set()
    host.kernel.writes.clear()
    outcome = await host.again(NOWHERE)
    assert (outcome.changed, outcome.repaired, host.kernel.writes) == (0, 0, [])
    assert {str(each) for each in host.kernel.held} == {"8080/tcp"}


async def test_P9_flows_of_udp_ports_are_forgotten_by_the_hosts_port() -> None:
    host = Host()
    udp = port(5300, 53, protocol=Protocol.UDP)
    await host.to(box("web", udp), PLUG)
    host.kernel.forgotten.clear()
    await host.to(box("web"), PLUG)
    assert {(each.bind.number, each.backends) for each in host.kernel.forgotten} == {(5300, ())}


async def test_a_bridge_that_never_comes_is_tried_again() -> None:
    host = Host()
    host.kernel.links.clear()
    await host.to(box("web", port()), PLUG)
    assert host.kernel.loose == set()
    host.kernel.links.add(BRIDGE)
    await host.again()
    assert host.kernel.loose == {BRIDGE}


async def test_a_target_that_changes_is_one_change() -> None:
    host = Host()
    await host.to(box("web", port()), PLUG)
    await host.to(replace(box("web"), ports=(port(target=81),)), PLUG)
    assert host.kernel.image == host.wanted()


API = states.plug("api", "front", "10.1.0.3/24")
TOWN = (box("web"), PLUG, box("api"), API)
HOSTS = (ip_address("10.1.0.2"), ip_address("fd01::2"))


def members(*of: str, name: str = "shop", drains_until: float = 0.0) -> tuple[Object, ...]:
    found = (states.member(name, each, "front") for each in of)
    return tuple(replace(each, drains_until=drains_until) for each in found)


def way(number: int = 8080, at: int = 0, **options: object) -> Way:
    bind = Bind(version=HOSTS[at].version, protocol=Protocol.TCP, number=number, **options)  # type: ignore[arg-type]  # options of one case each
    return Way(bind, HOSTS[at], 80)


@pytest.mark.parametrize(
    "kind", [{}, {"mode": Mode.INGRESS, "policy": Policy.LOCAL}], ids=["host", "local"]
)
async def test_who_leaves_a_service_is_no_longer_connected_by_its_ports_and_by_these_alone(
    kind: dict[str, Any],
) -> None:
    host = Host()
    shop, other = towns.svc("shop", port(**kind)), towns.svc("other", port(9090))
    both = members("web", "api"), members("web", name="other")
    await host.to(*TOWN, shop, other, *both[0], *both[1])
    host.kernel.connected = {way(), way(at=1), way(9090)}
    await host.to(*TOWN, shop, other, *members("api"), *both[1])
    assert host.kernel.connected == {way(9090)}


@pytest.mark.parametrize(
    "ports",
    [(), (port(8080, 81),), (port(mode=Mode.INGRESS),)],
    ids=["removed", "led elsewhere", "of another mode"],
)
async def test_a_port_that_changes_ends_no_connection_of_who_stays(ports: tuple[Port, ...]) -> None:
    host = Host()
    await host.to(*TOWN, towns.svc("shop", port()), *members("web", "api"))
    host.kernel.connected = {way()}
    await host.to(*TOWN, towns.svc("shop", *ports), *members("web", "api"))
    assert host.kernel.connected == {way()}


async def test_who_is_connected_through_ingress_stays_for_the_drain_and_is_then_reset() -> None:
    host = Host()
    vip = ip_address("10.255.0.9")
    through = Way(way().bind, vip, 80)
    led = towns.svc("shop", port(mode=Mode.INGRESS), ingress_vips=(vip,))
    await host.to(*TOWN, led, *members("web"))
    host.kernel.connected = {through}
    await host.to(*TOWN, replace(led, ports=(), ingress_leaves_at=5.0), *members("web"))
    assert host.kernel.connected == {through}
    await host.to(*TOWN, towns.svc("shop"), *members("web"))
    assert not host.kernel.connected


async def test_one_who_leaves_while_it_is_down_is_not_connected_either() -> None:
    host = Host()
    shop = towns.svc("shop", port(), health=states.CHECKED)
    verdicts = (
        states.verdict("shop", "web", "front", Status.DOWN),
        states.verdict("shop", "api", "front", Status.UP),
    )
    await host.to(*TOWN, shop, *members("web", "api"), *verdicts)
    host.kernel.connected = {way()}
    await host.to(*TOWN, shop, *members("api"), verdicts[1])
    assert host.kernel.connected == set()


async def test_who_leaves_is_busy_while_connected_or_while_the_rules_may_still_lead_there() -> None:
    host = Host()
    shop, key = towns.svc("shop", port()), (ids.ServiceId("shop"), ids.EndpointId("web-front"))
    await host.to(*TOWN, shop, *members("web"))
    assert await host.one.busy({key: {way()}}) == {key}, "it is given new ones"
    await host.to(*TOWN, shop, *members("web", drains_until=9.0))
    assert await host.one.busy({key: {way()}}) == set()
    host.kernel.connected = {way()}
    assert await host.one.busy({key: {way()}}) == {key}
    assert await host.one.busy({key: {way(9090)}}) == set()
    assert await host.one.busy({key: ()}) == set()


class Failing(FakeKernel):
    """Each verb fails as often as it stands in `faults`."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error
        self.faults: list[str] = []

    def fail(self, verb: str) -> None:
        if verb in self.faults:
            self.faults.remove(verb)
            raise self.error

    async def hold(self, binds: Collection[Bind]) -> Mapping[Bind, str]:
        self.fail("hold")
        return await super().hold(binds)

    async def release(self, binds: Collection[Bind]) -> None:
        self.fail("release")
        await super().release(binds)

    async def write(
        self,
        gone: Collection[image.Element],
        come: Collection[image.Element],
        after: Collection[image.Element] | None,
    ) -> None:
        self.fail("write")
        await super().write(gone, come, after)

    async def open_loopback(self, on: Collection[str], off: Collection[str]) -> Collection[str]:
        self.fail("open_loopback")
        return await super().open_loopback(on, off)

    async def forget(
        self,
        now: Collection[Entry],
        lost: Collection[IPAddress] = (),
        ended: Collection[Way] = (),
    ) -> None:
        self.fail("forget")
        await super().forget(now, lost, ended)


@pytest.mark.parametrize("error", [errors.KernelRefused("no room"), OSError("no room")])
@pytest.mark.parametrize("verb", ["hold", "release", "write", "open_loopback", "forget"])
async def test_whatever_fails_once_in_a_pass_is_done_by_the_next(
    verb: str, error: Exception
) -> None:
    host = Host()
    host.kernel = kernel = Failing(error)
    kernel.links.add(BRIDGE)
    host.one = Reconciler(kernel, states.NODE, ready_s=0.02)
    if verb != "open_loopback":  # that is done at the first port
        await host.to(box("web", port(8080), port(53, protocol=Protocol.UDP)), PLUG)
    kernel.faults.append(verb)
    changed = (box("web", port(9090), port(54, protocol=Protocol.UDP)), PLUG)
    if isinstance(error, errors.SddError):
        (failure,) = (await host.to(*changed)).failures
        assert "no room" in failure.sentence
    else:
        with pytest.raises(OSError, match="no room"):
            await host.to(*changed)
    assert not kernel.faults
    assert (await host.again(NOWHERE)).failures == ()
    assert {str(each) for each in kernel.held} == {"9090/tcp", "54/udp"}
    assert kernel.image == host.wanted()
    assert 54 in {each.bind.number for each in kernel.forgotten}
    assert kernel.loose == {BRIDGE}
