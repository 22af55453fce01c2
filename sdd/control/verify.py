"""What should be against what is, without touching it: what `sdctl verify` prints.

In: the newest state, the kernels the backends use, and a way to ask names. Out: differences. The
plans are the backends' own, only nobody applies them. A pass may be under way while we look: what
is gone at a second look was no difference.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Protocol, assert_never

from lb import desired as lb_desired
from lb import moment as lb_moment
from lb import plan as lb_plan
from lb import world as lb_world
from lb.ports import desired as ports_desired
from lb.ports import image
from lb.ports import world as ports_world
from netns import contract, words
from netns import desired as netns_desired
from netns import plan as netns_plan
from netns import world as netns_world
from resolver.files import upstreams
from sdd import errors
from sdd.model import absence, ids, sandbox
from sdd.model.difference import Difference
from sdd.model.progress import Backend
from sdd.state import ClusterState

SETTLE_S = 0.5  # longer than a pass over a few objects takes
NAME_S = 2.0  # a server that needs longer for its own name is as good as none
AT_ONCE = 16  # sandboxes asked at the same time: each takes a thread of the namespaces' pool


class Answered(Protocol):
    """What came back for a name."""

    @property
    def rcode(self) -> str:
        """NOERROR when there is an answer."""
        ...


class Ask(Protocol):
    """Asks the server of a sandbox; resolver.explain.query implements it."""

    async def __call__(
        self, netns: str, name: str, rdtype: str, *, tcp: bool, timeout_s: float
    ) -> Answered:
        """The answer; raises Unavailable when nobody listens, Invalid for no name."""
        ...


class Verifier:
    """`differences` looks at everything of this node."""

    def __init__(
        self,
        state: Callable[[], ClusterState],
        node: ids.NodeId,
        netns: contract.Kernel,
        balancer: lb_world.Kernel,
        ask: Ask,
        *,
        ports: ports_world.Kernel,
        clock: Callable[[], float] = time.time,
        settle: Callable[[], Awaitable[None]] = lambda: asyncio.sleep(SETTLE_S),
        behind: Callable[[], Mapping[Backend, str]] = dict,
    ) -> None:
        self._state = state
        self._node = node
        self._netns = netns
        self._balancer = balancer
        self._ask = ask
        self._ports = ports
        self._settle = settle
        self._clock = clock
        self._behind = behind

    async def differences(self) -> tuple[Difference, ...]:
        """What is not as wanted and stays so; empty when all is well."""
        late = tuple(
            Difference(backend=backend, subject="", says=says)
            for backend, says in self._behind().items()
        )
        first = await self._look()
        if not first:
            return late
        await self._settle()
        second = set(await self._look())
        return (*late, *(each for each in first if each in second))

    async def _look(self) -> tuple[Difference, ...]:
        state = self._state()
        return (
            *await self._links(state),
            *_equal_macs(state),
            *await self._balancing(state),
            *await self._published(state),
            *await self._names(state),
            *self._unasked(state),
        )

    async def _links(self, state: ClusterState) -> list[Difference]:
        want = netns_desired.desired(state, self._node)
        paths = frozenset(want.spaces) - {netns_world.HOST}
        have = await self._netns.read(contract.Scope(paths=paths, sysctls=want.sysctls(paths)))
        found = [
            Difference(backend=Backend.NETNS, subject=each.subject, says=each.sentence)
            for each in (*want.failures, *netns_plan.obstacles(have, want))
        ]
        for step in netns_plan.diff(have, want):
            said = words.said(step)
            says = (
                f"{said.removeprefix('to remove ')} should not be there"
                if said.startswith("to remove ")
                else f"{said} is missing or different"
            )
            found.append(Difference(backend=Backend.NETNS, subject=step.subject, says=says))
        return found

    async def _balancing(self, state: ClusterState) -> list[Difference]:
        found = []
        now = lb_moment.at(state, self._clock()).state
        want = lb_desired.desired(now, lb_desired.nothing(self._node))
        for box, wanted in want.sandboxes.items():
            try:
                have = await self._balancer.read(wanted.place)
            except errors.SddError as error:
                says = [error.sentence] if error.code != absence.CODE else []  # netns tells it
            else:
                says = [balancing(step) for step in lb_plan.diff(have, wanted.table)]
            found += [Difference(backend=Backend.LB, subject=box, says=each) for each in says]
        return found

    async def _published(self, state: ClusterState) -> list[Difference]:
        want = ports_desired.desired(state, ports_desired.nothing(self._node))
        have = await self._ports.read()
        if have is None:
            says = "the table inet sdd-ports is damaged"
            return [Difference(backend=Backend.PORTS, subject="", says=says)]
        owners = {
            element: entry
            for part in want.parts.values()
            for entry in part
            for element in image.of(entry)
        }
        missing = {owners[each] for each in owners.keys() - have}
        found = [
            Difference(
                backend=Backend.PORTS,
                subject=entry.subject,
                says=f"the published port {entry.bind} does not lead where it should",
            )
            for entry in sorted(missing, key=lambda each: str(each.bind))
        ]
        if left := have - owners.keys():
            says = f"{len(left)} elements of the table inet sdd-ports should not be there"
            found.append(Difference(backend=Backend.PORTS, subject="", says=says))
        return found

    async def _names(self, state: ClusterState) -> list[Difference]:
        gate = asyncio.Semaphore(AT_ONCE)
        boxes = [box for box in state.sandboxes.values() if self._serves(state, box)]
        found = await asyncio.gather(*(self._own_name(gate, box) for box in boxes))
        return [each for each in found if each is not None]

    def _unasked(self, state: ClusterState) -> Iterator[Difference]:
        """Servers for names of others that sandboxes of this node were given in vain."""
        for box in state.sandboxes.values():
            for server, origin in upstreams.unasked(state, box) if box.node == self._node else ():
                says = f"{server} ({origin}) is never asked: {upstreams.LINK}"
                yield Difference(backend=Backend.RESOLVER, subject=box.id, says=says)

    def _serves(self, state: ClusterState, box: sandbox.Sandbox) -> bool:
        endpoints = state.endpoints_by_sandbox.get(box.id, ())
        named = any(state.networks[each.network].has_names for each in endpoints)
        return named and box.node == self._node

    async def _own_name(self, gate: asyncio.Semaphore, box: sandbox.Sandbox) -> Difference | None:
        async with gate:
            try:
                answer = await self._ask(box.netns, box.name, "A", tcp=False, timeout_s=NAME_S)
            except errors.Invalid:
                return None  # a sandbox may have a name that is none for DNS
            except errors.SddError as error:
                if error.code == absence.CODE:
                    return None  # netns tells it
                says = error.sentence
            else:
                if answer.rcode == "NOERROR":
                    return None
                says = f"its own name is answered with {answer.rcode}"
        return Difference(backend=Backend.RESOLVER, subject=box.id, says=says)


def _equal_macs(state: ClusterState) -> Iterator[Difference]:
    """Each bridge knows only one of two such; older releases could make them."""
    for net, ends in state.endpoints_by_network.items():
        first: dict[str, str] = {}
        for end in ends:
            name = state.sandboxes[end.sandbox].name
            other = first.setdefault(end.mac, name) if end.mac else name
            if other != name:
                says = (
                    f"the MAC address {end.mac} on network {state.networks[net].name} is that of"
                    f" sandbox {other} too: disconnect one of them and connect it again"
                )
                yield Difference(backend=Backend.NETNS, subject=end.id, says=says)


def balancing(step: lb_plan.Step) -> str:
    """A step that would be taken, as what is wrong now."""
    match step:
        case lb_plan.AddService(service):
            says = f"the virtual address {service.vip} is not balanced"
        case lb_plan.EditService(service):
            says = f"the virtual address {service.vip} has other settings"
        case lb_plan.AddBackend(vip, backend):
            says = f"the backend {backend.address} of {vip} is missing"
        case lb_plan.SetWeight(vip, backend):
            says = f"the backend {backend.address} of {vip} has another weight"
        case lb_plan.Mend(vip):
            says = f"the rules of {vip} are damaged" if vip else "the common rules are damaged"
        case lb_plan.SetBack():
            says = "the ways back to ingress sandboxes are missing or different"
        case lb_plan.RemoveBackend(vip, address):
            says = f"the backend {address} of {vip} should not be there"
        case lb_plan.RemoveService(vip):
            says = f"the virtual address {vip} should not be balanced"
        case _:
            assert_never(step)
    return says
