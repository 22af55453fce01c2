"""Every command: what must be observed first, which plan, and how it is undone.

In: requests. Out: objects, or errors of sdd.errors. It implements Commands; the plans are made in
the files named after the nouns and run by runner.py. It chooses nothing itself.
"""

import asyncio
import functools
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from ipaddress import IPv4Interface
from pathlib import Path
from typing import TypeVar

from sdd import errors
from sdd.alloc import names
from sdd.alloc.pools import PoolTemplate
from sdd.control import (
    connections,
    endpoints,
    ingress,
    lookup,
    members,
    networks,
    parents,
    ports,
    records,
    sandboxes,
    service_updates,
    services,
    subnets,
    taken,
    templates,
)
from sdd.control.feed import Feed
from sdd.control.ground import Ground, Plan
from sdd.control.observe import Facts, Observe
from sdd.control.progress import Progress
from sdd.control.recording import Recording
from sdd.control.runner import GONE, Make, Prefixes, Runner
from sdd.control.wires import Wires
from sdd.model import (
    endpoint,
    health,
    host_route,
    ids,
    network,
    record,
    request,
    sandbox,
    service,
    template,
)
from sdd.model.host_link import HostLink
from sdd.model.nameserver import Transport
from sdd.store import contract

T = TypeVar("T")

OWN_NAMESPACE = "/proc/self/ns/net"


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
        transports: frozenset[Transport] = frozenset(Transport),
        ipv6: bool = True,
        bip: IPv4Interface | None = None,
        mtu: int = 0,
        nameservers: Callable[[], Collection[network.IPAddress]] = tuple,
    ) -> None:
        self._feed = feed
        self._observe = observe
        self._node = node
        self._exec_root = exec_root
        self._pools = pools
        self._transports = transports
        self._ipv6 = ipv6
        self._clock = clock
        self._entropy = entropy
        self._bip = bip
        self._mtu = mtu
        self._nameservers = nameservers
        self._timeout_s = timeout_s
        self._wires = Wires(observe.strangers, time.monotonic)
        self._run = Runner(
            store=store,
            feed=feed,
            progress=progress,
            ground=self._ground,
            timeout_s=timeout_s,
        )
        self._recording = Recording(self._run.committed)

    # --- networks ---------------------------------------------------------------------------

    async def create_network(self, asked: request.NetworkCreate) -> network.Network:
        """The new network, with its pools and gateways chosen."""
        prefixes = await self._host_prefixes(asked)
        return await self._created(
            lambda ground: networks.create(ground, asked),
            lambda made: lambda ground: networks.remove(ground, made.id),
            prefixes,
        )

    async def create_template(self, asked: request.NetworkCreate) -> template.Template:
        """The new configuration, from which networks can be made."""
        return await self._run.done(lambda ground: networks.create_template(ground, asked))

    async def remove_template(self, ref: str) -> template.Template:
        """The configuration that is gone."""
        return await self._run.removed(lambda ground: templates.remove(ground, ref))

    async def remove_network(self, ref: str) -> network.Network:
        """The network that is gone."""
        return await self._run.removed(lambda ground: networks.remove(ground, ref))

    async def update_network(self, ref: str, asked: request.NetworkUpdate) -> network.Network:
        """The network with its new DNS settings."""
        return await self._run.done(lambda ground: networks.update(ground, ref, asked))

    async def ensure_default_network(self) -> network.Network:
        """The predefined network, made when it is not there.

        Does not wait for the backends: it is the start's first command, before they run.
        """
        asked = networks.default_of(self._bip)
        prefixes = await self._host_prefixes(asked)
        made = await self._run.committed(
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
            lambda ground: connections.connect(ground, box.id, asked, _inside(facts)),
            lambda made: lambda ground: connections.undone(ground, made),
        )

    async def disconnect(self, network_ref: str, sandbox_ref: str) -> endpoint.Endpoint:
        """The endpoint that is gone, once nothing new went to it."""
        await self._run.prepared(
            lambda ground: connections.withdraw(ground, network_ref, sandbox_ref),
            members.WITHDRAWN_S,
        )
        return await self._run.removed(
            lambda ground: connections.disconnect(ground, network_ref, sandbox_ref)
        )

    async def add_record(self, asked: request.RecordAdd) -> record.Record:
        """The new DNS record of a network."""
        return await self._run.done(lambda ground: records.add(ground, asked))

    async def remove_records(self, asked: request.RecordRemove) -> tuple[record.Record, ...]:
        """The records that are gone."""
        return await self._run.removed(lambda ground: records.remove(ground, asked))

    # --- sandboxes --------------------------------------------------------------------------

    async def create_sandbox(self, asked: request.SandboxCreate) -> sandbox.Sandbox:
        """The new sandbox with all its endpoints and memberships."""
        seen = await self._seen(asked)
        busy = await self._busy(asked.publish)
        return await self._created(
            lambda ground: sandboxes.create(ground, asked, seen, busy),
            lambda made: lambda ground: sandboxes.remove(ground, made.id),
        )

    async def remove_sandbox(self, ref: str) -> sandbox.Sandbox:
        """The sandbox that is gone, once nothing new went to it."""
        await self._run.prepared(
            lambda ground: sandboxes.withdraw(ground, ref), members.WITHDRAWN_S
        )
        return await self._run.removed(lambda ground: sandboxes.remove(ground, ref))

    async def _seen(self, asked: request.SandboxCreate) -> sandboxes.Seen:
        path = f"/proc/{asked.pid}/ns/net" if asked.pid else asked.netns
        if not path:
            name = names.checked(sandboxes.KIND, asked.name)
            return sandboxes.Seen(homonym=await self._observe.homonym(name))
        facts = await self._observe.namespace(path)
        host = await self._observe.namespace(OWN_NAMESPACE)
        held = [box.netns for box in self._feed.state.sandboxes.values() if box.node == self._node]
        return sandboxes.Seen(
            path=path,
            inode=facts.inode,
            inside=_inside(facts),
            host_inode=host.inode,
            held=await self._observe.inodes(held) if facts.inode else {},
        )

    async def _busy(self, asked: tuple[request.Publish, ...]) -> ports.Busy:
        """What other programs of the host have, when a number must be chosen."""
        return await self._observe.busy_ports() if ports.needs_a_look(asked) else ports.NOT_BUSY

    async def _prefixes(self, asked: tuple[request.Publish, ...]) -> Prefixes:
        """Where the host is itself, when networks may have to be made."""
        return await self._host_prefixes() if ports.wants_ingress(asked) else ()

    # --- services ---------------------------------------------------------------------------

    async def create_service(self, asked: request.ServiceCreate) -> service.Service:
        """The new service with its virtual addresses and number."""
        busy = await self._busy(asked.publish)
        return await self._created(
            lambda ground: services.create(ground, asked, busy),
            lambda made: lambda ground: services.remove(ground, made.id),
            await self._prefixes(asked.publish),
        )

    async def update_service(self, ref: str, asked: request.ServiceUpdate) -> service.Service:
        """The service as it is now, or as it was when this node could not realise that."""
        busy = await self._busy(asked.publish_add)
        changed = await self._run.created(
            lambda ground: service_updates.update(ground, ref, asked, busy),
            lambda made: lambda ground: service_updates.restore(ground, made),
            await self._prefixes(asked.publish_add),
        )
        return changed.after

    async def remove_service(self, ref: str) -> service.Service:
        """The service that is gone, with its members."""
        return await self._run.removed(lambda ground: services.remove(ground, ref))

    async def join(self, service_ref: str, asked: request.Join) -> service.Member:
        """The membership of the sandbox's endpoint on the service's network."""
        return await self._run.created(
            lambda ground: members.join(ground, service_ref, asked),
            lambda made: lambda ground: members.leave(ground, made.service, made.sandbox),
        )

    async def leave(
        self, service_ref: str, sandbox_ref: str, drain_s: float | None = 0.0
    ) -> service.Member:
        """The membership that is gone, after its connections ended or `drain_s` passed."""
        known = self._run.known()
        leaving = await self._run.committed(
            lambda ground: members.drain(ground, service_ref, sandbox_ref, drain_s)
        )
        if leaving is None:
            retired = await self._run.prepared(
                lambda ground: members.retire(ground, service_ref, sandbox_ref),
                members.WITHDRAWN_S,
            )
            try:
                return await self._run.removed(
                    lambda ground: members.leave(ground, service_ref, sandbox_ref)
                )
            except errors.NotFound:
                if not retired:
                    raise
            (gone,) = retired  # without connections it was ended as any that drains, and sooner
            subjects = {gone.service, gone.sandbox, gone.endpoint}
            await self._run.realised(self._feed.state.revision, subjects, known, GONE)
            return gone
        plan, _ = leaving
        await self._left(plan.result)
        await self._run.realised(self._feed.state.revision, plan.subjects, known, GONE)
        return plan.result

    async def drained(self, of: ids.ServiceId, endpoint_id: ids.EndpointId) -> None:
        """Ends a membership that was draining; does not wait for the backends."""
        await self._run.committed(lambda ground: members.drained(ground, of, endpoint_id))

    async def ingress_ended(self, of: ids.ServiceId) -> None:
        """Takes a service's addresses on `ingress`; does not wait for the backends."""
        await self._run.committed(lambda ground: ingress.ended(ground, of))

    async def _left(self, member: service.Member) -> None:
        """Whoever watches the connections has ended the membership, or changed its mind."""
        patience_s = member.drains_until - self._clock() + self._timeout_s
        try:
            async with asyncio.timeout(patience_s):
                while (now := self._same(member)) and now.drains_until:
                    await self._feed.moved()
        except TimeoutError:
            raise errors.TimedOut(
                f"the member is still draining after {patience_s:g} s",
                hint="it takes no new connection; see: sdctl service ps, and the daemon's log",
                code="SDD-MEMBER-DRAINING",
            ) from None
        if now:
            raise errors.Conflict(
                "the member stays: its weight was set while it was draining",
                hint="repeat the command to take it out after all",
                code="SDD-MEMBER-KEPT",
            )

    def _same(self, member: service.Member) -> service.Member | None:
        """The membership as it is now; None when it is over, though a new one may have begun."""
        now = self._feed.state.members.get((member.service, member.endpoint))
        return now if now is not None and now.created == member.created else None

    async def set_weight(self, service_ref: str, sandbox_ref: str, weight: int) -> service.Member:
        """The membership with its new weight."""
        return await self._run.done(
            lambda ground: members.set_weight(ground, service_ref, sandbox_ref, weight)
        )

    async def record_verdict(
        self, of: ids.ServiceId, endpoint_id: ids.EndpointId, said: health.Said
    ) -> None:
        """Writes a transition; does not wait for the backends, who will see it."""
        await self._recording.record(of, endpoint_id, said)

    async def _created(
        self, make: Make[T], undo: Callable[[T], Make[T]], prefixes: Prefixes = ()
    ) -> T:
        """As Runner.created, once the host was looked at and its wires were asked, where needed."""
        heard: dict[network.IPAddress, str] = {}
        seen: dict[str, HostLink | None] = {}
        while True:
            informed = functools.partial(_informed, make, heard, seen)
            try:
                return await self._run.created(informed, undo, prefixes)
            except taken.Unprobed as unsure:
                heard |= await self._wires.strangers(unsure.link, unsure.addresses)
            except parents.Unseen as unsure:
                seen |= await self._observe.links(unsure.links)

    async def _host_prefixes(self, asked: request.NetworkCreate | None = None) -> Prefixes:
        """Where the host and its name servers are, as far as new subnets could be."""
        near = subnets.reach(self._feed.state, self._pools, self._node, asked)
        routes = await self._observe.host_prefixes(near)
        return (*routes, *map(host_route.to_nameserver, self._nameservers()))

    def _ground(self, prefixes: Prefixes) -> Ground:
        return Ground(
            now=self._feed.state,
            claims=self._feed.claims,
            node=self._node,
            at=self._clock(),
            entropy=self._entropy,
            exec_root=self._exec_root,
            pools=self._pools,
            transports=self._transports,
            ipv6=self._ipv6,
            host_prefixes=prefixes,
            askers=self._wires.askers,
        )


def _inside(facts: Facts) -> endpoints.Inside:
    return endpoints.Inside(links=frozenset(facts.ifnames), has_ipv6=facts.has_ipv6)


def _informed(
    make: Make[T],
    heard: Mapping[network.IPAddress, str],
    seen: Mapping[str, HostLink | None],
    ground: Ground,
) -> Plan[T]:
    return make(replace(ground, strangers=heard, links=seen))
