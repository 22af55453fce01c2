"""Everything a caller can ask for, in one place: what the API, the probes and the hooks call.

In: parsed requests (sdd.model.request). Out: model objects, once this node has realised them.
The work is done by one file per noun; no check, key or sentence may live here.
"""

from typing import Protocol

from sdd.model import endpoint, health, ids, network, record, request, sandbox, service, template


class Commands(Protocol):
    """All verbs. Each returns after this node's backends realised the change, or raises.

    Raises the errors of sdd.errors; `KernelRefused` when a backend could not realise an object
    the command touched (a create is undone first), `TimedOut` when no backend answered in time.
    """

    async def create_network(self, asked: request.NetworkCreate) -> network.Network:
        """The new network, with its pools and gateways chosen."""
        ...

    async def create_template(self, asked: request.NetworkCreate) -> template.Template:
        """The new configuration, from which networks can be made."""
        ...

    async def remove_template(self, ref: str) -> template.Template:
        """The configuration that is gone; refused while networks made from it are there."""
        ...

    async def remove_network(self, ref: str) -> network.Network:
        """The network that is gone; refused while sandboxes or services use it."""
        ...

    async def update_network(self, ref: str, asked: request.NetworkUpdate) -> network.Network:
        """The network with its new DNS settings."""
        ...

    async def create_sandbox(self, asked: request.SandboxCreate) -> sandbox.Sandbox:
        """The new sandbox with all its endpoints and memberships; adopts for `netns` or `pid`."""
        ...

    async def remove_sandbox(self, ref: str) -> sandbox.Sandbox:
        """The sandbox that is gone, with its endpoints, memberships and verdicts."""
        ...

    async def connect(self, sandbox_ref: str, asked: request.Attachment) -> endpoint.Endpoint:
        """The new endpoint of the sandbox on `asked.network`."""
        ...

    async def disconnect(self, network_ref: str, sandbox_ref: str) -> endpoint.Endpoint:
        """The endpoint that is gone; the sandbox also leaves the services of that network."""
        ...

    async def create_service(self, asked: request.ServiceCreate) -> service.Service:
        """The new service with its virtual addresses and number."""
        ...

    async def update_service(self, ref: str, asked: request.ServiceUpdate) -> service.Service:
        """The service as it is now; its members and their connections stay."""
        ...

    async def remove_service(self, ref: str) -> service.Service:
        """The service that is gone, with its members."""
        ...

    async def join(self, service_ref: str, asked: request.Join) -> service.Member:
        """The membership of the sandbox's endpoint on the service's network."""
        ...

    async def leave(
        self, service_ref: str, sandbox_ref: str, drain_s: float | None = 0.0
    ) -> service.Member:
        """The membership that is gone, after its connections ended or `drain_s` passed.

        None means the service's own `drain_s`.
        """
        ...

    async def drained(self, of: ids.ServiceId, endpoint_id: ids.EndpointId) -> None:
        """Ends a membership that was draining; nothing when it is gone or stays after all."""
        ...

    async def ingress_ended(self, of: ids.ServiceId) -> None:
        """Takes a service's addresses on `ingress` that no port leads to; nothing otherwise."""
        ...

    async def set_weight(self, service_ref: str, sandbox_ref: str, weight: int) -> service.Member:
        """The membership with its new weight, 0..65535; 0 drains."""
        ...

    async def add_record(self, asked: request.RecordAdd) -> record.Record:
        """The new DNS record of a network."""
        ...

    async def remove_records(self, asked: request.RecordRemove) -> tuple[record.Record, ...]:
        """The records that are gone: all that `asked` fits, at least one."""
        ...

    async def record_verdict(
        self, of: ids.ServiceId, endpoint_id: ids.EndpointId, said: health.Said
    ) -> None:
        """Writes a transition; nothing when the status is the same or the member is gone."""
        ...

    async def ensure_default_network(self) -> network.Network:
        """The predefined network `bridge`, made when it is not there."""
        ...
