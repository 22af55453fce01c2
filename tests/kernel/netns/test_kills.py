"""kill -9 before every single effect of attaching and detaching: whoever comes next ends clean."""

import asyncio
import functools
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from netns import reconciler
from netns.kernel import linux
from sdd import state
from sdd.linux import namespaces
from sdd.model import network
from tests.kernel import mortal
from tests.kernel.netns.conftest import Host
from tests.kernel.netns.outside import pings
from tests.netns_states import NODE, at, box, end, net
from tests.support import eventually

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(1200)]  # a daemon for each step

BRIDGED = net("bridged", "10.71.0.0/24", "fd71::/64")
CHILD = net(
    "child",
    "10.72.0.0/24",
    driver=network.Driver.MACVLAN,
    options={"host-access": "true"},
)
Scene = Callable[[str], state.ClusterState]
BOX = "one"
CHOSEN = re.compile(r"@\S+|counter packets.*|UNKNOWN|UP\b|fe80\S+|([0-9a-f]{2}:){5}[0-9a-f]{2}")
FEWEST = 20  # effects; fewer would mean that the counting misses some


def attached(folder: str) -> state.ClusterState:
    """A sandbox on a bridge and on a macvlan network, which the host reaches too."""
    one = box(BOX, f"{folder}/{BOX}")
    ends = (
        end(BRIDGED, one, "10.71.0.5", "fd71::5"),
        end(CHILD, one, "10.72.0.5", ifname="eth1"),
    )
    return at(1, BRIDGED, CHILD, one, *ends)


def detached(_folder: str) -> state.ClusterState:
    return at(2)


def successor(host: Host) -> Host:
    """A daemon that knows nothing of the last one."""
    host.reconciler = reconciler.Reconciler(host.kernel, NODE)
    return host


def folder(host: Host) -> str:
    return str(Path(host.sandbox_path(BOX)).parent)


def dies(host: Host, scene: Scene) -> Iterator[int]:
    """Numbers of strokes at which a process dies that realises `scene`, one after the other."""
    return mortal.deaths(live, host.path, host.root, scene, fewest=FEWEST)


def live(arm: mortal.Arm, host: str, root: Path, scene: Scene) -> bool:
    """`host` is the file of the namespace that plays the host."""
    doors = namespaces.Namespaces(host)
    kernel = linux.LinuxKernel(doors, root / "exec", root / "var-run-netns")
    one = reconciler.Reconciler(kernel, NODE)
    arm()
    return not asyncio.run(one.realise(scene(str(root / "exec" / "netns")))).failures


async def bare(host: Host) -> None:
    """A new daemon that wants nothing leaves nothing."""
    await successor(host).settle(detached(""))
    assert remains(host) == ([], [])


def remains(host: Host) -> tuple[list[str], list[str]]:
    """The links of the host, and all that is still there of namespaces and memories of them."""
    links = re.findall(r"^\d+: ([^:@]+)", host.run("ip", "-o", "link"), re.MULTILINE)
    places = ("exec/netns", "exec/guests", "var-run-netns")
    files = [str(each) for place in places for each in (host.root / place).glob("*")]
    return [name for name in links if name != "lo"], files


def seen(host: Host) -> str:
    """What the tools show of host and sandbox, without what the kernel chooses or counts."""
    shown = [
        host.run("ip", "-br", "link"),
        host.run("ip", "-br", "-4", "address"),
        host.run("ip", "route"),
        host.run("nft", "list", "table", "inet", "sdd"),
        host.inside(BOX, "ip", "-br", "link"),
        host.inside(BOX, "ip", "-br", "address"),
        host.inside(BOX, "ip", "route"),
        host.inside(BOX, "ip", "-6", "route", "show", "default"),
    ]
    lines = CHOSEN.sub("", "\n".join(shown)).splitlines()
    return "\n".join(sorted(" ".join(line.split()) for line in lines))


async def test_killed_while_attaching_the_next_daemon_completes(host: Host) -> None:
    scene = attached(folder(host))
    await host.settle(scene)
    eventually(lambda: " DOWN " not in seen(host), 30, "all links have a carrier")
    whole = seen(host)
    await bare(host)
    for strokes in dies(host, attached):
        await successor(host).settle(scene)
        # A carrier is told to a link's neighbours a moment later (net/core/link_watch.c).
        eventually(lambda: seen(host) == whole, 30, f"as after no kill, {strokes}")
        assert all(pings(host.path, address) for address in ("10.71.0.5", "10.72.0.5")), strokes
        await bare(host)


@pytest.mark.parametrize("scene", [attached, detached])
async def test_killed_at_any_step_the_next_daemon_that_wants_nothing_leaves_nothing(
    host: Host, scene: Scene
) -> None:
    before = functools.partial(host.settle, attached(folder(host)))
    if scene is detached:
        await before()
    for _ in dies(host, scene):
        await bare(host)
        if scene is detached:
            await before()
