"""The indexed, immutable view of everything at one revision.

In: typed changes (the feed decodes them). Out: lookups for the reconcilers and the commands.
Nothing here writes, waits or reads a clock; a new state is a new value.
"""

import contextlib
import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Self

from sdd import groups, lineage
from sdd.model import (
    endpoint,
    health,
    ids,
    network,
    objects,
    record,
    sandbox,
    service,
    serving,
    template,
)

Object = objects.Object
MemberKey = tuple[ids.ServiceId, ids.EndpointId]


@dataclass(frozen=True, slots=True)
class Put:
    """An object is created or replaced."""

    value: Object


@dataclass(frozen=True, slots=True)
class Gone:
    """An object no longer exists. `key` is its id, or (service, endpoint) for members/verdicts."""

    kind: type[Object]
    key: str | MemberKey


Change = Put | Gone


def key_of(value: Object) -> str | MemberKey:
    """The key under which `value` is indexed."""
    match value:
        case service.Member() | health.Verdict():
            return (value.service, value.endpoint)
        case _:
            return value.id


@dataclass(frozen=True, eq=False)
class ClusterState:
    """All objects at `revision`. Mappings are never changed after construction."""

    revision: ids.Revision = ids.NEVER
    networks: Mapping[ids.NetworkId, network.Network] = field(default_factory=dict)
    templates: Mapping[ids.NetworkId, template.Template] = field(default_factory=dict)
    sandboxes: Mapping[ids.SandboxId, sandbox.Sandbox] = field(default_factory=dict)
    endpoints: Mapping[ids.EndpointId, endpoint.Endpoint] = field(default_factory=dict)
    services: Mapping[ids.ServiceId, service.Service] = field(default_factory=dict)
    members: Mapping[MemberKey, service.Member] = field(default_factory=dict)
    verdicts: Mapping[MemberKey, health.Verdict] = field(default_factory=dict)
    records: Mapping[ids.RecordId, record.Record] = field(default_factory=dict)

    def apply(self, revision: ids.Revision, changes: Iterable[Change]) -> Self:
        """The state at `revision`: this with `changes` in order. Removing the absent is fine."""
        news: dict[str, dict[Any, Any]] = {}
        for change in changes:
            match change:
                case Put(value):
                    news.setdefault(TABLES[type(value)], {})[key_of(value)] = value
                case Gone(kind, key):
                    news.setdefault(TABLES[kind], {})[key] = None
        tables = {name: getattr(self, name) for name in TABLES.values()}
        # What is written again as it was, to guard it, stays the object that it was.
        touched = {
            name: found
            for name, those in news.items()
            if (found := {key: new for key, new in those.items() if tables[name].get(key) != new})
        }
        after = type(self)(
            revision=revision,
            **tables | {name: lineage.successor(tables[name], touched[name]) for name in touched},
        )
        after.__dict__.update(_inherited(self, after, touched))
        return after

    def _grouped(self, index: str) -> Mapping[Any, tuple[Any, ...]]:
        grouping = GROUPINGS[index]
        order = functools.partial(grouping.order, self)
        return groups.grouped(getattr(self, grouping.table).values(), grouping.owner, order)

    # Indexes are made on first use: most states of a burst are superseded before anyone looks.

    def indexed(self) -> Self:
        """The same with all groups made, for which no command waits then."""
        for index in GROUPINGS:
            with contextlib.suppress(KeyError):  # of a damaged store: whoever wants it fails
                getattr(self, index)
        return self

    @cached_property
    def endpoints_by_sandbox(self) -> Mapping[ids.SandboxId, tuple[endpoint.Endpoint, ...]]:
        """Each sandbox's endpoints in gateway order (docker.md G1): also the order of names."""
        return self._grouped("endpoints_by_sandbox")

    @cached_property
    def endpoints_by_network(self) -> Mapping[ids.NetworkId, tuple[endpoint.Endpoint, ...]]:
        """Each network's endpoints, ordered by id."""
        return self._grouped("endpoints_by_network")

    @cached_property
    def services_by_network(self) -> Mapping[ids.NetworkId, tuple[service.Service, ...]]:
        """Each network's services, ordered by id."""
        return self._grouped("services_by_network")

    @cached_property
    def records_by_network(self) -> Mapping[ids.NetworkId, tuple[record.Record, ...]]:
        """Each network's added records, ordered by name, type and data."""
        return self._grouped("records_by_network")

    @cached_property
    def members_by_service(self) -> Mapping[ids.ServiceId, tuple[service.Member, ...]]:
        """Each service's members, ordered by endpoint id (the order is part of `mh` hashing)."""
        return self._grouped("members_by_service")

    @cached_property
    def members_by_endpoint(self) -> Mapping[ids.EndpointId, tuple[service.Member, ...]]:
        """Each endpoint's memberships, ordered by service id."""
        return self._grouped("members_by_endpoint")

    @cached_property
    def sandboxes_by_node(self) -> Mapping[ids.NodeId, tuple[sandbox.Sandbox, ...]]:
        """Each node's sandboxes, ordered by id."""
        return self._grouped("sandboxes_by_node")

    @cached_property
    def sandboxes_by_name(self) -> Mapping[str, tuple[sandbox.Sandbox, ...]]:
        """The sandboxes of a name; several only if another program wrote into the store."""
        return self._grouped("sandboxes_by_name")

    @cached_property
    def services_by_name(self) -> Mapping[str, tuple[service.Service, ...]]:
        """The same of services."""
        return self._grouped("services_by_name")

    @cached_property
    def draining(self) -> tuple[service.Member, ...]:
        """The members that are leaving."""
        return tuple(each for each in self.members.values() if each.drains_until)

    @cached_property
    def departing(self) -> tuple[sandbox.Sandbox | endpoint.Endpoint, ...]:
        """What is being removed or disconnected."""
        boxes = (each for each in self.sandboxes.values() if each.leaves_at)
        return (*boxes, *(each for each in self.endpoints.values() if each.leaves_at))

    @cached_property
    def wildcards(self) -> tuple[record.Record, ...]:
        """The records that stand for many names."""
        return tuple(each for each in self.records.values() if each.is_wildcard)

    @cached_property
    def publishers(self) -> tuple[sandbox.Sandbox | service.Service, ...]:
        """Everything that publishes ports."""
        boxes = (each for each in self.sandboxes.values() if each.ports)
        return (*boxes, *(each for each in self.services.values() if each.ports))

    @cached_property
    def ingress(self) -> network.Network | None:
        """The network on which published ports reach their members, while there is one."""
        return next((net for net in self.networks.values() if net.is_ingress), None)

    @cached_property
    def ingress_services(self) -> tuple[service.Service, ...]:
        """The services that are reached there, ordered by id."""
        found = (each for each in self.services.values() if each.ingress_vips)
        return tuple(sorted(found, key=lambda one: one.id))

    @cached_property
    def ingress_sandboxes(self) -> tuple[sandbox.Sandbox, ...]:
        """The ingress sandboxes of all nodes."""
        return tuple(each for each in self.sandboxes.values() if each.is_ingress)

    def on_ingress(self, box: ids.SandboxId) -> endpoint.Endpoint | None:
        """The sandbox's endpoint on that network, if it has one."""
        net = self.ingress
        ends = self.endpoints_by_sandbox.get(box, ()) if net else ()
        return next((each for each in ends if net and each.network == net.id), None)

    def status_of(self, member: service.Member) -> health.Status:
        """UP without a check, else the last verdict, else STARTING."""
        svc = self.services[member.service]
        if svc.health.kind is service.CheckKind.NONE:
            return health.Status.UP
        verdict = self.verdicts.get((member.service, member.endpoint))
        return verdict.status if verdict else health.Status.STARTING

    def healthy(self, of: ids.ServiceId) -> tuple[service.Member, ...]:
        """The members that are up at this revision."""
        return tuple(
            member
            for member in self.members_by_service.get(of, ())
            if self.status_of(member) is health.Status.UP
        )

    def up_since(self, member: service.Member) -> float:
        """When a member that is up turned up, in seconds since the epoch."""
        verdict = self.verdicts.get((member.service, member.endpoint))
        return member.created if verdict is None else verdict.since

    @cached_property
    def slow_starters(self) -> tuple[service.Service, ...]:
        """The services whose members start slowly."""
        return tuple(each for each in self.services.values() if each.slow_start_s)

    def serving(
        self, svc: service.Service, version: int = 0, *, is_ingress: bool = False
    ) -> serving.Serving:
        """The members that names and balancers hand out to who comes by that IP version.

        0: to whoever comes, the service as a whole.
        """
        members = self.members_by_service.get(svc.id, ())
        if svc.health.kind is service.CheckKind.NONE:
            return serving.serving(svc, members, None)
        verdicts = self.verdicts

        def is_up(member: service.Member) -> bool:
            verdict = verdicts.get((member.service, member.endpoint))
            return verdict is not None and verdict.status is health.Status.UP

        def answers(member: service.Member) -> bool:
            verdict = verdicts.get((member.service, member.endpoint))
            return verdict is not None and verdict.answers(version, is_ingress=is_ingress)

        return serving.serving(svc, members, is_up, answers if version else None)

    def is_split(self, svc: service.Service) -> bool:
        """Whether a member answers in one way and not in another: who serves may differ then."""
        verdicts = self.verdicts
        members = self.members_by_service.get(svc.id, ()) if verdicts else ()
        found = (verdicts.get((each.service, each.endpoint)) for each in members)
        return any(each is not None and each.is_split for each in found)


TABLES: Mapping[type[Object], str] = MappingProxyType(
    {
        network.Network: "networks",
        template.Template: "templates",
        sandbox.Sandbox: "sandboxes",
        endpoint.Endpoint: "endpoints",
        service.Service: "services",
        service.Member: "members",
        health.Verdict: "verdicts",
        record.Record: "records",
    }
)
# index → the tables it is made of
INDEXES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "endpoints_by_sandbox": frozenset({"endpoints", "networks"}),
        "endpoints_by_network": frozenset({"endpoints"}),
        "services_by_network": frozenset({"services"}),
        "members_by_service": frozenset({"members"}),
        "members_by_endpoint": frozenset({"members"}),
        "sandboxes_by_node": frozenset({"sandboxes"}),
        "records_by_network": frozenset({"records"}),
        "slow_starters": frozenset({"services"}),
        "publishers": frozenset({"sandboxes", "services"}),
        "ingress": frozenset({"networks"}),
        "ingress_services": frozenset({"services"}),
        "ingress_sandboxes": frozenset({"sandboxes"}),
        "sandboxes_by_name": frozenset({"sandboxes"}),
        "services_by_name": frozenset({"services"}),
        "draining": frozenset({"members"}),
        "departing": frozenset({"sandboxes", "endpoints"}),
        "wildcards": frozenset({"records"}),
    }
)
# index of few objects → what these have and no others: the rest may change, and it stays
FEW: Mapping[str, Callable[[Any], object]] = MappingProxyType(
    {
        "slow_starters": attrgetter("slow_start_s"),
        "publishers": attrgetter("ports"),
        "ingress": attrgetter("is_ingress"),
        "ingress_services": attrgetter("ingress_vips"),
        "ingress_sandboxes": attrgetter("is_ingress"),
        "draining": attrgetter("drains_until"),
        "departing": attrgetter("leaves_at"),
        "wildcards": attrgetter("is_wildcard"),
    }
)


def _inherited(
    before: ClusterState, after: ClusterState, touched: Mapping[str, Collection[object]]
) -> Iterator[tuple[str, object]]:
    """The indexes of `before` that stay right or are amended; the others are made when wanted."""
    for index, sources in INDEXES.items():
        if index not in before.__dict__:
            continue
        moved = {name: touched[name] for name in sources & touched.keys()}
        if not moved or (index in FEW and _are_beside(before, after, moved, FEW[index])):
            yield index, before.__dict__[index]
        elif index in GROUPINGS and sources & touched.keys() == {GROUPINGS[index].table}:
            # An order may lean on what is not there (yet): then it fails whoever wants the index.
            with contextlib.suppress(KeyError):
                yield index, _amended(before, after, index, touched[GROUPINGS[index].table])


def _are_beside(
    before: ClusterState,
    after: ClusterState,
    moved: Mapping[str, Collection[object]],
    is_in: Callable[[Any], object],
) -> bool:
    """Whether none of those that changed is, or was, in an index of few objects."""
    return not any(
        is_in(found)
        for name, keys in moved.items()
        for key in keys
        for state in (before, after)
        if (found := getattr(state, name).get(key)) is not None
    )


def _amended(
    before: ClusterState, after: ClusterState, index: str, keys: Collection[object]
) -> Mapping[Any, tuple[Any, ...]]:
    grouping = GROUPINGS[index]
    old, new = getattr(before, grouping.table), getattr(after, grouping.table)
    return groups.regrouped(
        before.__dict__[index],
        [old[key] for key in keys if key in old],
        [new[key] for key in keys if key in new],
        grouping.owner,
        functools.partial(grouping.order, after),
    )


def _gateway_order(state: ClusterState, each: endpoint.Endpoint) -> tuple[int, bool, int, str]:
    net = state.networks[each.network]
    families = len({pool.gateway.version for pool in net.pools if pool.gateway is not None})
    return (-each.gw_priority, net.internal, -families, net.name)


@dataclass(frozen=True, slots=True)
class Grouping:
    """An index that groups one table; `order` sorts a group, by what else the state says of it."""

    table: str
    owner: Callable[[Any], Any]
    order: Callable[[ClusterState, Any], Any]


GROUPINGS: Mapping[str, Grouping] = MappingProxyType(
    {
        "endpoints_by_sandbox": Grouping("endpoints", attrgetter("sandbox"), _gateway_order),
        "endpoints_by_network": Grouping(
            "endpoints", attrgetter("network"), lambda _, each: each.id
        ),
        "services_by_network": Grouping("services", attrgetter("network"), lambda _, each: each.id),
        "members_by_service": Grouping(
            "members", attrgetter("service"), lambda _, each: each.endpoint
        ),
        "members_by_endpoint": Grouping(
            "members", attrgetter("endpoint"), lambda _, each: each.service
        ),
        "sandboxes_by_node": Grouping("sandboxes", attrgetter("node"), lambda _, each: each.id),
        "records_by_network": Grouping(
            "records",
            attrgetter("network"),
            lambda _, each: (each.name, each.kind, each.data),
        ),
        "sandboxes_by_name": Grouping("sandboxes", attrgetter("name"), lambda _, each: each.id),
        "services_by_name": Grouping("services", attrgetter("name"), lambda _, each: each.id),
    }
)
EMPTY = ClusterState()
