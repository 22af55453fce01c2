"""One name's whole way: the search list, each decision of the server, and what came back.

In: a sandbox and a name as a program would give it. Out: attempts in order. The sandbox's own
resolv.conf is read, as its programs do, also when a user changed it.
"""

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from resolver.explain import inquirer, query
from resolver.files import hostconf, own, resolvconf
from resolver.message import reasons
from resolver.protocol import OWN_ZONE, Step
from sdd import errors
from sdd.model import sandbox

TRIED: Final = "tried"
CUT: Final = "cut"
ANY: Final = "ANY"
OWN: Final = ("network ", "added hosts")
# counters.Source of our own words; nobody to ask is one too.
OURS: Final = frozenset({"owned", "local_special", "policy", "none"})
HAS: Final = "has it"
UNANSWERED: Final = frozenset({"SERVFAIL", query.TIMEOUT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One question of several that one look-up asks."""

    name: str
    rdtype: str
    steps: tuple[Step, ...]
    reply: query.Reply

    @property
    def is_found(self) -> bool:
        """Whether there is anything of the type that was asked for; aliases alone are no answer."""
        return any(self.rdtype in (kind, ANY) for _, _, kind, _ in self.reply.answers)

    @property
    def why(self) -> tuple[tuple[int, str], ...]:
        """What the reply says of itself (RFC 8914), as (code, words)."""
        explained = self.reply.explained
        return tuple((code, text or reasons.NAMES.get(code, "")) for code, text in explained)

    @property
    def source(self) -> str:
        """In a few words, where the answer came from; empty when that is not known."""
        owner = next((stage for stage, text, _ in self.steps if _owns(stage, text)), "")
        last = self.reply.explained[-1][1] if self.reply.explained else ""
        passed = last if last.startswith(reasons.PASSED_OVER) else ""
        return ", then ".join(filter(None, (owner, self._elsewhere, passed)))

    @property
    def _elsewhere(self) -> str:
        """Whoever said what is not a network's."""
        is_stale = reasons.STALE in self.reply.explained
        tried = _last_tried(self.steps)
        for stage, text, _ in self.steps:
            # Of several names that aliases lead through, the last one's answer counts.
            if stage == "cache" and tried:
                continue
            # What could be given when nobody answers is given only then, and says so.
            if stage == "cache" or (stage == "stale" and is_stale):
                return f"{stage}: {text}"
            if stage in OURS:
                return self._zone or f"sdd itself: {text}"
        if not tried:
            return ""
        # One that keeps silent is asked several times, and the last of them is short.
        is_vain = len(tried) > 1 and self.reply.rcode in UNANSWERED
        count = f", the last of {len(tried)} tries" if is_vain else ""
        return f"upstream {tried[-1]}{count}"

    @property
    def _zone(self) -> str:
        """The zone of a network that the name is in, and not there; empty of other names."""
        zones = (each.text for each in self.steps if each.stage == OWN_ZONE)
        return next((f"{OWN_ZONE} {zone}" for zone in zones), "")


class Tracer:
    """Asks from inside sandboxes, and the worker what it decided."""

    def __init__(self, asker: query.Asker, worker: inquirer.Inquirer, written: own.Files) -> None:
        self._asker = asker
        self._worker = worker
        self._files = written

    async def ask(
        self, box: sandbox.Sandbox, name: str, rdtype: str, *, tcp: bool, timeout_s: float
    ) -> Attempt:
        """One question as it is; raises `errors.Invalid` or `errors.Unavailable` like Asker.ask."""
        before = await self._steps(box, name, rdtype)
        reply = await self._asker.ask(box.netns, name, rdtype, tcp=tcp, timeout_s=timeout_s)
        steps = tuple(each for each in before if each.stage != TRIED)
        if any(each.stage == "upstream" for each in steps) and not is_known(steps):
            after = await self._steps(box, name, rdtype)
            steps += news(before, after)
        return Attempt(name=name, rdtype=query.type_name(rdtype), steps=steps, reply=reply)

    async def trace(
        self,
        box: sandbox.Sandbox,
        name: str,
        rdtype: str,
        *,
        tcp: bool = False,
        timeout_s: float,
    ) -> tuple[Attempt, ...]:
        """Every question that the look-up of `name` leads to, up to the first with an answer."""
        config = hostconf.read(self._files.path(box.id))
        made: list[Attempt] = []
        for each in candidates(name, config.search, resolvconf.ndots(config.options)):
            made.append(await self.ask(box, each, rdtype, tcp=tcp, timeout_s=timeout_s))
            if made[-1].is_found:
                break
        return tuple(made)

    async def edited(self, box: sandbox.Sandbox) -> tuple[str, ...]:
        """The paths of the files that somebody changed and that we therefore leave alone."""
        return await asyncio.to_thread(self._files.edited, box.id)

    async def foreign(self, box: sandbox.Sandbox) -> tuple[str, ...]:
        """The paths where `ip netns exec` finds files of somebody else instead of ours."""
        return await asyncio.to_thread(self._files.foreign, box)

    async def _steps(self, box: sandbox.Sandbox, name: str, rdtype: str) -> tuple[Step, ...]:
        """None when the worker cannot be reached: the answer itself is still worth having."""
        try:
            return await self._worker.explain(box.id, name, rdtype)
        except errors.Unavailable:
            return ()


def _last_tried(steps: Iterable[Step]) -> list[str]:
    """The exchanges about the last name that anybody was asked for: aliases may lead on."""
    names: list[list[str]] = [[]]
    for each in steps:
        if each.stage == CUT:
            names.append([])
        elif each.stage == TRIED:
            names[-1].append(each.text)
    return next(filter(None, reversed(names)), [])


def _owns(stage: str, text: str) -> bool:
    return stage.startswith(OWN) and text.startswith(HAS)


def candidates(name: str, search: Iterable[str], dots: int) -> tuple[str, ...]:
    """The names to ask, in order, as resolv.conf(5) has it: with enough dots as it is first."""
    if name.endswith("."):
        return (name,)
    longer = tuple(f"{name}.{each.removesuffix('.')}." for each in search if each != ".")
    whole = f"{name}."
    return (whole, *longer) if name.count(".") >= dots else (*longer, whole)


def news(before: Collection[Step], after: Iterable[Step]) -> tuple[Step, ...]:
    """What was tried and cut off between two looks at the same name."""
    return tuple(each for each in after if each.stage in (TRIED, CUT) and each not in before)


def is_known(steps: Iterable[Step]) -> bool:
    """Whether the last name that is asked of others is known: aliases may lead through several."""
    told = [each.stage for each in steps if each.stage in ("cache", "upstream", "stale", CUT)]
    while told and told[-1] == CUT:
        told.pop()
    while told and told[-1] == "upstream":
        told.pop()
    return told[-1:] == ["cache"]
