"""A host with ports that every node opens: real reconcilers over what real commands have stored.

`client` is a machine beside the host; `b1`…`b3` are members of the service `web` on the bridge
network `front`, `near` is their neighbour there. Servers and clients are those of `lb_town`.
"""

import asyncio
import ipaddress
import resource
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from pathlib import Path

from lb import reconciler as lb_reconciler
from lb import world
from lb.kernel.ingress import IngressKernel
from lb.kernel.ports import linux as ports_linux
from lb.ports import reconciler as ports_reconciler
from netns import reconciler as netns_reconciler
from netns.kernel import linux
from sdd.linux import lookups, namespaces
from sdd.model import request
from sdd.model.look import EVERYWHERE, NOWHERE, Look
from sdd.model.network import IPAddress
from sdd.model.port import Protocol
from sdd.model.service import Scheduler
from sdd.state import EMPTY, ClusterState
from sdd.store.memory import MemoryStore
from tests.kernel.lb_town import Answer, Town, batch, sh
from tests.kernel.spaces import forward_nothing
from tests.scenario.node import NODE, Node, node

HOST, HOST6 = ip_address("192.0.2.1"), ip_address("2001:db8:7::1")
HERE, HERE6 = "192.0.2.9", "2001:db8:7::9"
PARENT = "eth1"  # a link of the host on which networks may stand, as `World.parents` has it
LOCALHOST = ip_address("127.0.0.1")
WEB, TALK = 8080, 5300  # what leads to 80/tcp and 53/udp
Balancer = Callable[[namespaces.Namespaces], world.Kernel]
Command = Callable[[Node], Awaitable[object]]


class IngressTown(Town):
    """`balancer` makes the kernel under test."""

    def __init__(self, tag: str, balancer: Balancer) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="t-ingress-"))
        self.store = MemoryStore()
        self.state: ClusterState = EMPTY
        lookups.ALL.trust(self.root / "exec" / "netns")  # as the daemon does
        self._balancer = balancer
        self._seed = 0
        super().__init__(tag)

    def close(self) -> None:
        self._ports.close()
        super().close()
        sh("ip", "netns", "del", self.netns("host"), check=False)
        for each in self.root.glob("exec/netns/*"):
            sh("umount", "-l", str(each), check=False)
        shutil.rmtree(self.root)

    def path(self, name: str) -> str:
        if name in ("host", "client", "switch"):
            return super().path(name)
        if name == "ingress-sbox":
            (box,) = self.state.ingress_sandboxes
            return box.netns
        return str(self.root / "exec" / "netns" / name)

    # --- what people do ---------------------------------------------------------------------

    def do(self, *commands: Command, look: Look = NOWHERE) -> int:
        """Plays the commands and realises what they lead to; how much was mended."""
        return asyncio.run(self._done(commands, look))

    def mend(self) -> int:
        """One look at everything; how many steps it took."""
        mended = self.do(look=EVERYWHERE)
        assert self.do(look=EVERYWHERE) == 0
        return mended

    async def _done(self, commands: tuple[Command, ...], look: Look) -> int:
        self._seed += 1
        async with node(self.store, seed=self._seed, exec_root=self.root / "exec") as one:
            for each in commands:
                await each(one)
            self.state = one.state
        mended = 0
        # Those that wait for one another run side by side, as in the daemon.
        for outcome in await asyncio.gather(
            *(each.realise(self.state, look) for each in self._realisers)
        ):
            assert outcome.failures == (), outcome.failures
            mended += outcome.changed
        return mended

    # --- traffic ----------------------------------------------------------------------------

    def visits(self, count: int, name: str = "client", to: IPAddress = HOST) -> set[Answer]:
        return {self.ask(name, to, WEB) for _ in range(count)}

    def who(self, count: int = 6, to: IPAddress = HOST) -> set[str]:
        return {each.who for each in self.visits(count, to=to)}

    # --- building ---------------------------------------------------------------------------

    def _build(self) -> None:
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # as sdd does, to hold ports
        for name in ("host", "client"):
            sh("ip", "netns", "del", self.netns(name), check=False)
            sh("ip", "netns", "add", self.netns(name))
        peer = f"peer name eth0 netns {self.netns('client')}"
        host = [f"addr add {HOST}/24 dev up0", f"addr add {HOST6}/64 dev up0 nodad"]
        here = [f"addr add {HERE}/24 dev eth0", f"addr add {HERE6}/64 dev eth0 nodad"]
        up = ["link set lo up", "link set {} up"]
        links = [f"link add up0 type veth {peer}", f"link add {PARENT} type veth peer name far1"]
        links += [f"link set {each} up" for each in (PARENT, "far1")]
        batch(self.netns("host"), [*links, *(each.format("up0") for each in up), *host])
        batch(self.netns("client"), [*(each.format("eth0") for each in up), *here])
        forward_nothing(super().path("host"))
        self.doors.close()
        self.doors = namespaces.Namespaces(super().path("host"))
        self._ports = ports_linux.PortsKernel(self.doors)
        kernel = linux.LinuxKernel(self.doors, self.root / "exec", self.root / "linked")
        self.kernel = IngressKernel(self.doors, self._balancer(self.doors))
        self._realisers = (
            netns_reconciler.Reconciler(kernel, NODE),
            lb_reconciler.Reconciler(self.kernel, NODE, ready_s=60),
            ports_reconciler.Reconciler(self._ports, NODE, ready_s=60),
        )
        self.do(_front, *(_box(name) for name in (*self.backends, "near")), _web)
        self.do(*(_join(name) for name in self.backends))


async def _front(one: Node) -> object:
    pool = request.PoolSpec(subnet=ipaddress.ip_network("10.77.0.0/24"))
    return await one.commands.create_network(request.NetworkCreate(name="front", pools=(pool,)))


def _box(name: str) -> Command:
    plug = request.Attachment(network="front")
    asked = request.SandboxCreate(name=name, attachments=(plug,))
    return lambda one: one.commands.create_sandbox(asked)


def _join(name: str) -> Command:
    return lambda one: one.commands.join("web", request.Join(sandbox=name))


async def _web(one: Node) -> object:
    asked = request.ServiceCreate(
        name="web", network="front", scheduler=Scheduler.RR, publish=PORTS
    )
    return await one.commands.create_service(asked)


PORTS = (
    request.Publish(published=WEB, target=80),
    request.Publish(published=TALK, target=53, protocol=Protocol.UDP),
)
