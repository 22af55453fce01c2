"""State → what the host does with a packet to one of its published ports. Pure.

In: the state and (address, number, protocol). Out: whose port it is, the steps of the host in
words, and where the ingress sandbox takes over.
"""

from collections.abc import Iterator
from typing import NamedTuple

from lb import explain, table
from lb.explain import Step, Target
from lb.passage import Passed
from lb.ports import desired
from lb.ports.table import Entry
from sdd.model import ids, sandbox, service
from sdd.model.network import IPAddress
from sdd.model.port import Port, Protocol
from sdd.state import ClusterState


class Published(NamedTuple):
    """A port of the node: who publishes it, as what, and what it leads to."""

    publisher: sandbox.Sandbox | service.Service
    port: Port
    entry: Entry

    @property
    def is_ingress(self) -> bool:
        """Whether the ingress sandbox chooses the member."""
        by = self.publisher
        return isinstance(by, service.Service) and self.port.is_ingress and bool(by.ingress_vips)


def published(
    state: ClusterState, node: ids.NodeId, address: IPAddress, number: int, protocol: Protocol
) -> Published | None:
    """What `node` publishes there; a port of one address goes before one of all."""
    found = [
        Published(publisher, port, entry)
        for publisher in state.publishers
        for entry in desired.of(state, publisher, node)
        for port in publisher.ports
        if (port.published, port.target, port.protocol) == (number, entry.port, protocol)
        if (entry.bind.number, entry.bind.protocol) == (number, protocol)
        if entry.bind.version == address.version and entry.bind.address in (None, address)
    ]
    return max(found, key=lambda each: each.entry.bind.address is not None, default=None)


def on_host(state: ClusterState, one: Published, address: IPAddress) -> Iterator[Step]:
    """The steps up to where the host sends the packet."""
    kind = "service" if isinstance(one.publisher, service.Service) else "sandbox"
    yield Step(
        f"port {one.port}",
        f"published by {kind} {one.publisher.name}: mode={one.port.mode}, policy={one.port.policy},"
        f" target {one.port.target}",
    )
    ready = tuple(each for each in one.entry.backends if each.weight)
    if not ready:
        yield Step("host", 'nobody takes connections: the client hears "refused" at once')
        return
    if one.is_ingress:
        yield Step(
            "host",
            f"{_at(address, one.port.published)} is rewritten to"
            f" {_at(ready[0].address, one.entry.port)},"
            f" the service's address on ingress, and routed to the ingress sandbox; {_seen(one)}",
        )
        return
    said = ", ".join(
        f"{_who(state, each.address)} weight {each.weight}" for each in one.entry.backends
    )
    yield Step("host", f"the table inet sdd-ports leads to port {one.entry.port} of {said}")
    yield Step("choice", explain.choice_of(_as_service(one, address), "nftables"))
    yield Step("way", f"rewritten by the host and sent straight to the member; {_seen(one)}")


def onward(state: ClusterState, one: Published, box: sandbox.Sandbox) -> Target | None:
    """The virtual address that the ingress sandbox `box` balances for the port."""
    vips = {each.address for each in one.entry.backends}
    return next((each for each in explain.targets(state, box) if each.vip in vips), None)


def _as_service(one: Published, address: IPAddress) -> table.VirtualService:
    return table.VirtualService(
        number=0,
        vip=address,
        scheduler=one.entry.scheduler,
        persistence_s=one.entry.persistence_s,
        backends=one.entry.backends,
    )


def led(state: ClusterState, found: Passed) -> str:
    """Who has the address that a connection was led to, and whom it sees."""
    return f"led to {_who(state, found.backend)}, which sees {found.client}"


def unknown(one: Published, said: str) -> str:
    """The same where the host knows nothing of it (any more)."""
    is_open = any(each.weight for each in one.entry.backends)
    return explain.untold(said) if is_open else explain.NOBODY


def _kept(one: Published) -> str:
    if one.entry.masked:
        return "the member sees an address of the host instead of the client's"
    return "the source stays the client's"


def _seen(one: Published) -> str:
    if one.entry.masked:
        return _kept(one)
    return "the source stays the client's, unless it is the member's neighbour or itself"


def _at(address: IPAddress, number: int) -> str:
    return f"[{address}]:{number}" if address.version == 6 else f"{address}:{number}"  # noqa: PLR2004 - IP


def _who(state: ClusterState, address: IPAddress) -> str:
    for end in state.endpoints.values():
        if address in end.hosts:
            return f"{state.sandboxes[end.sandbox].name} ({address})"
    return str(address)
