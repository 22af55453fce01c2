"""Runs plans: state → plan → transaction → this node has realised it. Implements Commands.

In: requests. Out: objects, or errors of sdd.errors. One plan is made and committed at a time on
this node, so commands never lose to their own neighbours; against other nodes a lost compare
means: read on, make the plan again. It chooses nothing: the files named after the nouns do.
"""

import asyncio
from collections.abc import Callable
from ipaddress import IPv4Interface
from pathlib import Path
from typing import TypeVar

from sdd import errors
from sdd.alloc.pools import PoolTemplate
from sdd.control import (
    endpoints,
    lookup,
    members,
    networks,
    sandboxes,
    services,
    verdicts,
)
from sdd.control.feed import Feed
from sdd.control.ground import Ground, Plan
from sdd.control.observe import Observe
from sdd.control.progress import Progress
from sdd.model import endpoint, health, ids, network, request, sandbox, service
from sdd.model.network import IPNetwork
from sdd.model.progress import Failure
from sdd.store import contract

TRIES = 32  # lost compares in a row before giving up: other nodes would have to win each time
CATCH_UP_S = 0.2  # for the feed to see what made a compare fail
OWN_NAMESPACE = "/proc/self/ns/net"

T = TypeVar("T")
Make = Callable[[Ground], Plan[T]]
MaybeMake = Callable[[Ground], Plan[T] | None]


class Commander:
    """All verbs of `commands.Commands`. `clock` is seconds since the epoch."""

    def __init__(
        self,
        *,
        store: contract.Store,
        feed: Feed,
        progress: Progress,
        observe: Observe,
        node: ids.NodeId,
        exec_root: Path,
        pools: tuple[PoolTemplate, ...],
        clock: Callable[[], float],
        entropy: Callable[[int], bytes],
        timeout_s: float,
        bip: IPv4Interface | None = None,
        mtu: int = 0,
    ) -> None:
        self._store = store
        self._feed = feed
        self._progress = progress
        self._observe = observe
        self._node = node
        self._exec_root = exec_root
        self._pools = pools
        self._clock = clock
        self._entropy = entropy
        self._timeout_s = timeout_s
        self._bip = bip
        self._mtu = mtu
        self._turn = asyncio.Lock()

    # --- networks ---------------------------------------------------------------------------

    async def create_network(self, asked: request.NetworkCreate) -> network.Network:
        """The new network, with its pools and gateways chosen."""
        prefixes = await self._observe.host_prefixes()
        return await self._created(
            lambda ground: networks.create(ground, asked),
            lambda made: lambda ground: networks.remove(ground, made.id),
            prefixes,
        )

    async def remove_network(self, ref: str) -> network.Network:
        """The network that is gone."""
        return await self._done(lambda ground: networks.remove(ground, ref))

    async def ensure_default_network(self) -> network.Network:
        """The predefined network, made when it is not there.

        Does not wait for the backends: it is the start's first command, before they run.
        """
        prefixes = await self._observe.host_prefixes()
        made = await self._committed(
            lambda ground: networks.create_default(ground, self._bip, self._mtu), prefixes
        )
        if made:
            plan, _ = made
            return plan.result
        return lookup.network(self._feed.state, network.DEFAULT_NAME)

    async def connect(self, sandbox_ref: str, asked: request.Attachment) -> endpoint.Endpoint:
        """The new endpoint of the sandbox on `asked.network`."""
        box = lookup.sandbox(self._feed.state, sandbox_ref)
        facts = await self._observe.namespace(box.netns)
        return await self._created(
            lambda ground: endpoints.connect(ground, box.id, asked, facts.ifnames),
            lambda made: lambda ground: endpoints.disconnect(ground, made.network, made.sandbox),
        )

    async def disconnect(self, network_ref: str, sandbox_ref: str) -> endpoint.Endpoint:
        """The endpoint that is gone."""
        return await self._done(
            lambda ground: endpoints.disconnect(ground, network_ref, sandbox_ref)
        )

    # --- sandboxes --------------------------------------------------------------------------

    async def create_sandbox(self, asked: request.SandboxCreate) -> sandbox.Sandbox:
        """The new sandbox with all its endpoints and memberships."""
        seen = await self._seen(asked)
        return await self._created(
            lambda ground: sandboxes.create(ground, asked, seen),
            lambda made: lambda ground: sandboxes.remove(ground, made.id),
        )

    async def remove_sandbox(self, ref: str) -> sandbox.Sandbox:
        """The sandbox that is gone."""
        return await self._done(lambda ground: sandboxes.remove(ground, ref))

    async def _seen(self, asked: request.SandboxCreate) -> sandboxes.Seen:
        path = self._observe.pid_namespace(asked.pid) if asked.pid else asked.netns
        if not path:
            return sandboxes.NOTHING
        facts = await self._observe.namespace(path)
        host = await self._observe.namespace(OWN_NAMESPACE)
        return sandboxes.Seen(
            path=path,
            inode=facts.inode,
            links=frozenset(facts.ifnames),
            host_inode=host.inode,
        )

    # --- services ---------------------------------------------------------------------------

    async def create_service(self, asked: request.ServiceCreate) -> service.Service:
        """The new service with its virtual addresses and number."""
        return await self._created(
            lambda ground: services.create(ground, asked),
            lambda made: lambda ground: services.remove(ground, made.id),
        )

    async def remove_service(self, ref: str) -> service.Service:
        """The service that is gone, with its members."""
        return await self._done(lambda ground: services.remove(ground, ref))

    async def join(self, service_ref: str, asked: request.Join) -> service.Member:
        """The membership of the sandbox's endpoint on the service's network."""
        return await self._created(
            lambda ground: members.join(ground, service_ref, asked),
            lambda made: lambda ground: members.leave(ground, made.service, made.sandbox),
        )

    async def leave(
        self, service_ref: str, sandbox_ref: str, drain_s: float | None = 0.0
    ) -> service.Member:
        """The membership that is gone, after its connections ended or `drain_s` passed."""
        leaving = await self._committed(
            lambda ground: members.drain(ground, service_ref, sandbox_ref, drain_s)
        )
        if leaving is None:
            return await self._done(lambda ground: members.leave(ground, service_ref, sandbox_ref))
        plan, _ = leaving
        await self._left(plan.result)
        failures = await self._progress.realised(
            self._feed.state.revision, plan.subjects, self._timeout_s
        )
        if failures:
            raise _refusal(failures)
        return plan.result

    async def drained(self, of: ids.ServiceId, endpoint_id: ids.EndpointId) -> None:
        """Ends a membership that was draining; does not wait for the backends."""
        await self._committed(lambda ground: members.drained(ground, of, endpoint_id))

    async def _left(self, member: service.Member) -> None:
        """Whoever watches the connections has ended the membership, or changed its mind."""
        key = (member.service, member.endpoint)
        patience_s = member.drains_until - self._clock() + self._timeout_s
        try:
            async with asyncio.timeout(patience_s):
                while self._feed.state.members.get(key) == member:
                    await self._feed.moved()
        except TimeoutError:
            raise errors.TimedOut(
                f"the member is still draining after {patience_s:g} s",
                hint="it takes no new connection; see: sdctl service ps, and the daemon's log",
                code="SDD-MEMBER-DRAINING",
            ) from None
        if key in self._feed.state.members:
            raise errors.Conflict(
                "the member stays: its weight was set while it was draining",
                hint="repeat the command to take it out after all",
                code="SDD-MEMBER-KEPT",
            )

    async def set_weight(self, service_ref: str, sandbox_ref: str, weight: int) -> service.Member:
        """The membership with its new weight."""
        return await self._done(
            lambda ground: members.set_weight(ground, service_ref, sandbox_ref, weight)
        )

    async def record_verdict(
        self, of: ids.ServiceId, endpoint_id: ids.EndpointId, status: health.Status, reason: str
    ) -> None:
        """Writes a transition; does not wait for the backends, who will see it."""
        await self._committed(
            lambda ground: verdicts.record(ground, of, endpoint_id, status, reason)
        )

    # --- running plans ----------------------------------------------------------------------

    async def _created(
        self,
        make: Make[T],
        undo: Callable[[T], Make[T]],
        prefixes: tuple[IPNetwork, ...] = (),
    ) -> T:
        """The result of the plan, realised; undone when this node could not realise it."""
        plan, revision = await self._written(make, prefixes)
        failures = await self._progress.realised(revision, plan.subjects, self._timeout_s)
        if failures:
            await self._undone(undo(plan.result))
            raise _refusal(failures)
        return plan.result

    async def _done(self, make: Make[T]) -> T:
        """The result of the plan, realised; it stays stored even when a backend failed."""
        plan, revision = await self._written(make)
        failures = await self._progress.realised(revision, plan.subjects, self._timeout_s)
        if failures:
            raise _refusal(failures)
        return plan.result

    async def _undone(self, make: Make[T]) -> None:
        """The created is removed again, and the backends had their time to do so."""
        try:
            plan, revision = await self._written(make)
            await self._progress.realised(revision, plan.subjects, self._timeout_s)
        except errors.SddError:
            pass  # somebody was faster or uses it already: the first failure says more

    async def _written(
        self, make: Make[T], prefixes: tuple[IPNetwork, ...] = ()
    ) -> tuple[Plan[T], ids.Revision]:
        written = await self._committed(make, prefixes)
        assert written is not None
        return written

    async def _committed(
        self, make: MaybeMake[T], prefixes: tuple[IPNetwork, ...] = ()
    ) -> tuple[Plan[T], ids.Revision] | None:
        """The plan and its revision, which the feed has reached; None when there is no plan."""
        async with self._turn:
            for _ in range(TRIES):
                plan = make(self._ground(prefixes))
                if plan is None:
                    return None
                try:
                    revision = await self._store.commit(plan.transaction)
                except contract.Lost as lost:
                    await self._catch_up(lost.key)
                    continue
                await self._followed(revision)
                return plan, revision
        raise errors.Unavailable(
            f"another node changed the same objects {TRIES} times in a row",
            hint="try again",
            code="SDD-STORE-CONTENTION",
        )

    async def _followed(self, revision: ids.Revision) -> None:
        """The feed has reached what was committed; raises TimedOut when the watch is stuck."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._feed.reached(revision)
        except TimeoutError:
            raise errors.TimedOut(
                f"revision {revision} is stored, but the store does not report it back",
                hint="the daemon's log says why; the change stays",
                code="SDD-STORE-STUCK",
            ) from None

    async def _catch_up(self, key: str) -> None:
        """Wait until the feed has seen what made the compare on `key` fail, but not for long."""
        item = await self._store.get(key)
        try:
            async with asyncio.timeout(CATCH_UP_S):
                if item:
                    await self._feed.reached(item.revision)
                else:
                    await self._feed.moved()
        except TimeoutError:
            pass  # the next try will say

    def _ground(self, prefixes: tuple[IPNetwork, ...]) -> Ground:
        return Ground(
            now=self._feed.state,
            claims=self._feed.claims,
            node=self._node,
            at=self._clock(),
            entropy=self._entropy,
            exec_root=self._exec_root,
            pools=self._pools,
            host_prefixes=prefixes,
        )


def _refusal(failures: tuple[Failure, ...]) -> errors.KernelRefused:
    """The first failure's words; the others are counted, `sdctl status` has them all."""
    first, *rest = failures
    more = f" (and {len(rest)} more)" if rest else ""
    return errors.KernelRefused(first.sentence + more, hint=first.hint, code=first.code)
