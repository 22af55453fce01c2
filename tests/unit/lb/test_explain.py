"""How a choice is told: members, who serves, what the kernel holds, shares."""

import errno
import os
from dataclasses import replace
from ipaddress import ip_address as address

import pytest

from lb import explain, world
from lb.kernel import ipvs_connections
from sdd.model import network, service
from sdd.model.health import Status
from sdd.model.network import IPAddress
from sdd.state import ClusterState, Object
from tests.unit.lb import states

VIP = address("10.0.1.100")
TOWN: tuple[Object, ...] = (
    states.net("front", 1),
    *(states.box(name) for name in ("client", "web1", "web2")),
    states.plug("client", "front", "10.0.1.9/24"),
    states.plug("web1", "front", "10.0.1.1/24"),
    states.plug("web2", "front", "10.0.1.2/24"),
)
MEMBERS = tuple(states.member("web", name, "front") for name in ("web1", "web2"))
CHECKED = states.svc("web", "front", str(VIP), check=states.CHECKED)
PLAIN = states.svc("web", "front", str(VIP))


def told(
    now: ClusterState, *held: tuple[str, int], backend: str = "nftables", at: float = 0.0
) -> dict[str, str]:
    box = next(each for each in now.sandboxes.values() if each.name == "client")
    (target,) = explain.targets(now, box)
    loads = [
        world.Load(vip=VIP, protocol="tcp", scheduler="mh", address=address(one), weight=weight)
        for one, weight in held
    ]
    return dict(explain.decided(now, target, loads, backend, at))


def test_everything_is_told_in_the_order_of_deciding() -> None:
    now = states.state(*TOWN, PLAIN, *MEMBERS)
    steps = told(now, ("10.0.1.1", 1), ("10.0.1.2", 1))
    assert list(steps) == [
        "network front", "member web1", "member web2", "serving", "kernel", "choice",
    ]  # fmt: skip
    assert "10.0.1.9" in steps["network front"]
    assert steps["member web1"] == "10.0.1.1, up, weight 1"
    assert "as it should be" in steps["kernel"]
    assert "hashes the client's address and port: 10.0.1.1 50 %, 10.0.1.2 50 %" in steps["choice"]


def test_what_is_down_says_why_and_is_not_chosen() -> None:
    down = states.verdict("web", "web2", "front", Status.DOWN)
    up = states.verdict("web", "web1", "front", Status.UP)
    now = states.state(*TOWN, CHECKED, *MEMBERS, up, replace(down, reason="no route"))
    steps = told(now, ("10.0.1.1", 1))
    assert steps["member web2"] == "10.0.1.2, down, no route, weight 1"
    assert steps["choice"] == "10.0.1.1 is the only one"


def test_a_member_that_starts_slowly_is_told_with_its_share() -> None:
    slow = replace(PLAIN, slow_start_s=10.0)
    new = replace(MEMBERS[1], created=100.0)
    now = states.state(*TOWN, slow, MEMBERS[0], new)
    steps = told(now, ("10.0.1.1", 10), ("10.0.1.2", 3), at=103.0)
    assert steps["member web1"] == "10.0.1.1, up, weight 1"
    assert steps["member web2"] == "10.0.1.2, up, weight 1, of which it gets 30 % for now"
    assert "as it should be" in steps["kernel"]


def test_a_kernel_that_lags_is_told() -> None:
    now = states.state(*TOWN, PLAIN, *MEMBERS)
    assert "not as it should be yet" in told(now, ("10.0.1.1", 1))["kernel"]
    assert "does not know the address" in told(now)["kernel"]


def test_nobody_to_choose_is_told() -> None:
    steps = told(states.state(*TOWN, PLAIN))
    assert "sdctl service join" in steps["member"]
    assert "refused" in steps["choice"]


@pytest.mark.parametrize(
    ("scheduler", "words"),
    [
        (service.Scheduler.RR, "gives turns: 10.0.1.1 50 %, 10.0.1.2 50 %"),
        (service.Scheduler.WRR, "gives turns: 10.0.1.1 75 %, 10.0.1.2 25 %"),
        (service.Scheduler.SH, "hashes the client's address:"),
        (service.Scheduler.FO, "takes 10.0.1.1 while it is there"),
    ],
)
def test_each_scheduler_says_how_it_chooses(scheduler: service.Scheduler, words: str) -> None:
    heavy = replace(MEMBERS[0], weight=3)
    now = states.state(*TOWN, replace(PLAIN, scheduler=scheduler), heavy, MEMBERS[1])
    assert words in told(now)["choice"]
    assert "IPVS" in told(now, backend="ipvs")["choice"]


@pytest.mark.parametrize(
    ("vip", "port", "backend"),
    [
        ("10.0.1.100", 40000, "10.0.1.3"),
        ("fd00::64", 40001, "fd00::3"),
        ("10.0.1.100", 40001, None),
        ("10.0.1.101", 40000, None),
    ],
)
def test_ipvs_connections_are_read(vip: str, port: int, backend: str | None) -> None:
    found = ipvs_connections.backend_of(CONNECTIONS.splitlines(), address(vip), port)
    assert found == (address(backend) if backend else None)
    mine = address("10.0.1.9") if "." in vip else address("fd00::9")
    theirs = address("10.0.1.8") if "." in vip else address("fd00::8")
    lines = CONNECTIONS.splitlines()
    assert ipvs_connections.backend_of(lines, address(vip), port, client=mine) == found
    assert ipvs_connections.backend_of(lines, address(vip), port, client=theirs) is None


def test_half_closed_connections_of_ipvs_are_told_apart() -> None:
    lines = CONNECTIONS.splitlines()
    assert not ipvs_connections.half_closed(lines)
    for state, is_half in (("FIN_WAIT", True), ("CLOSE_WAIT", True), ("TIME_WAIT", False)):
        found = ipvs_connections.half_closed(each.replace("ESTABLISHED", state) for each in lines)
        both = {
            (address("10.0.1.100"), address("10.0.1.3")),
            (address("fd00::64"), address("fd00::3")),
        }
        assert found == (both if is_half else set())


CONNECTIONS = """\
Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData
UDP 0A000109 9C40 0A000164 0035 0A000101 0035 UDP              29
TCP 0A000109 9C40 0A000164 0050 0A000103 0050 ESTABLISHED     899
TCP fd00:0000:0000:0000:0000:0000:0000:0009 9C41 fd00:0000:0000:0000:0000:0000:0000:0064 0050 \
fd00:0000:0000:0000:0000:0000:0000:0003 0050 ESTABLISHED     899
"""


def test_where_a_connection_was_led_is_told_with_a_name() -> None:
    now = states.state(*TOWN, PLAIN, *MEMBERS)
    box = next(each for each in now.sandboxes.values() if each.name == "client")
    (target,) = explain.targets(now, box)

    def led(to: IPAddress | None, said: str = "connected") -> str:
        return explain.led(now, target, to, 0.0, said)

    assert led(address("10.0.1.2")) == "led to web2 (10.0.1.2)"
    assert led(VIP) == "led to nobody"
    refusal = os.strerror(errno.ECONNREFUSED).lower()
    assert led(None, refusal) == explain.FORGOTTEN
    assert "refuses" not in led(None, "no answer")
    assert "no sandbox" in led(address("192.0.2.1"))
    assert "sees 10.0.1.9" in explain.way(now, target, address("10.0.1.2")).text
    assert "itself" in explain.way(now, target, address("10.0.1.9")).text


@pytest.mark.parametrize(
    ("driver", "options", "told"),
    [
        (
            network.Driver.BRIDGE,
            {"com.docker.network.bridge.enable_icc": "false"},
            "enable_icc=false",
        ),
        (network.Driver.MACVLAN, {"macvlan_mode": "private"}, "macvlan_mode=private"),
        (network.Driver.IPVLAN, {"ipvlan_flag": "private"}, "ipvlan_flag=private"),
    ],
)
def test_a_network_that_keeps_its_sandboxes_apart_is_told(
    driver: network.Driver, options: dict[str, str], told: str
) -> None:
    lonely = replace(states.net("front", 1), driver=driver, options=options)
    now = states.state(lonely, *TOWN[1:], PLAIN, *MEMBERS)
    (target,) = explain.targets(now, next(b for b in now.sandboxes.values() if b.name == "client"))
    words = f", where {told} keeps sandboxes from reaching each other"
    (first, *_) = explain.decided(now, target, (), "nftables", 0.0)
    assert first.text.endswith(words)
    way = explain.way(now, target, address("10.0.1.2")).text
    assert way.endswith(words)
    assert "answers it directly" not in way
    assert "itself" in explain.way(now, target, address("10.0.1.9")).text
