"""Members whose checks cannot be made: told in the log and in the status, for as long as it is so.

In: whose check cannot be made, and why. Out: failures of the balancer. Such members keep their
status, and so their share, since nothing speaks against them: somebody has to know.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

import structlog

from sdd.control import membership
from sdd.model.progress import Backend, Failure, Outcome
from sdd.state import ClusterState, MemberKey

Progress = Callable[[], Mapping[Backend, Outcome]]

HINT = (
    "let sdd have what it lacks (in sdd.service: LimitNOFILE, TasksMax, MemoryMax; of the host:"
    " net.ipv4.ip_local_port_range, a route, the firewall's leave; of an adopted sandbox: a path"
    " that does not hang); sdd tries on by itself"
)

say: structlog.stdlib.BoundLogger = structlog.get_logger("sdd")


class Unchecked:
    """`state` is the newest."""

    def __init__(self, state: Callable[[], ClusterState]) -> None:
        self._state = state
        self._reasons: dict[MemberKey, str] = {}

    def turned(self, key: MemberKey, reason: str) -> None:
        """As `lb.probes.Turned`. A reason is logged once, however many members it concerns."""
        known = set(self._reasons.values())
        before = self._reasons.pop(key, "")
        if reason:
            self._reasons[key] = reason
            if reason not in known:
                say.warning("health.unchecked", **membership.who(self._state(), key), why=reason)
        if before and before not in self._reasons.values():
            say.info("health.checked", **membership.who(self._state(), key), why=before)

    def reasons(self) -> Mapping[MemberKey, str]:
        """Why checks cannot be made, by member."""
        return self._reasons

    def progress(self, made: Progress) -> Progress:
        """`made`, in which the balancer fails at these members."""

        def now() -> Mapping[Backend, Outcome]:
            outcomes = made()
            last = outcomes.get(Backend.LB)
            if not self._reasons or last is None:
                return outcomes
            state = self._state()
            failures = (_failure(state, *each) for each in self._reasons.items())
            failing = replace(last, failures=(*failures, *last.failures))
            return MappingProxyType({**outcomes, Backend.LB: failing})

        return now


def _failure(state: ClusterState, key: MemberKey, reason: str) -> Failure:
    service = membership.who(state, key)["service"]
    return Failure(
        subject=key[1],
        sentence=f"its checks for service {service} cannot be made, so its health stays as it was:"
        f" {reason}",
        hint=HINT,
        code="SDD-HEALTH-UNMADE",
    )
