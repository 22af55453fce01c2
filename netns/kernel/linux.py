"""The running kernel: reads what is, does what the plan says. Never forks, never decides.

Blocking work runs in the threads of `Namespaces`; steps of one namespace share one netlink socket
and travel in batches.
"""

import functools
import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from netns import contract, steps, world
from netns.kernel import (
    do,
    forwarding,
    ghosts,
    hindrances,
    names,
    numbers,
    nurseries,
    read,
    table,
)
from netns.kernel.wire import EMPTY, Missing, Wire
from sdd import errors, fence
from sdd.linux import guests, lookups, namespaces


class LinuxKernel:
    """One per daemon. Named namespaces are files below `<exec-root>/netns`, linked in `linked`."""

    def __init__(
        self,
        doors: namespaces.Namespaces,
        exec_root: Path,
        linked: Path = names.LINKED,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._doors = doors
        self._names = names.Names(doors, exec_root / "netns", linked)
        # Nothing on the host leads to macvlan links in a container; to a pair its other end does.
        self._guests = guests.Guests(exec_root / "guests")
        self._nurseries = nurseries.Nurseries(clock)
        self._hindrances = hindrances.Hindrances(clock)
        self._is_new = True
        self._met: dict[str, int] = {}  # the namespaces of others that the pass has read
        self._table = table.HostTable()
        self._forwarding = forwarding.Forwarding(exec_root / "forwarding")

    async def read(self, scope: contract.Scope) -> contract.Have:
        """What is there now, within the scope."""
        return await self._doors.run("", lambda: self._read(scope, is_pass=False))

    async def apply(self, plan: Sequence[steps.Step]) -> tuple[contract.Refusal, ...]:
        """Does the steps in order, whatever happens to each; says which were refused and why."""
        return await self._doors.run("", lambda: tuple(self._apply(plan)))

    async def change(self, scope: contract.Scope, decide: contract.Decide) -> contract.Change:
        """Reads, decides and applies in one visit to a thread: each visit waits for its turn."""
        return await self._doors.run("", lambda: self._change(scope, decide))

    def _change(self, scope: contract.Scope, decide: contract.Decide) -> contract.Change:
        have = self._read(scope, is_pass=True)
        plan = decide(have)
        return contract.Change(have=have, plan=plan, refusals=tuple(self._apply(plan)))

    def _read(self, scope: contract.Scope, *, is_pass: bool) -> contract.Have:
        """Whoever only looks, beside a pass maybe, forgets nothing that the pass has just noted."""
        if self._is_new and is_pass:
            self._is_new = False
            self._nurseries.recall(self._guests.missing())
        if is_pass:
            self._met = {}
        # The host's routes are not ours and may be a million.
        found = {world.HOST: read.host(scope.links)}
        hanging: dict[str, errors.Unavailable] = {}
        paths = self._paths(scope, is_pass=is_pass)
        lookups.ALL.begin(path for path in paths if not self._names.is_ours(path))
        for path in paths:
            try:
                inode = namespaces.inode(path)
            except lookups.Hangs as exc:
                hanging[path] = exc
                continue
            fence.check()  # a path that hung is there now, maybe for a pass of long ago
            self._nurseries.see(path, inode, is_guest=not self._names.is_ours(path))
            if not inode:
                continue
            try:
                files = scope.sysctls.get(path, frozenset())
                look = functools.partial(read.space, inode, files)
                found[path] = self._doors.run_sync(path, look)
            except errors.NotFound:
                continue  # it ended while we were reading
            except lookups.Hangs as exc:
                hanging[path] = exc
                continue
            if is_pass and not self._names.is_ours(path):
                self._met[path] = inode
            ours = [each for each in found[path].links.values() if each.mark]
            if any(each.kind in world.CHILDREN for each in ours):
                self._nurseries.enter(path, inode)
            if path not in scope.paths and not ours and is_pass:
                self._guests.leave(path, inode)
        numbers.give(found.keys() - {world.HOST})
        is_narrow = scope.links is not None
        return contract.Have(
            spaces=found,
            hanging=hanging,
            named=self._names.read(scope.paths | scope.leaving if is_narrow else None),
            table=self._table.read() if scope.is_wide else None,
            forwarding=self._forwarding.read() if scope.is_wide else frozenset(),
            switched=self._forwarding.switched() if scope.is_wide else frozenset(),
        )

    def _paths(self, scope: contract.Scope, *, is_pass: bool) -> frozenset[str]:
        """What was asked for, and in a full look also where we have been before."""
        if scope.links is not None:
            return scope.paths
        been = self._guests.read() if is_pass else self._guests.look()
        return scope.paths | self._names.read(None).keys() | been.keys()

    def _apply(self, plan: Sequence[steps.Step]) -> list[contract.Refusal]:
        if self._nurseries.is_sure() and self._nurseries.take_lost():
            self._remove_ghosts()
        refusals: list[contract.Refusal] = []
        born: dict[str, dict[str, int]] = {}
        for step, run in _runs(plan):
            rest = [each for each in run if not contract.is_hopeless(each, refusals)]
            match step:
                case steps.MakeSpace() | steps.DropSpace():
                    self._nurseries.leave(step.space)
                    refusals += [refused] if (refused := self._names.apply(step)) else []
                case steps.WriteTable() | steps.Forward():
                    refusals += self._host_wide(step)
                case _ if rest:
                    refusals += self._go_in(rest)
                    rest = [each for each in rest if not contract.is_hopeless(each, refusals)]
                    refusals += self._enter(step.space, rest, born)
        numbers.give(_without_pair(plan))
        return refusals

    def _go_in(self, plan: Sequence[steps.Step]) -> list[contract.Refusal]:
        """Remembers where the plan puts children, on disk unless the namespaces are our own."""
        refusals = []
        for step in plan:
            if not isinstance(step, steps.AddChild):
                continue
            try:
                self._nurseries.enter(step.inside, namespaces.inode(step.inside))
                if not self._names.is_ours(step.inside):
                    self._guests.enter(step.inside)
            except lookups.Hangs as exc:
                refusals.append(_hangs(step, exc))
            except OSError as exc:  # a full disk; others do not wait for it
                refusals.append(contract.Refusal(step=step, reason=str(exc)))
        return refusals

    def _host_wide(self, step: steps.WriteTable | steps.Forward) -> list[contract.Refusal]:
        try:
            if isinstance(step, steps.WriteTable):
                self._table.write(step.table)
            else:
                self._forwarding.switch(step.version, on=step.on)
        except errors.SddError as exc:
            return [contract.Refusal(step=step, reason=exc.sentence)]
        except OSError as exc:
            return [contract.Refusal(step=step, reason=str(exc))]
        return []

    def _enter(
        self, space: str, group: Sequence[steps.Step], born: dict[str, dict[str, int]]
    ) -> list[contract.Refusal]:
        """What is refused although nothing of ours is in the way any more."""
        refusals, left = self._visit(space, group, born)
        if self._hindrances.are_new(refusals) and self._nurseries.is_sure():
            self._hindrances.search(refusals)
            if self._remove_ghosts():
                refusals, _ = self._visit(space, left, born)
        return refusals

    def _remove_ghosts(self) -> int:
        """As `ghosts.remove`; later where nobody can tell which of them has a path."""
        try:
            return ghosts.remove(self._known())
        except lookups.Hangs:
            self._nurseries.lose()
            return 0

    def _known(self) -> frozenset[str]:
        """The namespaces where our links may be."""
        named = frozenset(self._names.read(None)) | frozenset(self._guests.look())
        return named | self._nurseries.paths()

    def _visit(
        self, space: str, group: Sequence[steps.Step], born: dict[str, dict[str, int]]
    ) -> tuple[list[contract.Refusal], list[steps.Step]]:
        try:
            return self._doors.run_sync(space, lambda: _links(group, space, born, self._met))
        except lookups.Hangs as exc:
            return [_hangs(each, exc) for each in group], []
        except errors.SddError as exc:
            lacks = space if isinstance(exc, errors.NotFound) else ""
            refused = (contract.Refusal(step=e, reason=exc.sentence, lacks=lacks) for e in group)
            return list(refused), []


def _hangs(step: steps.Step, exc: lookups.Hangs) -> contract.Refusal:
    return contract.Refusal(step=step, reason=exc.sentence, hint=exc.hint, code=exc.code)


def _without_pair(plan: Sequence[steps.Step]) -> list[str]:
    """The new namespaces that got no number with a pair."""
    paired = {step.inside for step in plan if isinstance(step, steps.AddPair)}
    made = (step.space for step in plan if isinstance(step, steps.MakeSpace))
    return [path for path in made if path not in paired]


_ALONE = (steps.MakeSpace, steps.DropSpace, steps.WriteTable, steps.Forward)


def _runs(
    plan: Sequence[steps.Step],
) -> Iterator[tuple[steps.Step, tuple[steps.Step, ...]]]:
    """Neighbours that one socket of one namespace can do, with the first of each run."""
    for _, group in itertools.groupby(
        enumerate(plan),
        key=lambda each: each[0] if isinstance(each[1], _ALONE) else each[1].space,
    ):
        run = tuple(step for _, step in group)
        yield run[0], run


def _links(
    group: Sequence[steps.Step],
    space: str,
    born: dict[str, dict[str, int]],
    met: Mapping[str, int],
) -> tuple[list[contract.Refusal], list[steps.Step]]:
    """Steps on links, addresses and routes of the calling thread's namespace, which is `space`.

    Returns the refusals and all steps that were not done for them. `born` tells, by namespace, the
    indexes of links that earlier steps made there, `met` which namespaces the steps are meant for.
    """
    if space in met and namespaces.inode(namespaces.OWN) != met[space]:
        raise errors.NotFound(f"another namespace took the place of that at {space!r}")
    hopeless: list[steps.Step] = []
    with Wire(born.get(space, EMPTY), met) as wire:
        for kind, some in itertools.groupby(group, key=type):
            if kind is steps.DropLink:
                do.drop_links(wire, [step for step in some if isinstance(step, steps.DropLink)])
                continue
            for step in some:
                if contract.is_hopeless(step, wire.refusals):
                    hopeless.append(step)
                    continue
                try:
                    do.run(wire, step)
                except (Missing, OSError) as exc:
                    lacks = exc.what if isinstance(exc, Missing) else ""
                    refused = contract.Refusal(step=step, reason=str(exc), lacks=lacks)
                    wire.refusals.append(refused)
        wire.flush()
        for path, indexes in wire.born.items():
            born.setdefault(path, {}).update(indexes)
        left = [*hopeless, *(each.step for each in wire.refusals)]
        return wire.refusals, [step for step in group if any(step is each for each in left)]
