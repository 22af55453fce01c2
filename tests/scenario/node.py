"""One node with everything but kernel, sockets and disk: commands, feed, progress, three backends.

The backends are in memory: they realise what they are given, or refuse what they are told to.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Interface
from pathlib import Path

from sdd import reconcile
from sdd.alloc.pools import DEFAULT_POOLS, PoolTemplate
from sdd.control.commander import Commander
from sdd.control.feed import Feed
from sdd.control.progress import Progress
from sdd.model import ids, network, port
from sdd.model.host_link import HostLink
from sdd.model.host_route import HostRoute
from sdd.model.look import EVERYWHERE, Look
from sdd.model.nameserver import Transport
from sdd.model.progress import Backend, Failure, Outcome
from sdd.model.subnet import overlaps
from sdd.state import ClusterState
from sdd.store import contract
from sdd.store.memory import MemoryStore

NODE = ids.NodeId("node-a")
Refuse = Callable[[ClusterState], tuple[Failure, ...]]


@dataclass(kw_only=True)
class MemoryBackend:
    """Remembers the newest state it was given."""

    refuse: Refuse = lambda _: ()
    state: ClusterState | None = None
    passes: int = 0

    async def realise(self, state: ClusterState, _look: Look = EVERYWHERE) -> Outcome:
        self.state = state
        self.passes += 1
        return Outcome(revision=state.revision, failures=self.refuse(state))


@dataclass(frozen=True, kw_only=True)
class Facts:
    inode: int = 0
    ifnames: frozenset[str] = frozenset()
    has_ipv6: bool = True


@dataclass(kw_only=True)
class World:
    """What the node can observe."""

    prefixes: tuple[network.IPNetwork, ...] = ()
    ways: tuple[network.IPNetwork, ...] = ()  # behind gateways
    busy: frozenset[tuple[port.Protocol, int]] = frozenset()
    neighbours: dict[network.IPAddress, str] = field(default_factory=dict)
    asked: list[network.IPAddress] = field(default_factory=list)  # on the wire, in order
    rounds: int = 0
    answering: asyncio.Event | None = None  # neighbours take their time until it is set
    namespaces: dict[str, Facts] = field(
        default_factory=lambda: {"/proc/self/ns/net": Facts(inode=1)}
    )

    homonyms: dict[str, str] = field(default_factory=dict)
    own: set[network.IPAddress] = field(default_factory=set)
    parents: dict[str, HostLink] = field(
        default_factory=lambda: {name: HostLink(mtu=1500) for name in ("eth0", "eth1")}
    )

    async def busy_ports(self) -> frozenset[tuple[port.Protocol, int]]:
        return self.busy

    async def host_prefixes(self, near: Collection[network.IPNetwork]) -> tuple[HostRoute, ...]:
        ways = (HostRoute(prefix=each, is_direct=False) for each in self.ways)
        every = (*(HostRoute(prefix=each) for each in self.prefixes), *ways)
        return tuple(each for each in every if any(overlaps(each.prefix, one) for one in near))

    async def strangers(
        self, link: str, asked: Collection[network.IPAddress]
    ) -> dict[network.IPAddress, str]:
        if not link:
            return {ip: "this host itself" if ip in self.own else "" for ip in asked}
        self.asked += asked
        self.rounds += 1
        if self.answering:
            await self.answering.wait()
        return {ip: self.neighbours.get(ip, "") for ip in asked}

    async def links(self, names: Collection[str]) -> dict[str, HostLink | None]:
        return {name: self.parents.get(name) for name in names}

    async def namespace(self, path: str) -> Facts:
        return self.namespaces.get(path, Facts())

    async def inodes(self, paths: Collection[str]) -> dict[str, int]:
        return {path: (await self.namespace(path)).inode for path in paths}

    async def homonym(self, name: str) -> str:
        return self.homonyms.get(name, "")


@dataclass(kw_only=True)
class Clock:
    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True, kw_only=True)
class Node:
    store: contract.Store
    feed: Feed
    progress: Progress
    commands: Commander
    world: World
    clock: Clock
    backends: dict[Backend, MemoryBackend]

    @property
    def state(self) -> ClusterState:
        return self.feed.state

    async def keys(self) -> dict[str, bytes]:
        """Everything stored."""
        return {item.key: item.value for item in (await self.store.range("")).items}

    def hurry(self, timeout_s: float) -> None:
        """What is waited for from now on is given up after so long; what went before had time."""
        for each in (self.commands, self.commands._run):
            each._timeout_s = timeout_s

    def refuse(self, backend: Backend, refuse: Refuse) -> None:
        self.backends[backend].refuse = refuse


def entropy(seed: int) -> Callable[[int], bytes]:
    return random.Random(seed).randbytes


@asynccontextmanager
async def node(
    store: contract.Store | None = None,
    *,
    name: ids.NodeId = NODE,
    pools: tuple[PoolTemplate, ...] = DEFAULT_POOLS,
    seed: int = 1,
    timeout_s: float = 60,
    transports: frozenset[Transport] = frozenset(Transport),
    exec_root: Path = Path("/run/sdd"),
    ipv6: bool = True,
    bip: IPv4Interface | None = None,
    mtu: int = 0,
    nameservers: Collection[network.IPAddress] = (),
) -> AsyncIterator[Node]:
    """A running node; several may share one store."""
    store = store or MemoryStore()
    feed = Feed(store)
    progress = Progress(tuple(Backend))
    world = World()
    clock = Clock()
    commands = Commander(
        store=store,
        feed=feed,
        progress=progress,
        observe=world,
        node=name,
        exec_root=exec_root,
        ipv6=ipv6,
        bip=bip,
        mtu=mtu,
        nameservers=lambda: nameservers,
        pools=pools,
        clock=clock,
        entropy=entropy(seed),
        timeout_s=timeout_s,
        transports=transports,
    )
    backends = {backend: MemoryBackend() for backend in Backend}
    await feed.start()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(feed.run(), name="feed")]
        for backend, realiser in backends.items():
            slot = reconcile.Slot()
            feed.subscribe(slot.put)
            loop = reconcile.run(
                backend,
                realiser,
                slot,
                report=progress.report,
                on_defect=_raise,
                jitter=lambda: 0.5,
                clock=time.monotonic,
            )
            tasks.append(group.create_task(loop, name=backend))
        try:
            yield Node(
                store=store,
                feed=feed,
                progress=progress,
                commands=commands,
                world=world,
                clock=clock,
                backends=backends,
            )
        finally:
            for task in tasks:
                task.cancel()


def _raise(backend: Backend, exc: Exception) -> None:
    raise AssertionError(f"{backend}: {exc!r}") from exc


def addresses_of(state: ClusterState) -> Iterator[tuple[str, str]]:
    """Every (network, address) that somebody holds."""
    for end in state.endpoints.values():
        yield from ((end.network, str(ip)) for ip in end.hosts)
    for svc in state.services.values():
        yield from ((svc.network, str(ip)) for ip in svc.vips)
        if state.ingress is not None:
            yield from ((state.ingress.id, str(ip)) for ip in svc.ingress_vips)
