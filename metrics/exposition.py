"""What is, as Prometheus families: objects by kind, health of backends. Values in, families out."""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from prometheus_client.core import GaugeMetricFamily

from metrics import bounded
from metrics.registry import Families
from sdd.model import endpoint, health, network, port, sandbox, service


class Objects(Protocol):
    """What of a state is counted; sdd.state.ClusterState has it."""

    @property
    def revision(self) -> int:
        """The store's revision."""
        ...

    @property
    def networks(self) -> Mapping[Any, network.Network]:
        """By id."""
        ...

    @property
    def sandboxes(self) -> Mapping[Any, sandbox.Sandbox]:
        """By id."""
        ...

    @property
    def endpoints(self) -> Mapping[Any, endpoint.Endpoint]:
        """By id."""
        ...

    @property
    def services(self) -> Mapping[Any, service.Service]:
        """By id."""
        ...

    @property
    def members(self) -> Mapping[Any, service.Member]:
        """By service and endpoint."""
        ...

    def status_of(self, member: service.Member, /) -> health.Status:
        """The judged state of one backend."""
        ...


def objects(state: Callable[[], Objects]) -> Callable[[], Awaitable[Families]]:
    """A source for the registry: how many of each kind the newest state holds."""

    async def source() -> Families:
        return families(state())

    return source


def families(now: Objects) -> Families:
    """The gauges of one state; every label value is there from the start, at 0."""
    drivers = Counter(each.driver.value for each in now.networks.values())
    origins = Counter(each.origin.value for each in now.sandboxes.values())
    modes = Counter(each.mode.value for each in now.services.values())
    states = Counter(now.status_of(each).value for each in now.members.values())
    revision = GaugeMetricFamily("sdd_state_revision", "The newest revision read from the store.")
    revision.add_metric((), now.revision)
    endpoints = GaugeMetricFamily("sdd_endpoints", "Interfaces of sandboxes on networks.")
    endpoints.add_metric((), len(now.endpoints))
    published = Counter(one.protocol.value for each in now.sandboxes.values() for one in each.ports)
    published.update(one.protocol.value for each in now.services.values() for one in each.ports)
    return (
        revision,
        endpoints,
        _gauge(
            "sdd_published_ports", "Published ports.", "protocol", _all(port.Protocol, published)
        ),
        _gauge("sdd_networks", "Networks.", "driver", _all(network.Driver, drivers)),
        _gauge("sdd_sandboxes", "Sandboxes.", "origin", _all(sandbox.Origin, origins)),
        _gauge("sdd_services", "Services.", "mode", _all(service.EndpointMode, modes)),
        _gauge(
            "sdd_service_backends", "Backends of services.", "state", _all(health.Status, states)
        ),
        *_named(now),
    )


def _named(now: Objects) -> Families:
    """The families whose labels are names of objects, each bounded."""
    rows = {name: (text, labels, list(made(now))) for name, (text, labels, made) in NAMED.items()}
    shown = [bounded.gauge(name, *parts) for name, parts in rows.items()]
    return (*shown, bounded.left_out((name, len(parts[2])) for name, parts in rows.items()))


def _healthy(now: Objects) -> bounded.Rows:
    for member in now.members.values():
        yield _backend(now, member), float(now.status_of(member) is health.Status.UP)


def _weight(now: Objects) -> bounded.Rows:
    for member in now.members.values():
        yield _backend(now, member), float(member.weight)


def _backend(now: Objects, member: service.Member) -> tuple[str, str]:
    box = now.sandboxes.get(member.sandbox)
    return now.services[member.service].name, box.name if box else ""


# name → (text, labels, rows)
NAMED: Mapping[str, tuple[str, tuple[str, ...], Callable[[Objects], bounded.Rows]]] = {
    "sdd_lb_backend_healthy": ("1 while a backend is up.", ("service", "backend"), _healthy),
    "sdd_lb_backend_weight": ("A backend's share.", ("service", "backend"), _weight),
}


def _all(names: Any, counts: Mapping[str, int]) -> Mapping[str, int]:
    return {each.value: counts.get(each.value, 0) for each in names}


def _gauge(name: str, text: str, label: str, values: Mapping[str, int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=(label,))
    for value, count in values.items():
        family.add_metric((value,), count)
    return family
