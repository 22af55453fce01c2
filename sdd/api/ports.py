"""Published ports as people and scripts see them, with Docker's keys.

In: a state and whoever publishes. Out: what is really bound, family by family.
"""

from collections import defaultdict
from typing import Any

from lb.ports import desired
from lb.ports.table import Bind
from sdd.model import port, sandbox, service
from sdd.state import ClusterState

_ANY = {4: "0.0.0.0", 6: "::"}


def bindings(state: ClusterState, box: sandbox.Sandbox) -> dict[str, list[dict[str, str]]]:
    """`Ports` of `sandbox inspect`: target → where it is published, besides its own address.

    Of a port that leads nowhere, for the sandbox left all networks that let ports in, nothing.
    """
    found: defaultdict[str, list[dict[str, str]]] = defaultdict(list)
    found |= {f"{each.target}/{each.protocol}": [] for each in box.ports}
    for each in desired.of(state, box, box.node):
        if not each.backends:
            continue
        place = {"HostIp": _host(each.bind), "HostPort": str(each.bind.number)}
        found[f"{each.port}/{each.bind.protocol}"].append(place)
    return dict(found)


def lost(state: ClusterState, box: sandbox.Sandbox) -> str:
    """That ports of the sandbox lead nowhere, in a sentence; empty when all do."""
    idle = [
        f"{each.bind.number}->{each.port}/{each.bind.protocol}"
        for each in desired.of(state, box, box.node)
        if not each.backends
    ]
    if not idle:
        return ""
    return (
        f"ports of sandbox {box.name} lead nowhere until it is connected to a bridge network that"
        f" lets ports in, and stay reserved for it: {', '.join(idle)}"
    )


def rows(svc: service.Service) -> list[dict[str, Any]]:
    """`Ports` of `service inspect`."""
    return [
        {
            "Protocol": each.protocol.value,
            "TargetPort": each.target,
            "PublishedPort": each.published,
            "PublishMode": each.mode.value,
            "Policy": each.policy.value,
            "HostIp": "" if each.address is None else str(each.address),
        }
        for each in svc.ports
    ]


def listed(svc: service.Service, mode: port.Mode | None = None) -> str:
    """`*:8080->80/tcp` each: all of a service, or those of one mode; `80/tcp` without a number."""
    return port.listed(
        (_shown(each), each.published, each.target, each.protocol)
        for each in svc.ports
        if mode in (None, each.mode)
    )


def _shown(each: port.Port) -> str:
    if each.address is None:
        return "*"
    return f"[{each.address}]" if each.address.version == 6 else str(each.address)  # noqa: PLR2004 - IP


def _host(bind: Bind) -> str:
    return str(bind.address or _ANY[bind.version])
