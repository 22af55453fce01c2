"""A caller's word for an object → the object: by name, then id, then unique id prefix (G15).

In: the state and a ref. Out: the object, or NotFound, or the Conflict that lists the candidates.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Protocol, TypeVar

from sdd import errors, state
from sdd.model import endpoint as endpoints
from sdd.model import ids
from sdd.model import network as networks
from sdd.model import sandbox as sandboxes
from sdd.model import service as services
from sdd.model import template as templates

CONFIG_ONLY = "config-only"


class Named(Protocol):
    """What can be looked up."""

    @property
    def id(self) -> str:
        """64 hex characters."""
        ...

    @property
    def name(self) -> str:
        """Unique among its kind."""
        ...


T = TypeVar("T", bound=Named)


def network(now: state.ClusterState, ref: str) -> networks.Network:
    """The network that `ref` means.

    Raises NotFound `SDD-NET-NOTFOUND`, Conflict, Invalid `SDD-NET-CONFIG` for a configuration, or
    Forbidden `SDD-NET-PREDEFINED` as `check_ours` does.
    """
    check_ours(ref)
    found = any_network(now, ref)
    if isinstance(found, templates.Template):
        raise errors.Invalid(
            f"network {found.name} is a configuration only: nothing can be connected to it",
            hint=f"make a network from it: sdctl network create NAME --config-from {found.name}",
            code="SDD-NET-CONFIG",
        )
    return found


def check_ours(ref: str) -> None:
    """Raises Forbidden `SDD-NET-PREDEFINED` for a network of Docker's that we do not have."""
    if ref in networks.NOT_OURS:
        raise errors.Forbidden(
            f"operation is not permitted on predefined {ref} network: sdd has none of that name",
            hint="what there is: sdctl network ls; what has no sandbox is on the host's network",
            code="SDD-NET-PREDEFINED",
        )


def template(now: state.ClusterState, ref: str) -> templates.Template:
    """The configuration that `ref` means; raises as `network`, for a network that is none."""
    found = any_network(now, ref)
    if isinstance(found, networks.Network):
        raise errors.Invalid(
            f"network {found.name} is not a configuration",
            hint=f"configurations are made with: sdctl network create NAME --{CONFIG_ONLY}",
            code="SDD-NET-CONFIG",
        )
    return found


def any_network(now: state.ClusterState, ref: str) -> networks.Network | templates.Template:
    """The network or configuration that `ref` means: they share their names and ids."""
    every: list[networks.Network | templates.Template] = [*now.networks.values()]
    every += now.templates.values()
    return _one("network", "NET", every, ref)


def sandbox(now: state.ClusterState, ref: str) -> sandboxes.Sandbox:
    """The sandbox that `ref` means; raises NotFound `SDD-SANDBOX-NOTFOUND` or Conflict."""
    return _named(now.sandboxes_by_name, ref) or _one(
        "sandbox", "SANDBOX", now.sandboxes.values(), ref
    )


def service(now: state.ClusterState, ref: str) -> services.Service:
    """The service that `ref` means; raises NotFound `SDD-SERVICE-NOTFOUND` or Conflict."""
    return _named(now.services_by_name, ref) or _one(
        "service", "SERVICE", now.services.values(), ref
    )


def member(now: state.ClusterState, service_ref: str, sandbox_ref: str) -> services.Member:
    """The sandbox's membership of the service; raises NotFound `SDD-MEMBER-NOTFOUND`."""
    svc, box = service(now, service_ref), sandbox(now, sandbox_ref)
    for each in now.members_by_service.get(svc.id, ()):
        if each.sandbox == box.id:
            return each
    raise errors.NotFound(
        f"sandbox {box.name} is no member of service {svc.name}",
        hint=f"its members: sdctl service ps {svc.name}",
        code="SDD-MEMBER-NOTFOUND",
    )


def endpoint_on(
    now: state.ClusterState, box: ids.SandboxId, net: ids.NetworkId
) -> endpoints.Endpoint | None:
    """The sandbox's endpoint on the network, if it has one (it has at most one)."""
    there = now.endpoints_by_sandbox.get(box, ())
    return next((each for each in there if each.network == net), None)


def _named(names: Mapping[str, tuple[T, ...]], ref: str) -> T | None:
    """The one with that name; without a walk, for most commands name what they mean."""
    return next(iter(names.get(ref, ())), None)


def _one(kind: str, area: str, table: Collection[T], ref: str) -> T:
    for each in table:
        if each.name == ref:
            return each
    # A full id is its own unique prefix: all ids have the same length.
    match [each for each in table if ref and each.id.startswith(ref)]:
        case [only]:
            return only
        case []:
            raise errors.NotFound(
                f"{kind} {errors.quoted(ref)} not found",
                hint=f"list what there is with: sdctl {kind} ls",
                code=f"SDD-{area}-NOTFOUND",
            )
        case several:
            raise errors.Conflict(
                f"{kind} prefix {errors.quoted(ref)} is ambiguous: it fits {_listed(several)}",
                hint="give more characters of the id, or the name",
                code=f"SDD-{area}-AMBIGUOUS",
            )


def _listed(candidates: Iterable[Named]) -> str:
    return ", ".join(
        f"{ids.short(each.id)} ({each.name})" for each in sorted(candidates, key=lambda c: c.name)
    )
