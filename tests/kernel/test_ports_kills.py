"""kill -9 before every single effect of publishing and withdrawing: the next daemon ends clean."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from lb.kernel.ports.linux import PortsKernel
from lb.ports import reconciler
from sdd import state
from sdd.linux import namespaces
from sdd.model.look import EVERYWHERE
from sdd.model.port import Protocol
from sdd.state import ClusterState
from tests.kernel import mortal
from tests.kernel.spaces import Space, Spaces
from tests.unit.lb import states
from tests.unit.lb.ports import towns
from tests.unit.lb.ports.towns import box, port

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(1200)]  # a daemon for each step

Scene = Callable[[], ClusterState]
PLUG = states.plug("web", "front", "10.1.0.2/24", "fd01::2/64")
BRIDGE = towns.FRONT.device
COUNTS = r"table inet sdd-counts \{.*?\n\}\n"
FEWEST = 12  # effects; fewer would mean that the counting misses some


def published() -> ClusterState:
    """TCP, UDP and one of an address: sockets, rules, and 127.0.0.1 opened on the bridge."""
    ports = (port(), replace(port(), protocol=Protocol.UDP, published=5300))
    return _of(box("web", *ports, replace(port(host="127.0.0.1"), published=9000)), PLUG)


def moved() -> ClusterState:
    """One of the ports is another one now, and the sandbox has another address."""
    plug = states.plug("web", "front", "10.1.0.3/24", "fd01::3/64")
    return _of(box("web", replace(port(), published=8081)), plug)


def withdrawn() -> ClusterState:
    return _of(box("web"), PLUG)


def _of(*values: state.Object) -> ClusterState:
    return states.state(*towns.GROUND, *values, revision=1)


def live(arm: mortal.Arm, host: str, before: Scene, scene: Scene) -> bool:
    """A daemon that has realised `before`, whose deaths begin with `scene`."""
    kernel = PortsKernel(namespaces.Namespaces(host))
    one = reconciler.Reconciler(kernel, states.NODE)

    async def lived() -> bool:
        first = await one.realise(before(), EVERYWHERE)
        arm()
        then = await one.realise(scene(), EVERYWHERE)
        return not (first.failures or then.failures)

    return asyncio.run(lived())


class Host:
    """A pretended host with the bridge, and one daemon after the other."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.doors = namespaces.Namespaces(space.path)

    async def successor(self, scene: Scene) -> None:
        """A daemon that knows nothing of the last one brings `scene` about, and sees that it is."""
        kernel = PortsKernel(self.doors)
        one = reconciler.Reconciler(kernel, states.NODE)
        try:
            assert (await one.realise(scene(), EVERYWHERE)).failures == ()
            again = await one.realise(scene(), EVERYWHERE)
            assert (again.failures, again.changed) == ((), 0)
            self.held = self.sockets()
        finally:
            kernel.close()

    def sockets(self) -> str:
        """Who holds which port, as `ss` shows it."""
        lines = self.space.run("ss", "-Hlnptu").splitlines()
        return "\n".join(sorted(" ".join(line.split()[:5]) for line in lines))

    def seen(self) -> str:
        """What the tools show of rules and of the switch of 127.0.0.1.

        Not of what is counted: that table is a process's own, the kernel removes it with its socket.
        """
        switch = f"/proc/sys/net/ipv4/conf/{BRIDGE}/route_localnet"
        rules = re.sub(COUNTS, "", self.space.run("nft", "list", "ruleset"), flags=re.DOTALL)
        return rules + self.space.run("cat", switch)


@pytest.fixture
async def host(spaces: Spaces) -> AsyncIterator[Host]:
    one = Host(spaces.make("ports"))
    one.space.run("ip", "link", "set", "lo", "up")
    one.space.run("ip", "link", "add", BRIDGE, "type", "bridge")
    one.space.run("ip", "link", "set", BRIDGE, "up", "alias", f"sdd:{towns.FRONT.id}")
    yield one
    one.doors.close()


async def shown(host: Host, scene: Scene) -> tuple[str, str]:
    """What is seen where no daemon was ever killed."""
    await host.successor(scene)
    return host.seen(), host.held


@pytest.mark.parametrize(
    ("before", "scene"),
    [(withdrawn, published), (published, moved), (published, withdrawn)],
    ids=["publishing", "moving", "withdrawing"],
)
async def test_killed_at_any_step_the_next_daemon_completes_or_clears_up(
    host: Host, before: Scene, scene: Scene
) -> None:
    start, end = await shown(host, before), await shown(host, scene)
    assert start != end
    await host.successor(before)
    for strokes in mortal.deaths(live, host.space.path, before, scene, fewest=FEWEST):
        assert host.sockets() == "", "a port of a daemon that is no more is free"
        await host.successor(scene)
        assert (host.seen(), host.held) == end, f"the change, after {strokes}"
        await host.successor(before)
        assert (host.seen(), host.held) == start, f"what was before, after {strokes}"
