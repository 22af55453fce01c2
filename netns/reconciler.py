"""Makes this node's kernel look like the state: read, plan, apply, report.

In: a state per call. Out: an `Outcome`. A pass over a new revision looks only into the sandboxes
whose wishes changed; a pass over the same revision (resync, kernel event, retry) looks everywhere.
"""

from collections.abc import Iterable, Mapping

from netns import contract, plan, steps, world
from netns.desired import Want, desired
from sdd.model import ids, progress
from sdd.state import ClusterState


class Reconciler:
    """The `Realise` of this backend; called by one task at a time."""

    def __init__(self, kernel: contract.Kernel, node: ids.NodeId) -> None:
        self._kernel = kernel
        self._node = node
        self._revision = ids.NEVER
        self._met: Mapping[str, world.Wanted] = {}  # what was found or made as wanted

    async def realise(self, state: ClusterState) -> progress.Outcome:
        """Failures per object; `repaired` counts what had been as wanted before."""
        want = desired(state, self._node)
        paths = frozenset(want.spaces) - {world.HOST}
        asked = self._unsure(want, paths) if state.revision != self._revision else paths
        have = await self._kernel.read(asked)
        have = plan.assume(have, want, paths - asked)
        planned = plan.diff(have, want)
        refusals = await self._kernel.apply(planned) if planned else ()
        failures = (
            *want.failures,
            *plan.obstacles(have, want),
            *_failures(refusals),
        )
        repaired = sum(self._was_met(want, step) for step in planned)
        self._remember(want, state.revision, failures)
        return progress.Outcome(
            revision=state.revision,
            failures=failures,
            changed=len(planned),
            repaired=repaired,
        )

    def _unsure(self, want: Want, paths: Iterable[str]) -> frozenset[str]:
        return frozenset(path for path in paths if self._met.get(path) != want.spaces[path])

    def _was_met(self, want: Want, step: steps.Step) -> bool:
        return self._met.get(step.space) == want.spaces.get(step.space)

    def _remember(
        self, want: Want, revision: ids.Revision, failures: Iterable[progress.Failure]
    ) -> None:
        failed = {failure.subject for failure in failures}
        self._revision = revision
        self._met = {
            path: wanted
            for path, wanted in want.spaces.items()
            if failed.isdisjoint({wanted.subject, *(link.mark for link in wanted.links)})
        }


def _failures(refusals: Iterable[contract.Refusal]) -> Iterable[progress.Failure]:
    for refusal in refusals:
        yield progress.Failure(
            subject=refusal.step.subject,
            sentence=f"the kernel refuses {_said(refusal.step)}: {refusal.reason}",
            hint="sdd goes on trying; see also: sdctl status",
            code="SDD-NETNS-REFUSED",
        )


def _said(step: steps.Step) -> str:
    """The step in a person's words."""
    match step:
        case steps.MakeSpace(name=name):
            said = f"the namespace {name!r}"
        case steps.DropSpace(space=space):
            said = f"to remove the namespace {space!r}"
        case steps.AddLink(link=link) | steps.SetLink(link=link):
            said = f"the link {link.name!r}"
        case steps.AddPair(outer=outer, inner=inner):
            said = f"the pair {outer.name!r} - {inner.name!r}"
        case steps.DropLink(name=name):
            said = f"to remove the link {name!r}"
        case steps.AddAddress(address=address):
            said = f"the address {address.interface} on {address.link!r}"
        case steps.DropAddress(address=address):
            said = f"to remove the address {address.interface} from {address.link!r}"
        case steps.AddRoute(route=route):
            said = f"the route to {route.destination} over {route.link!r}"
        case steps.DropRoute(route=route):
            said = f"to remove the route to {route.destination} over {route.link!r}"
        case steps.WriteTable():
            said = "the table inet sdd"
        case steps.Forward(version=version):
            said = f"to forward IPv{version}"
    return said
