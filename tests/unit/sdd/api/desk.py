"""A whole API in memory: commands on a plain state, no allocation and no kernel.

It decides as little as it can: enough of the real refusals for the paths of the API and the
command line to be walked. What commands must decide is tested with the commands themselves.
"""

import hashlib
from dataclasses import replace
from ipaddress import IPv4Network, ip_interface, ip_network

from sdd import errors
from sdd.control import lookup, resolv_conf, service_updates
from sdd.control.journal import Journal
from sdd.model import (
    endpoint,
    health,
    ids,
    network,
    progress,
    record,
    request,
    sandbox,
    service,
    template,
)
from sdd.state import EMPTY, Change, ClusterState, Gone, Put


class Desk:
    """Implements sdd.control.commands.Commands."""

    def __init__(self) -> None:
        self.state: ClusterState = EMPTY
        self.outcomes: dict[progress.Backend, progress.Outcome] = {}
        self.repaired: dict[progress.Backend, int] = {}
        self.break_with: Exception | None = None
        times = iter(range(1_000_000, 2_000_000))
        self.journal = Journal(lambda: float(next(times)))
        self.journal.put(self.state)
        self.patience: list[float | None] = []
        self.asked: request.NetworkCreate | None = None  # the last network
        self._count = 0

    def _id(self) -> str:
        self._count += 1
        return hashlib.sha256(str(self._count).encode()).hexdigest()

    def _write(self, *changes: Change) -> None:
        if self.break_with:
            raise self.break_with
        self.state = self.state.apply(ids.Revision(self.state.revision + 1), changes)
        self.journal.put(self.state)

    async def create_network(self, asked: request.NetworkCreate) -> network.Network:
        self.asked = asked
        if any(each.name == asked.name for each in self.state.networks.values()):
            raise errors.Conflict(f'network "{asked.name}" already exists', code="SDD-NET-EXISTS")
        subnet = ip_network(f"10.{200 + len(self.state.networks)}.0.0/24")
        assert isinstance(subnet, IPv4Network)
        specs = asked.pools or (request.PoolSpec(),)
        pools = tuple(
            network.Pool(
                subnet=each.subnet or subnet,
                gateway=each.gateway or (each.subnet or subnet)[1],
                ip_range=each.ip_range,
                aux=each.aux,
            )
            for each in specs
        )
        made = network.Network(
            id=ids.NetworkId(self._id()),
            name=asked.name,
            driver=asked.driver,
            pools=pools,
            internal=asked.internal,
            options=asked.options,
            labels=asked.labels,
            dns=asked.dns,
            dns_search=asked.dns_search,
            dns_zones=asked.dns_zones,
            created=1000.0,
        )
        self._write(Put(made))
        return made

    async def create_template(self, asked: request.NetworkCreate) -> template.Template:
        made = template.Template(
            id=ids.NetworkId(self._id()), name=asked.name, pools=asked.pools, options=asked.options
        )
        self._write(Put(made))
        return made

    async def remove_template(self, ref: str) -> template.Template:
        gone = lookup.template(self.state, ref)
        self._write(Gone(template.Template, gone.id))
        return gone

    async def remove_network(self, ref: str) -> network.Network:
        gone = lookup.network(self.state, ref)
        if self.state.endpoints_by_network.get(gone.id):
            raise errors.Forbidden(
                f'network "{gone.name}" has active endpoints', code="SDD-NET-INUSE"
            )
        self._write(Gone(network.Network, gone.id))
        return gone

    async def update_network(self, ref: str, asked: request.NetworkUpdate) -> network.Network:
        old = lookup.network(self.state, ref)
        made = replace(
            old,
            dns=(*(each for each in old.dns if each not in asked.dns_remove), *asked.dns_add),
            dns_search=(
                *(each for each in old.dns_search if each not in asked.search_remove),
                *asked.search_add,
            ),
            dns_zones=(
                *(each for each in old.dns_zones if each not in asked.zone_remove),
                *asked.zone_add,
            ),
        )
        self._write(Put(made))
        return made

    def _endpoint(
        self, box: sandbox.Sandbox, asked: request.Attachment, net: network.Network
    ) -> endpoint.Endpoint:
        subnet = net.pools[0].subnet
        address = asked.ip or subnet[2 + len(self.state.endpoints)]
        return endpoint.Endpoint(
            id=ids.EndpointId(self._id()),
            network=net.id,
            sandbox=box.id,
            node=box.node,
            addresses=(ip_interface(f"{address}/{subnet.prefixlen}"),),
            mac=asked.mac or "02:42:0a:00:00:02",
            ifname="eth0",
            aliases=asked.aliases,
            gw_priority=asked.gw_priority,
            options=asked.driver_opts,
        )

    async def create_sandbox(self, asked: request.SandboxCreate) -> sandbox.Sandbox:
        nets = [(a, lookup.network(self.state, a.network)) for a in asked.attachments]
        services = [lookup.service(self.state, each) for each in asked.services]
        made = sandbox.Sandbox(
            id=ids.SandboxId(self._id()),
            name=asked.name,
            node=ids.NodeId("here"),
            origin=sandbox.Origin.ADOPTED if asked.netns or asked.pid else sandbox.Origin.NAMED,
            netns=asked.netns or f"/run/sdd/netns/{asked.name}",
            hostname=asked.hostname,
            dns=asked.dns,
            extra_hosts=asked.extra_hosts,
            resolv_conf=resolv_conf.wanted(self.state, ids.NodeId("here"), asked),
            labels=asked.labels,
            created=2000.0,
        )
        self._write(Put(made), *(Put(self._endpoint(made, a, net)) for a, net in nets))
        for each in services:
            await self.join(each.id, request.Join(sandbox=made.id))
        return made

    async def remove_sandbox(self, ref: str) -> sandbox.Sandbox:
        gone = lookup.sandbox(self.state, ref)
        members = [key for key, each in self.state.members.items() if each.sandbox == gone.id]
        self._write(
            Gone(sandbox.Sandbox, gone.id),
            *(
                Gone(endpoint.Endpoint, e.id)
                for e in self.state.endpoints_by_sandbox.get(gone.id, ())
            ),
            *(Gone(service.Member, key) for key in members),
        )
        return gone

    async def connect(self, sandbox_ref: str, asked: request.Attachment) -> endpoint.Endpoint:
        box = lookup.sandbox(self.state, sandbox_ref)
        made = self._endpoint(box, asked, lookup.network(self.state, asked.network))
        self._write(Put(made))
        return made

    async def disconnect(self, network_ref: str, sandbox_ref: str) -> endpoint.Endpoint:
        gone = self._on(sandbox_ref, lookup.network(self.state, network_ref))
        self._write(Gone(endpoint.Endpoint, gone.id))
        return gone

    def _on(self, sandbox_ref: str, net: network.Network) -> endpoint.Endpoint:
        box = lookup.sandbox(self.state, sandbox_ref)
        found = lookup.endpoint_on(self.state, box.id, net.id)
        if found is None:
            raise errors.NotFound(
                f'sandbox "{box.name}" is not on network "{net.name}"', code="SDD-NET-NOTCONNECTED"
            )
        return found

    async def create_service(self, asked: request.ServiceCreate) -> service.Service:
        net = lookup.network(self.state, asked.network)
        made = service.Service(
            id=ids.ServiceId(self._id()),
            name=asked.name,
            network=net.id,
            number=1 + len(self.state.services),
            vips=asked.all_vips or (net.pools[0].subnet[-2],),
            mode=asked.mode,
            scheduler=asked.scheduler,
            health=asked.health,
            aliases=asked.aliases,
            labels=asked.labels,
            drain_s=asked.drain_s,
            persistence_s=asked.persistence_s,
            weight=asked.weight,
            quorum=asked.quorum,
            panic=asked.panic,
            slow_start_s=asked.slow_start_s,
            created=3000.0,
        )
        self._write(Put(made))
        return made

    async def update_service(self, ref: str, asked: request.ServiceUpdate) -> service.Service:
        changed = service_updates.changed(lookup.service(self.state, ref), asked)
        self._write(Put(changed))
        return changed

    async def remove_service(self, ref: str) -> service.Service:
        gone = lookup.service(self.state, ref)
        members = self.state.members_by_service.get(gone.id, ())
        self._write(
            Gone(service.Service, gone.id),
            *(Gone(service.Member, (each.service, each.endpoint)) for each in members),
        )
        return gone

    async def join(self, service_ref: str, asked: request.Join) -> service.Member:
        svc = lookup.service(self.state, service_ref)
        at = self._on(asked.sandbox, self.state.networks[svc.network])
        made = service.Member(
            service=svc.id,
            endpoint=at.id,
            sandbox=at.sandbox,
            node=at.node,
            weight=svc.weight if asked.weight is None else asked.weight,
            backup=asked.backup,
            created=4000.0,
        )
        self._write(Put(made))
        return made

    def _member(self, service_ref: str, sandbox_ref: str) -> service.Member:
        svc = lookup.service(self.state, service_ref)
        box = lookup.sandbox(self.state, sandbox_ref)
        for each in self.state.members_by_service.get(svc.id, ()):
            if each.sandbox == box.id:
                return each
        raise errors.NotFound(
            f'sandbox "{box.name}" is no backend of "{svc.name}"', code="SDD-SERVICE-NOMEMBER"
        )

    async def leave(
        self, service_ref: str, sandbox_ref: str, drain_s: float | None = 0.0
    ) -> service.Member:
        gone = self._member(service_ref, sandbox_ref)
        self.patience.append(drain_s)
        self._write(Gone(service.Member, (gone.service, gone.endpoint)))
        return gone

    async def drained(self, of: ids.ServiceId, endpoint_id: ids.EndpointId) -> None:
        self._write(Gone(service.Member, (of, endpoint_id)))

    async def set_weight(self, service_ref: str, sandbox_ref: str, weight: int) -> service.Member:
        old = self._member(service_ref, sandbox_ref)
        made = service.Member(
            service=old.service,
            endpoint=old.endpoint,
            sandbox=old.sandbox,
            node=old.node,
            weight=weight,
            created=old.created,
        )
        self._write(Put(made))
        return made

    async def add_record(self, asked: request.RecordAdd) -> record.Record:
        net = lookup.network(self.state, asked.network)
        made = record.Record(
            id=ids.RecordId(self._id()),
            network=net.id,
            name=asked.name,
            kind=record.RecordType(asked.type),
            data=asked.data,
        )
        self._write(Put(made))
        return made

    async def ingress_ended(self, of: ids.ServiceId) -> None:
        svc = self.state.services[of]
        self._write(Put(replace(svc, ingress_vips=(), ingress_leaves_at=0.0)))

    async def remove_records(self, asked: request.RecordRemove) -> tuple[record.Record, ...]:
        net = lookup.network(self.state, asked.network)
        gone = tuple(
            each
            for each in self.state.records_by_network.get(net.id, ())
            if each.name == asked.name and asked.type in ("", each.kind)
        )
        if not gone:
            raise errors.NotFound("no such record", code="SDD-RECORD-NOTFOUND")
        self._write(*(Gone(record.Record, each.id) for each in gone))
        return gone

    async def record_verdict(
        self, of: ids.ServiceId, endpoint_id: ids.EndpointId, said: health.Said
    ) -> None:
        verdict = health.Verdict(
            service=of, endpoint=endpoint_id, status=said.status, reason=said.reason
        )
        verdict = replace(verdict, failing=said.failing, ingress_failing=said.ingress_failing)
        self._write(Put(verdict))

    async def ensure_default_network(self) -> network.Network:
        return await self.create_network(request.NetworkCreate(name="bridge"))

    def realised(self, *failures: progress.Failure) -> None:
        """Every backend has made a pass over the present state."""
        for each in progress.Backend:
            self.outcomes[each] = progress.Outcome(revision=self.state.revision, failures=failures)
