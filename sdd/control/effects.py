"""Options that would change nothing where they are given: refused, so that nobody relies on them.

In: what was asked, and the service as it will be. Out: nothing, or the refusal.
"""

from collections.abc import Collection, Mapping
from types import MappingProxyType

from sdd import errors
from sdd.model import request, service
from sdd.model.service import CheckKind, EndpointMode, HealthCheck, Scheduler

_ALL = frozenset(CheckKind) - {CheckKind.NONE}
_HTTP = frozenset({CheckKind.HTTP, CheckKind.HTTPS})
# What of a check → how people call it, and the kinds that look at it.
_OF_CHECKS: Mapping[str, tuple[str, frozenset[CheckKind]]] = MappingProxyType(
    {
        "interval_s": ("--health-interval", _ALL),
        "fast_s": ("--health-fast", _ALL),
        "timeout_s": ("--health-timeout", _ALL),
        "rise": ("--health-rise", _ALL),
        "fall": ("--health-fall", _ALL),
        "status_low": ("--health-status", _HTTP),
        "status_high": ("--health-status", _HTTP),
        "send": ("--health-send", frozenset({CheckKind.UDP})),
        "expect": ("--health-expect", _HTTP | {CheckKind.UDP}),
    }
)


def check_made(svc: service.Service) -> None:
    """A new service: what is not as usual was asked for. Refused: SDD-SERVICE-HEALTH, -IDLE."""
    usual = HealthCheck()
    _check_health(
        svc, [each for each in _OF_CHECKS if getattr(svc.health, each) != getattr(usual, each)]
    )
    _check_balancing(
        svc, has_scheduler=svc.scheduler is not Scheduler.MH, has_persistence=svc.persistence_s > 0
    )


def check_changed(svc: service.Service, asked: request.ServiceUpdate) -> None:
    """A change that makes `svc` of a service. Refused: SDD-SERVICE-HEALTH, -IDLE."""
    _check_health(svc, [each for each in _OF_CHECKS if getattr(asked.health, each) is not None])
    _check_balancing(
        svc,
        has_scheduler=asked.scheduler is not None,
        has_persistence=bool(asked.persistence_s),
    )


def _check_health(svc: service.Service, given: Collection[str]) -> None:
    kind = svc.health.kind
    for option, kinds in (_OF_CHECKS[each] for each in given):
        if kind in kinds:
            continue
        what = "without a health check" if kind is CheckKind.NONE else f"for a {kind.value} check"
        those = ", ".join(sorted(kinds)) if kinds is not _ALL else "any --health"
        raise errors.Invalid(
            f"service {svc.name!r}: {option} has no effect {what}",
            hint=f"it is for {those}; give that as well, or leave {option} out",
            code="SDD-SERVICE-HEALTH",
        )


def _check_balancing(svc: service.Service, *, has_scheduler: bool, has_persistence: bool) -> None:
    """Callers of a dnsrr service choose themselves, but for its published ports."""
    if svc.mode is not EndpointMode.DNSRR or svc.ports or not (has_scheduler or has_persistence):
        return
    option = "--scheduler" if has_scheduler else "--persistence"
    raise errors.Invalid(
        f"service {svc.name!r}: {option} has no effect in endpoint mode dnsrr without published"
        " ports: callers choose among all addresses",
        hint=f"use --endpoint-mode vip, publish a port, or leave {option} out",
        code="SDD-SERVICE-IDLE",
    )
