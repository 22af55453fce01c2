"""Model → the JSON that people and scripts see. Keys are Docker's where Docker has the thing.

In: a state and an object of it. Out: plain dictionaries. Empty values that Docker leaves out are
left out. The state may be newer: what the object refers to may be gone, and has no name then.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from ipaddress import IPv4Interface, IPv6Interface
from pathlib import Path
from typing import Any

from sdd import steps, ways
from sdd.api import cautions, healths, ports, settings, subjects
from sdd.control import taken
from sdd.model import (
    endpoint,
    health,
    ids,
    network,
    progress,
    ramp,
    request,
    sandbox,
    service,
    template,
)
from sdd.model.port import Mode
from sdd.model.serving import Serving, Way
from sdd.state import ClusterState

Json = dict[str, Any]


def when(seconds: float) -> str:
    """Seconds since the epoch → RFC 3339 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


# --- networks ---------------------------------------------------------------------------------


def network_name(state: ClusterState, of: ids.NetworkId) -> str:
    """Its name; empty when somebody removed it meanwhile."""
    net = state.networks.get(of)
    return net.name if net else ""


def network_of(
    state: ClusterState, net: network.Network, nameservers: Collection[network.IPAddress] = ()
) -> Json:
    """`network inspect`; `nameservers` are those that the host asks."""
    return {
        "Name": net.name,
        "Id": net.id,
        "Created": when(net.created),
        "Scope": net.scope,
        "Driver": net.driver.value,
        "EnableIPv4": any(pool.subnet.version == 4 for pool in net.pools),  # noqa: PLR2004 - IP version
        "EnableIPv6": any(pool.subnet.version == 6 for pool in net.pools),  # noqa: PLR2004 - IP version
        "IPAM": {"Driver": "default", "Options": {}, "Config": [_pool(p) for p in net.pools]},
        "Status": {"IPAM": {"Subnets": _usage(state, net)}},
        "Internal": net.internal,
        "Predefined": net.predefined,
        "Attachable": net.attachable,
        "Ingress": net.is_ingress,
        "Containers": {
            each.sandbox: _container(state, each)
            for each in state.endpoints_by_network.get(net.id, ())
        },
        "Options": dict(net.options),
        "Labels": dict(net.labels),
        "Dns": settings.network_dns(net),
        "Device": net.device,
        "Services": sorted(
            each.name
            for each in (
                state.ingress_services
                if net.is_ingress
                else state.services_by_network.get(net.id, ())
            )
        ),
        "Warning": cautions.of(net, nameservers),
        "ConfigOnly": False,
        "ConfigFrom": {"Network": _template_name(state, net.template)},
    }


def network_made(
    state: ClusterState,
    net: network.Network,
    nameservers: Collection[network.IPAddress] = (),
    asked: Mapping[str, str] = network.EMPTY,
) -> Json:
    """The same for whoever made it with the options `asked`, with what concerns them alone."""
    told = network_of(state, net, nameservers)
    heard = (
        told["Warning"],
        cautions.other_name(net, asked),
        cautions.open_wire(net),
        cautions.homonym(state, net),
        cautions.unread(net.dns_search),
    )
    return {**told, "Warning": " ".join(filter(None, heard))}


def _template_name(state: ClusterState, of: str) -> str:
    found = state.templates.get(ids.NetworkId(of))
    return found.name if found else ""


def template_of(one: template.Template) -> Json:
    """`network inspect` of a configuration, with the same keys: Docker calls its driver null."""
    return {
        "Name": one.name,
        "Id": one.id,
        "Created": when(one.created),
        "Scope": "local",
        "Driver": "null",
        "EnableIPv4": _has_ipv4(one),
        "EnableIPv6": one.ipv6 or any(_version(spec) == 6 for spec in one.pools),  # noqa: PLR2004 - IP version
        "IPAM": {"Driver": "default", "Options": {}, "Config": [_pool(p) for p in one.pools]},
        "Status": {"IPAM": {"Subnets": {}}},
        "Internal": False,
        "Predefined": False,
        "Attachable": False,
        "Ingress": False,
        "Containers": {},
        "Options": dict(one.options),
        "Labels": dict(one.labels),
        "Dns": settings.network_dns(one),
        "Device": "",
        "Services": [],
        "ConfigOnly": True,
        "ConfigFrom": {"Network": ""},
    }


def _has_ipv4(one: template.Template) -> bool:
    if one.ipv4 is not None:
        return one.ipv4
    return one.ipv6 or not one.pools or any(_version(spec) == 4 for spec in one.pools)  # noqa: PLR2004 - IP version


def _version(spec: request.PoolSpec) -> int:
    named = (spec.subnet, spec.gateway, spec.ip_range)
    return next((each.version for each in named if each is not None), 4)


def _usage(state: ClusterState, net: network.Network) -> Json:
    """How full each subnet is, with Docker's keys."""
    return {
        str(each.subnet): {"IPsInUse": each.in_use, "DynamicIPsAvailable": each.free}
        for each in taken.usage_of(state, net)
    }


def _pool(pool: network.Pool | request.PoolSpec) -> Json:
    found: Json = {} if pool.subnet is None else {"Subnet": str(pool.subnet)}
    if pool.ip_range is not None:
        found["IPRange"] = str(pool.ip_range)
    if pool.gateway is not None:
        found["Gateway"] = str(pool.gateway)
    if pool.aux:
        found["AuxiliaryAddresses"] = {name: str(where) for name, where in pool.aux.items()}
    return found


def _container(state: ClusterState, one: endpoint.Endpoint) -> Json:
    v4, v6 = _families(one)
    return {
        "Name": state.sandboxes[one.sandbox].name,
        "EndpointID": one.id,
        "MacAddress": one.mac,
        "IPv4Address": str(v4 or ""),
        "IPv6Address": str(v6 or ""),
    }


def _families(one: endpoint.Endpoint) -> tuple[IPv4Interface | None, IPv6Interface | None]:
    v4 = next((each for each in one.addresses if isinstance(each, IPv4Interface)), None)
    v6 = next((each for each in one.addresses if isinstance(each, IPv6Interface)), None)
    return v4, v6


# --- sandboxes --------------------------------------------------------------------------------


def sandbox_of(state: ClusterState, box: sandbox.Sandbox, data_root: Path) -> Json:
    """`sandbox inspect`."""
    files = data_root / "sandboxes" / box.id
    endpoints = state.endpoints_by_sandbox.get(box.id, ())
    return {
        "Id": box.id,
        "Name": box.name,
        "Hostname": box.hostname,
        "Origin": box.origin.value,
        "Node": box.node,
        "Netns": box.netns,
        "Networks": {state.networks[e.network].name: endpoint_of(state, e) for e in endpoints},
        "Services": sorted(
            state.services[key[0]].name
            for key, member in state.members.items()
            if member.sandbox == box.id
        ),
        "Dns": settings.sandbox_dns(box),
        "ExtraHosts": [f"{each.name}:{each.address}" for each in box.extra_hosts],
        "Ports": ports.bindings(state, box),
        "ResolvConfPath": str(files / "resolv.conf"),
        "WriteResolvConf": box.resolv_conf.path or box.resolv_conf.writing.value,
        "HostsPath": str(files / "hosts"),
        "Labels": dict(box.labels),
        "Created": when(box.created),
    }


def endpoint_of(state: ClusterState, one: endpoint.Endpoint) -> Json:
    """One entry of `Networks` in `sandbox inspect`, with Docker's keys."""
    net = state.networks.get(one.network)
    pools = net.pools if net else ()
    v4, v6 = _families(one)
    gateways = {p.gateway.version: str(p.gateway) for p in pools if p.gateway is not None}
    return {
        "NetworkID": one.network,
        "EndpointID": one.id,
        "IPAddress": str(v4.ip) if v4 else "",
        "IPPrefixLen": v4.network.prefixlen if v4 else 0,
        "Gateway": gateways.get(4, "") if v4 else "",
        "GlobalIPv6Address": str(v6.ip) if v6 else "",
        "GlobalIPv6PrefixLen": v6.network.prefixlen if v6 else 0,
        "IPv6Gateway": gateways.get(6, "") if v6 else "",
        "LinkLocalIPs": [str(each.ip) for each in one.link_local],
        "MacAddress": one.mac,
        "Aliases": list(one.aliases),
        "InterfaceName": one.ifname,
        "GwPriority": one.gw_priority,
        "DriverOpts": dict(one.options),
    }


# --- services ---------------------------------------------------------------------------------


def service_row(state: ClusterState, one: service.Service) -> Json:
    """A line of `service ls`; Replicas is healthy/all."""
    all_of = state.members_by_service.get(one.id, ())
    return {
        "Id": one.id,
        "Name": one.name,
        "Network": network_name(state, one.network),
        "Mode": one.mode.value,
        "Replicas": f"{len(state.healthy(one.id))}/{len(all_of)}",
        "VIP": ", ".join(str(vip) for vip in one.vips),
        "Ports": ports.listed(one),
        "Labels": dict(one.labels),
    }


def service_of(state: ClusterState, one: service.Service, now: float) -> Json:
    """`service inspect`. Times are in seconds; `now` since the epoch."""
    return {
        "Id": one.id,
        "Name": one.name,
        "Network": network_name(state, one.network),
        "NetworkID": one.network,
        "VIPs": [str(vip) for vip in one.vips],
        "IngressVIPs": [str(vip) for vip in one.ingress_vips],
        "Mode": one.mode.value,
        "Scheduler": one.scheduler.value,
        "Health": healths.of(one.health),
        "Drain": one.drain_s,
        "Persistence": one.persistence_s,
        "Weight": one.weight,
        "Quorum": one.quorum,
        "Panic": one.panic,
        "SlowStart": one.slow_start_s,
        "Serving": state.serving(one).mode.value,
        "ServingBy": {
            str(way): each.mode.value for way, each in ways.differing(state, one).items()
        },
        "Ports": ports.rows(one),
        "Members": members_of(state, one, now),
        "Aliases": list(one.aliases),
        "Labels": dict(one.labels),
        "Created": when(one.created),
    }


def members_of(state: ClusterState, one: service.Service, now: float) -> list[Json]:
    """`service ps`: each backend with its judged state."""
    tenths = steps.of(state, one, now)
    found = ways.differing(state, one)
    members = state.members_by_service.get(one.id, ())
    rows = [_member_of(state, each, now, tenths[each.endpoint], found) for each in members]
    return sorted(rows, key=lambda row: (row["Sandbox"], row["EndpointID"]))


def member_of(state: ClusterState, one: service.Member, now: float) -> Json:
    """One backend of a service; `Share` is the percentage of its weight that it gets at `now`."""
    svc = state.services.get(one.service)
    if svc is None:
        return _member_of(state, one, now, 0, {})
    step = steps.of(state, svc, now)[one.endpoint]
    return _member_of(state, one, now, step, ways.differing(state, svc))


def _member_of(
    state: ClusterState,
    one: service.Member,
    now: float,
    step: int,
    found: Mapping[Way, Serving],
) -> Json:
    at = state.endpoints.get(one.endpoint)
    verdict = state.verdicts.get((one.service, one.endpoint))
    box, svc = state.sandboxes.get(one.sandbox), state.services.get(one.service)
    return {
        "EndpointID": one.endpoint,
        "Sandbox": box.name if box else "",
        "SandboxID": one.sandbox,
        "Node": one.node,
        "Addresses": [str(each) for each in at.hosts] if at else [],
        "Weight": one.weight,
        "Share": 100 * step // ramp.STEPS,
        "Backup": one.backup,
        "ServesBy": [str(way) for way, each in found.items() if each.takes(one.endpoint)],
        "State": _state(state, one),
        "Since": when(verdict.since if verdict else one.created),
        "Reason": _reason(one, verdict, now),
        "Failing": list(verdict.failing) if verdict else [],
        "IngressFailing": list(verdict.ingress_failing) if verdict else [],
        "Ports": ports.listed(svc, Mode.HOST) if svc else "",
    }


def _reason(one: service.Member, verdict: health.Verdict | None, now: float) -> str:
    """Why its state is what it is: of one that leaves, not what its check last said."""
    if one.drains_until:
        left = max(0.0, one.drains_until - now)
        return f"leaves when its connections have ended, at latest in {left:.0f} s"
    return verdict.reason if verdict else ""


def _state(state: ClusterState, one: service.Member) -> str:
    if one.service not in state.services:
        return health.Status.DOWN.value
    if one.drains_until:
        return "draining"
    return state.status_of(one).value


# --- the daemon -------------------------------------------------------------------------------


def backends(
    state: ClusterState,
    outcomes: Mapping[progress.Backend, progress.Outcome],
    repaired: Mapping[progress.Backend, int],
) -> list[Json]:
    """Each backend's last pass, and its repairs so far; revision 0 until it has reported."""
    return [
        _backend(state, each, outcomes.get(each), repaired.get(each, 0))
        for each in progress.Backend
    ]


def _backend(
    state: ClusterState, which: progress.Backend, outcome: progress.Outcome | None, repaired: int
) -> Json:
    return {
        "Name": which.value,
        "Revision": outcome.revision if outcome else 0,
        "Reported": outcome is not None,
        "Repaired": repaired,
        "Failures": [failure_of(state, each) for each in outcome.failures] if outcome else [],
    }


def failure_of(state: ClusterState, one: progress.Failure) -> Json:
    """One thing that is not as wanted."""
    kind, name = subjects.named(state, one.subject)
    return {
        "Subject": one.subject,
        "Kind": kind,
        "Name": name,
        "Error": one.told,
        "Hint": one.hint,
        "Code": one.code,
    }


def record(one: Sequence[Any]) -> Json:
    """One DNS record: (name, ttl, type, data)."""
    name, ttl, rdtype, data = one
    return {"Name": name, "TTL": ttl, "Type": rdtype, "Data": data}
