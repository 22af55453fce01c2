"""The whole API as one table: method, path, who may, what does it, and which body it takes."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from sdd.api import (
    balancing,
    daemon,
    dns,
    events,
    logs,
    networks,
    records,
    sandboxes,
    services,
    verify,
)
from sdd.api.call import Access, Call, Reply
from sdd.api.context import Context
from sdd.model import request

Handler = Callable[[Context, Call], Awaitable[Reply]]
READ, ADMIN = Access.READ, Access.ADMIN


@dataclass(frozen=True, slots=True)
class Route:
    """One row. `action` names the command in metrics and in the OpenAPI document.

    `query` are the names that its query may have; ANYTHING where strangers ask.
    """

    method: str
    path: str
    access: Access
    handler: Handler
    action: str
    takes: type[Any] | None = None
    query: tuple[str, ...] = ()


ANYTHING = ("*",)
QUESTION = ("from", "name", "type", "timeout")
STREAM = ("since", "tail", "follow")
NETWORK, SANDBOX, SERVICE = "/v1/networks", "/v1/sandboxes", "/v1/services"
RECORDS = "/v1/dns/records"
MEMBERS = f"{SERVICE}/{{ref}}/members"

ROUTES: tuple[Route, ...] = (
    Route("GET", NETWORK, READ, networks.listing, "network_ls"),
    Route("POST", NETWORK, ADMIN, networks.create, "network_create", request.NetworkCreate),
    Route("GET", f"{NETWORK}/{{ref}}", READ, networks.inspect, "network_inspect"),
    Route("DELETE", f"{NETWORK}/{{ref}}", ADMIN, networks.remove, "network_rm"),
    Route(
        "PATCH",
        f"{NETWORK}/{{ref}}",
        ADMIN,
        networks.update,
        "network_update",
        request.NetworkUpdate,
    ),
    Route(
        "POST",
        f"{NETWORK}/{{ref}}/connect",
        ADMIN,
        networks.connect,
        "network_connect",
        networks.Connect,
    ),
    Route(
        "POST",
        f"{NETWORK}/{{ref}}/disconnect",
        ADMIN,
        networks.disconnect,
        "network_disconnect",
        networks.Disconnect,
    ),
    Route("GET", SANDBOX, READ, sandboxes.listing, "sandbox_ls"),
    Route("POST", SANDBOX, ADMIN, sandboxes.create, "sandbox_create", request.SandboxCreate),
    Route("GET", f"{SANDBOX}/{{ref}}", READ, sandboxes.inspect, "sandbox_inspect"),
    Route("DELETE", f"{SANDBOX}/{{ref}}", ADMIN, sandboxes.remove, "sandbox_rm"),
    Route("GET", SERVICE, READ, services.listing, "service_ls"),
    Route("POST", SERVICE, ADMIN, services.create, "service_create", request.ServiceCreate),
    Route("GET", f"{SERVICE}/{{ref}}", READ, services.inspect, "service_inspect"),
    Route("DELETE", f"{SERVICE}/{{ref}}", ADMIN, services.remove, "service_rm"),
    Route(
        "PATCH",
        f"{SERVICE}/{{ref}}",
        ADMIN,
        services.update,
        "service_update",
        request.ServiceUpdate,
    ),
    Route("GET", MEMBERS, READ, services.members, "service_ps"),
    Route("POST", MEMBERS, ADMIN, services.join, "service_join", request.Join),
    Route(
        "PATCH",
        f"{MEMBERS}/{{sandbox}}",
        ADMIN,
        services.set_weight,
        "service_set_weight",
        services.Weight,
    ),
    Route(
        "DELETE", f"{MEMBERS}/{{sandbox}}", ADMIN, services.leave, "service_leave", query=("drain",)
    ),
    Route(
        "POST",
        f"{MEMBERS}/{{sandbox}}/report",
        ADMIN,
        services.report,
        "service_report",
        services.Report,
    ),
    Route("GET", "/v1/dns/query", READ, dns.query, "dns_query", query=(*QUESTION, "tcp", "search")),
    Route("GET", "/v1/dns/trace", READ, dns.trace, "dns_trace", query=QUESTION),
    Route("GET", "/v1/dns/cache", READ, dns.cached, "dns_cache_ls"),
    Route("DELETE", "/v1/dns/cache", ADMIN, dns.flush, "dns_cache_flush", query=("name",)),
    Route("GET", "/v1/dns/upstreams", READ, dns.upstreams, "dns_upstream_ls"),
    Route("GET", RECORDS, READ, records.listing, "dns_record_ls", query=("network",)),
    Route("POST", RECORDS, ADMIN, records.add, "dns_record_add", request.RecordAdd),
    Route(
        "DELETE",
        RECORDS,
        ADMIN,
        records.remove,
        "dns_record_rm",
        query=("network", "name", "type", "data"),
    ),
    Route("GET", "/v1/lb", READ, balancing.listing, "lb_ls", query=("from", "rates", "service")),
    Route(
        "GET",
        "/v1/lb/trace",
        READ,
        balancing.trace,
        "lb_trace",
        query=("from", "to", "port", "protocol"),
    ),
    Route("GET", "/v1/events", READ, events.listing, "events", query=STREAM),
    Route("GET", "/v1/logs", ADMIN, logs.listing, "logs", query=STREAM),
    Route("GET", "/v1/verify", READ, verify.listing, "verify"),
    Route("GET", "/v1/status", READ, daemon.status, "status"),
    Route("GET", "/v1/version", READ, daemon.version, "version"),
)

# Also served where Prometheus and load balancers look, without credentials.
PROBES: tuple[Route, ...] = (
    Route("GET", "/healthz", READ, daemon.healthz, "healthz", query=ANYTHING),
    Route("GET", "/readyz", READ, daemon.readyz, "readyz", query=ANYTHING),
    Route("GET", "/metrics", READ, daemon.metrics, "metrics", query=ANYTHING),
)
