"""Makes this node's kernel look like the state: read, plan, apply, report.

In: a state and where to look per call. Out: an `Outcome`. A pass reads what the look names and
what the last pass failed at; what it changes besides, it knows from the last pass.
"""

import errno
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from netns import contract, errand, memory, plan, repairs, steps, words, world
from netns.desired import Want, desired
from sdd import reconcile
from sdd.model import ids, progress
from sdd.model.look import EVERYWHERE, Look
from sdd.state import ClusterState


class Reconciler:
    """The `Realise` of this backend; called by one task at a time."""

    def __init__(
        self,
        kernel: contract.Kernel,
        node: ids.NodeId,
        *,
        was_realised: reconcile.WasRealised = reconcile.unknown,
    ) -> None:
        """`was_realised` is asked once: what the first pass finds undone was undone by others."""
        self._was_realised = was_realised
        self._kernel = kernel
        self._node = node
        self._last = errand.NOTHING

    async def realise(self, state: ClusterState, look: Look = EVERYWHERE) -> progress.Outcome:
        """Failures per object; `repaired` counts what had been as wanted before."""
        before = self._last
        want = desired(state, self._node, before.want)
        outcome, done = await self._pass(state, want, look)
        # What stood on a link that went fell with it, or still stands on the renamed one.
        shaken = before.remade(done)
        if not look.everywhere:
            shaken |= before.resized(self._last.mtus)
        if not shaken:
            return outcome
        again, _ = await self._pass(state, want, self._last.above(shaken))
        return replace(
            again,
            changed=outcome.changed + again.changed,
            repaired=outcome.repaired + again.repaired,
            repairs=(*outcome.repairs, *again.repairs),
        )

    async def _pass(
        self, state: ClusterState, want: Want, look: Look
    ) -> tuple[progress.Outcome, Sequence[steps.Step]]:
        """One look and what it led to, remembered for the next one."""
        last = self._last
        is_taken_over = last.revision == ids.NEVER and self._was_realised(state.revision)
        if last.revision == ids.NEVER or look.everywhere:
            task = errand.everything(want)
        else:
            task = last.errand(want, look)
        have, done, refusals = await self._run(task)
        known = (*want.failures, *plan.obstacles(have, task.part))
        failures = (*known, *_failures(want, refusals, known))
        self._last = errand.Pass(
            revision=state.revision,
            want=want,
            failed=frozenset(failure.subject for failure in failures),
            wide=None if refusals else memory.wide(have, done),
            mtus=last.seen(want, have),
        )
        undone = [step for step in done if last.had_met(want, step, by_others=is_taken_over)]
        outcome = progress.Outcome(
            revision=state.revision,
            failures=failures,
            changed=len(done),
            repaired=len(undone),
            repairs=repairs.of(state, want, undone),
        )
        return outcome, done

    async def _run(
        self, task: errand.Errand
    ) -> tuple[contract.Have, Sequence[steps.Step], Sequence[contract.Refusal]]:
        """What was there, what was done and what was refused.

        When the kernel refuses anything, memory was wrong maybe: all is looked at and tried again.
        """
        done = await self._kernel.change(task.scope, task.plan)
        if not done.refusals or task.known == memory.NOTHING:
            return task.known.completed(done.have), done.plan, done.refusals
        sure = task.sure()
        again = await self._kernel.change(sure.scope, sure.plan)
        return again.have, (*done.plan, *again.plan), again.refusals


def _failures(
    want: Want, refusals: Iterable[contract.Refusal], known: Iterable[progress.Failure]
) -> Iterable[progress.Failure]:
    """One per object: what follows from its first refusal is no news.

    What only follows from another object's failure, `known` or told before, has its words.
    """
    first: dict[str, contract.Refusal] = {}
    for refusal in refusals:
        # What concerns the host as a whole, its table, concerns everybody.
        whom = refusal.step.subject or progress.EVERYTHING
        for subject in want.users.get(whom, (whom,)):
            first.setdefault(subject, refusal)
    told = {each.subject: each for each in known}
    for subject, refusal in first.items():
        root = next((told[each] for each in _lacked(want, refusal) if each in told), None)
        failure = _failure(subject, refusal) if root is None else replace(root, subject=subject)
        told.setdefault(subject, failure)
        yield failure


def _failure(subject: str, refusal: contract.Refusal) -> progress.Failure:
    refused = f"the kernel refuses {words.said(refusal.step)}: {refusal.reason}"
    return progress.Failure(
        subject=subject,
        sentence=refusal.reason if refusal.code else refused,
        hint=refusal.hint or _hint(refusal),
        code=refusal.code or "SDD-NETNS-REFUSED",
    )


def _lacked(want: Want, refusal: contract.Refusal) -> Iterable[str]:
    """The objects whose link or namespace was not there for the step."""
    lacks = refusal.lacks
    if lacks in want.spaces and lacks != world.HOST:
        return (want.spaces[lacks].subject,)
    if lacks not in _under(refusal.step) or lacks not in want.links:
        return ()
    mark = want.links[lacks].mark
    return want.users.get(mark, (mark,))


def _under(step: steps.Step) -> Collection[str]:
    """The links of the host on which the link of the step stands."""
    match step:
        case steps.AddPair(outer=link) | steps.AddChild(link=link):
            return (link.master, link.parent)
        case steps.AddLink(link=link) | steps.SetLink(link=link) if step.space == world.HOST:
            return (link.master, link.parent)
    return ()


def _hint(refusal: contract.Refusal) -> str:
    parent = _parent(refusal.step)
    if not parent:
        return _HINTS.get(refusal.error, "")
    return _PARENT_HINTS.get(refusal.error, _PARENT_HINTS[0]).format(parent=parent)


def _parent(step: steps.Step) -> str:
    return step.link.parent if isinstance(step, steps.AddLink | steps.AddChild) else ""


_MEMORY = "the kernel's memory or one of its limits is used up"
_HELD = (
    "another link on the same parent has its MAC or IP address: choose another one; if no sandbox "
    "has it, a program in a namespace without a name may hold it (lsns -t net)"
)
_HINTS = {
    errno.EADDRINUSE: _HELD,
    errno.EPERM: "sdd needs CAP_NET_ADMIN and CAP_SYS_ADMIN; a container must be given them",
    errno.EEXIST: "somebody else made one already; remove theirs, or choose another",
    errno.EOPNOTSUPP: "the kernel lacks this feature; sdctl doctor tells which",
    errno.ENOMEM: _MEMORY,
    errno.ENOBUFS: _MEMORY,
    errno.ENOSPC: _MEMORY,
    errno.EXFULL: "a bridge holds 1023 links; connect more sandboxes to another network",
    errno.EMFILE: "sdd has too many files open; see LimitNOFILE in its unit",
}
_PARENT_HINTS = {
    0: "the parent {parent} must be a link of this host; list them with: ip -br link",
    errno.EADDRINUSE: _HELD,
    errno.EEXIST: _HINTS[errno.EEXIST],
    errno.EBUSY: "{parent} already serves a bridge, a bond, or the other of macvlan and ipvlan",
    errno.EOPNOTSUPP: "the kernel has no such links (modules macvlan, ipvlan, 8021q), "
    "or {parent} cannot carry them",
    errno.ENETDOWN: "set the parent up first: ip link set {parent} up",
    errno.EINVAL: "{parent} cannot carry such links: its MTU may be smaller, or it is no "
    "Ethernet, or a mode does not fit the links that are there "
    "(passthru takes a parent for one sandbox)",
}
