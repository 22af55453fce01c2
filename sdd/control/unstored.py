"""Health that cannot be stored: told in the log and in the status, for as long as it is so.

In: what probes want to record. Out: the same to the store; of what it refuses, failures of the
balancer. Names and balancing follow what is stored, so a member that failed still gets its share.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

import structlog

from sdd import errors
from sdd.control import membership
from sdd.model import health, ids
from sdd.model.progress import Backend, Failure, Outcome
from sdd.state import ClusterState, MemberKey

Record = Callable[[ids.ServiceId, ids.EndpointId, health.Said], Awaitable[None]]
Progress = Callable[[], Mapping[Backend, Outcome]]

say: structlog.stdlib.BoundLogger = structlog.get_logger("sdd")


class Unstored:
    """`record` writes to the store, `state` is the newest."""

    def __init__(self, record: Record, state: Callable[[], ClusterState]) -> None:
        self._write = record
        self._state = state
        self._refused: dict[MemberKey, tuple[health.Status, errors.SddError]] = {}

    async def record(self, of: ids.ServiceId, end: ids.EndpointId, said: health.Said) -> None:
        """As the store's; raises what it raises."""
        key = (of, end)
        try:
            await self._write(of, end, said)
        except errors.SddError as exc:
            if key not in self._refused:
                say.warning(
                    "health.unstored",
                    **membership.who(self._state(), key),
                    status=said.status,
                    error=str(exc),
                )
            self._refused[key] = (said.status, exc)
            raise
        if self._refused.pop(key, None):
            say.info("health.stored", **membership.who(self._state(), key), status=said.status)

    def progress(self, made: Progress) -> Progress:
        """`made`, in which the balancer fails at the members whose health is not stored."""

        def now() -> Mapping[Backend, Outcome]:
            outcomes, failures = made(), self._failures()
            last = outcomes.get(Backend.LB)
            if not failures or last is None:
                return outcomes
            failing = replace(last, failures=(*failures, *last.failures))
            return MappingProxyType({**outcomes, Backend.LB: failing})

        return now

    def _failures(self) -> tuple[Failure, ...]:
        for gone in self._refused.keys() - self._state().members.keys():
            del self._refused[gone]
        return tuple(self._failure(key, *each) for key, each in self._refused.items())

    def _failure(self, key: MemberKey, status: health.Status, error: errors.SddError) -> Failure:
        who = membership.who(self._state(), key)
        return Failure(
            subject=key[1],
            sentence=f"that {who['member']} is {status} for {who['service']} cannot be stored:"
            f" {error.sentence}",
            hint=error.hint,
            code=error.code,
        )
