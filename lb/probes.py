"""Checks the members of this node and records transitions: one task per checked member.

In: the newest state, the members' own reports, news of cables, suspicions. Out: `record` calls,
made only when a status changes, and whose check cannot be made. How to dial is `dial`'s business,
what the results come to is `finding`'s, who is checked is `checks`', what makes a member suspect
is `suspicion`'s and `neighbours`'.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Never

from lb import dial as dials
from lb import finding, judge, patience
from lb.cable import Cable
from lb.checked import Checked, checked, nothing
from lb.checks import Check, said
from lb.dial import Result
from lb.unmade import Unmade
from sdd import affected, errors
from sdd.model import health, ids
from sdd.model.network import IPAddress
from sdd.model.service import CheckKind
from sdd.reconcile import Slot
from sdd.state import ClusterState, MemberKey

Record = Callable[[ids.ServiceId, ids.EndpointId, health.Said], Awaitable[None]]
# A check of a service took so many seconds.
Told = Callable[[ids.ServiceId, Result | Unmade, float], None]
# A member's check cannot be made, and why; "" when it can be again.
Turned = Callable[[MemberKey, str], None]

IDLE_S = 3600.0  # without a new state nothing is to be decided here
DENIED_S = 0.1  # between checks of a member against whom both a sign and a check speak
SPREAD = 0.2  # of an interval, by which a check may come earlier
CUT = Result(passed=False, reason="its link is down or gone", is_final=True)


class _Post:
    """Where one member's task hears what was said about it meanwhile."""

    def __init__(self, *, is_watched: bool, answered: frozenset[finding.Way] = frozenset()) -> None:
        self.answered = answered  # the ways in which the program has answered
        self.is_cut = False  # read by `cut`: it changes while others wait
        self.is_doubted = False
        self.is_watched = (
            is_watched  # it is checked quickly already, or is down: signs say nothing new
        )
        self.report: Result | None = None
        self.unmade = 0  # tries in a row of which some could not be made
        self.unchecked = ""  # why, once that many failures would have turned the status
        self._wake = asyncio.Event()
        self._under_way: set[asyncio.Timeout] = set()  # what a cut cable ends

    def cut(self) -> bool:
        return self.is_cut

    def turn(self) -> None:
        """The cable is cut, or is mended."""
        self.is_cut = not self.is_cut
        for each in self._under_way if self.is_cut else ():
            if not each.expired():  # of a cut just before
                each.reschedule(asyncio.get_running_loop().time())
        self.wake()

    async def unless_cut(self, check: Awaitable[Result | Unmade]) -> Result | Unmade:
        """Its result; that the cable was cut meanwhile is known before any silence tells."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None) as limit:
                self._under_way.add(limit)
                try:
                    return await check
                finally:
                    self._under_way.discard(limit)
        return CUT

    def wake(self) -> None:
        self._wake.set()

    async def heard(self) -> None:
        """Until somebody says something."""
        await self._wake.wait()
        self._wake.clear()

    async def wait(self, timeout_s: float) -> None:
        """The same, or until time is up."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self.heard()
        self._wake.clear()


class Probes:
    """`clock` in seconds, monotonic; `jitter` gives 0..1 and spreads the checks."""

    def __init__(
        self,
        record: Record,
        node: ids.NodeId,
        clock: Callable[[], float],
        jitter: Callable[[], float],
        *,
        dial: dials.Dial = dials.dial,
        told: Told = lambda *_: None,
        turned: Turned = lambda *_: None,
    ) -> None:
        self._told = told
        self._turned = turned
        self._record = record
        self._node = node
        self._clock = clock
        self._jitter = jitter
        self._dial = dial
        self._running: dict[MemberKey, tuple[Check, _Post, asyncio.Task[None]]] = {}
        self._by_link: dict[str, set[MemberKey]] = {}
        self._down: set[str] = set()  # links that are there, without a carrier
        self._suspicions: Counter[ids.ServiceId] = Counter()
        self._newer: dict[MemberKey, health.Said] = {}

    async def run(self, slot: Slot) -> Never:
        """Check whoever the newest state says, for ever; ends by cancellation only.

        It may begin anew: then nobody is checked yet.
        """
        known = nothing(self._node)
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    state = await slot.next(IDLE_S)
                    if state is not None:
                        before, known = known, checked(state, known)
                        self._follow(before, known, group)
        finally:
            for each in tuple(self._running):
                self._ended(each, None)

    def cables(self, found: Mapping[str, Cable]) -> None:
        """These links are another way than before: a member whose cable is cut is down at once."""
        for link, cable in found.items():
            (self._down.add if cable is Cable.DOWN else self._down.discard)(link)
            for key in self._by_link.get(link, ()):
                _, post, _ = self._running[key]
                if post.is_cut != (cable is not Cable.UP):
                    post.turn()

    def report(self, key: MemberKey, *, passed: bool, reason: str) -> None:
        """A member with a ttl check says how it is.

        Raises `errors.Conflict` when this node makes no ttl check of it.
        """
        found = self._running.get(key)
        if found is None or found[0].how.kind is not CheckKind.TTL:
            raise errors.Conflict(
                "this member is not one that reports to this node",
                hint="reports are for services with --health ttl:TIME, on the member's own node",
                code="SDD-HEALTH-REPORT",
            )
        found[1].report = Result(
            passed=passed, reason=reason or ("reported" if passed else "reported as failed")
        )
        found[1].wake()

    def suspect(self, key: MemberKey) -> None:
        """Something speaks against a member: it is checked at once, and quickly until it passed."""
        if (found := self._running.get(key)) is not None:
            check, post, _ = found
            # Of a member that reports itself, nobody can be asked. A check that is refused is seen
            # as a sign itself: it must not call for the next one.
            if check.how.kind is not CheckKind.TTL and not post.is_watched:
                self._suspicions[key[0]] += 1
                post.is_doubted = True
                post.wake()

    def suspicions(self) -> Mapping[ids.ServiceId, int]:
        """How often a member of a service was checked at once because of a sign."""
        return self._suspicions

    def newer(self) -> Mapping[MemberKey, health.Said]:
        """What members fail by now, where that is not the reason that was recorded."""
        return self._newer

    def unreached(self, address: IPAddress) -> None:
        """Who has this address is suspect: it refused, or nobody on the wire answered for it."""
        for key, (check, _, _) in tuple(self._running.items()):
            if address in check.known_by:
                self.suspect(key)

    def _follow(self, before: Checked, now: Checked, group: asyncio.TaskGroup) -> None:
        for gone in [each for each in self._suspicions if each not in now.state.services]:
            del self._suspicions[gone]
        for key in affected.changed(before.checks, now.checks):
            check = now.checks.get(key)
            answered = self._ended(key, check)
            if check is not None:
                self._begin(key, check, now.state, answered, group)

    def _ended(self, key: MemberKey, then: Check | None) -> frozenset[finding.Way] | None:
        """Ends a member's check; the ways in which what `then` asks as well has answered."""
        if key not in self._running:
            return None
        check, post, task = self._running.pop(key)
        task.cancel()
        self._newer.pop(key, None)
        if post.unchecked:
            self._turned(key, "")
        self._unplug(key, check.link)
        return post.answered if then is not None and then.asks_like(check) else frozenset()

    def _begin(
        self,
        key: MemberKey,
        check: Check,
        state: ClusterState,
        answered: frozenset[finding.Way] | None,
        group: asyncio.TaskGroup,
    ) -> None:
        known = said(state, key)
        post = _Post(
            is_watched=known.status is not health.Status.UP,
            answered=finding.answered(known, check) if answered is None else answered,
        )
        # One that is not there yet is being made, and the kernel will tell of it.
        post.is_cut = check.link in self._down
        self._by_link.setdefault(check.link, set()).add(key)
        task = group.create_task(
            self._watch(check, post, known), name=f"probe {ids.short(check.endpoint)}"
        )
        self._running[key] = (check, post, task)

    def _unplug(self, key: MemberKey, link: str) -> None:
        self._by_link[link].discard(key)
        if not self._by_link[link]:
            del self._by_link[link]

    # --- one member -------------------------------------------------------------------------

    async def _watch(self, check: Check, post: _Post, recorded: health.Said) -> None:
        is_stored = True
        standings: Sequence[judge.Standing]
        standings = finding.taken_up(check, recorded, post.answered)
        results: Sequence[Result | None] = [None] * len(standings)
        while True:
            begun = self._clock()
            if post.is_doubted:
                post.is_doubted = False
                how = check.how
                standings = [judge.doubted(one, rise=how.rise, fall=how.fall) for one in standings]
            found = await self._results(check, post, standings)
            self._count(check, post, found)
            standings = [
                finding.judged(one, check, result)
                for one, result in zip(standings, found, strict=True)
            ]
            counting = [
                finding.last(before, now) for before, now in zip(results, found, strict=True)
            ]
            results = counting
            post.answered = frozenset(
                finding.way(each)
                for each, one in zip(check.each, standings, strict=True)
                if one.has_answered
            )
            now = finding.said(check, standings, counting, recorded)
            is_pending = any(each.is_suspect for each in standings)
            post.is_watched = is_pending or now.status is not health.Status.UP
            # After a refusal also that all is as before: somebody was told that it is not.
            if (now.status, now.ways) != (recorded.status, recorded.ways) or not is_stored:
                is_stored = await self._recorded(check, now)
                recorded = now if is_stored else recorded
            if finding.is_borne_out(standings, found):
                self._note(check, now, recorded)
            if check.how.kind is not CheckKind.TTL:
                pace = _pace(check, post, standings, found)
                # The interval is a bound: a failure is met within it, whatever the spread.
                rest = pace * (1 - SPREAD * self._jitter()) - (self._clock() - begun)
                await post.wait(max(0.0, rest))

    async def _results(
        self, check: Check, post: _Post, standings: Sequence[judge.Standing]
    ) -> Sequence[Result | Unmade]:
        """One per address, made at the same time."""
        pairs = zip(check.each, standings, strict=True)
        return await asyncio.gather(*(self._result(each, post, one) for each, one in pairs))

    async def _result(self, check: Check, post: _Post, standing: judge.Standing) -> Result | Unmade:
        if post.cut():
            return CUT
        if check.how.kind is not CheckKind.TTL:
            return await post.unless_cut(self._dialled(check, standing))
        with contextlib.suppress(TimeoutError):
            # Reports that came while this process did not run are heard before silence is.
            async with patience.limit(check.how.ttl_s):
                while post.report is None and not post.cut():
                    await post.heard()
        if post.cut():
            return CUT
        report, post.report = post.report, None
        silence = f"no report for {check.how.ttl_s:g} s"
        return report or Result(passed=False, reason=silence, is_final=True)

    async def _dialled(self, check: Check, standing: judge.Standing) -> Result | Unmade:
        begun = self._clock()
        result = await self._dial(check)
        if isinstance(result, Result) and judge.is_hung(standing, result.heard):
            result = replace(
                result, passed=False, reason=f"{result.reason}, though it answered before"
            )
        self._told(check.service, result, self._clock() - begun)
        return result

    def _count(self, check: Check, post: _Post, found: Sequence[Result | Unmade]) -> None:
        """A member that cannot be checked keeps its status, and that is told.

        Not at once: as many failures as this would have taken it down.
        """
        reason = finding.lack(check, found)
        post.unmade = post.unmade + 1 if reason else 0
        now = reason if post.unmade >= check.how.fall else ""
        if now != post.unchecked:
            post.unchecked = now
            self._turned((check.service, check.endpoint), now)

    def _note(self, check: Check, now: health.Said, recorded: health.Said) -> None:
        """Keeps another reason in memory: the store is written when a status turns.

        What a member that answers says, which may be another at each check, concerns nobody.
        """
        key = (check.service, check.endpoint)
        fails = now.status is not health.Status.UP or now.failing or now.ingress_failing
        if fails and now.reason != recorded.reason:
            self._newer[key] = now
        else:
            self._newer.pop(key, None)

    async def _recorded(self, check: Check, said: health.Said) -> bool:
        """Whether the store took it; if not, the next check tries again."""
        try:
            await self._record(check.service, check.endpoint, said)
        except errors.SddError:
            return False
        return True


def _pace(
    check: Check, post: _Post, standings: Sequence[judge.Standing], found: Sequence[Result | Unmade]
) -> float:
    """Seconds from the beginning of one check to the next, at most."""
    pace = check.how.interval_s
    if post.unchecked:  # nothing is learnt by asking again soon
        standings = [
            one for one, each in zip(standings, found, strict=True) if isinstance(each, Result)
        ]
    elif post.unmade:
        pace = min(pace, check.how.fast_s)
    if any(each.is_suspect for each in standings):
        pace = min(pace, check.how.fast_s)
    if any(each.is_denied for each in standings):
        pace = min(pace, DENIED_S)
    return pace
