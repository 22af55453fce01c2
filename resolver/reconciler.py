"""Makes every sandbox of this node find names: files, sockets, the rewrite of port 53, the worker.

In: a state and where to look per call. Out: an `Outcome`. A pass touches only the sandboxes that
need something, and checks the namespaces that it shall look at.
"""

import asyncio
import dataclasses
import functools
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Final

from resolver import parts, protocol, result
from resolver.control import difference, handover, launch, link
from resolver.desired import NOTHING, Wanted, desired, unheard
from resolver.files import errand, foreign, hosts, own, upstreams
from resolver.space import addressing, place, reclaim, taker
from sdd import contained, errors, fence, reconcile
from sdd.linux import guests, lookups, namespaces
from sdd.model import ids, network, progress
from sdd.model.look import EVERYWHERE, NOWHERE, Look
from sdd.state import ClusterState

TRIES: Final = 2  # a worker that dies during a pass is replaced in the same pass
MANY: Final = 1000  # objects whose names take 15 ms, in which nobody else has his turn
_MOST_WORDS: Final = 200  # characters of a worker's own words in a message


Others = Callable[[ids.Revision], Awaitable[None]]


async def _nobody(_: ids.Revision) -> None:
    """Nobody is waited for."""


class Reconciler:
    """The `Realise` of this backend; called by one task at a time.

    `on_lost` is called when the worker goes away between passes: kick the slot there. `on_claim`
    hears what the kernel gave us of the sockets of a worker that others started. `is_vain`
    says of a sandbox that its namespace is not worth waiting for; `others` waits for the backends
    that connections depend on, before the names of `many` objects are made. A namespace that is
    not there yet is waited for, `ready_s` at most.
    """

    def __init__(
        self,
        doors: namespaces.Namespaces,
        launcher: launch.Launcher,
        node: ids.NodeId,
        written: own.Files,
        daemon: upstreams.DaemonDns,
        *,
        been: guests.Guests,
        on_lost: Callable[[], None] = lambda: None,
        is_vain: reconcile.IsVain = reconcile.hopeful,
        others: Others = _nobody,
        on_claim: Callable[[reclaim.Claim], None] = lambda _: None,
        many: int = MANY,
        ready_s: float = place.READY_S,
    ) -> None:
        self._launcher = launcher
        self._node = node
        self._files = written
        self._daemon = daemon
        self._on_lost = on_lost
        self._doors = doors
        self._places = place.Places(doors, been, ready_s=ready_s, is_vain=is_vain)
        launcher.inherit = self._inherit
        self._others, self._many = others, many
        self._want = NOTHING
        self._reclaimed: link.Link | None = None
        self._on_claim, self._refused = on_claim, ""
        self._texts: Mapping[ids.SandboxId, own.Texts] = {}

    async def realise(self, state: ClusterState, look: Look = EVERYWHERE) -> progress.Outcome:
        """Bring files, sockets, tables and the worker to `state`."""
        want = self._want = await self._derived(state)
        async with asyncio.TaskGroup() as both_at_once:
            writing = both_at_once.create_task(self._write(want, look), name="dns files")
            serving = both_at_once.create_task(self._served(want, look), name="dns service")
        both = result.total((writing.result(), serving.result()))
        return progress.Outcome(
            revision=state.revision,
            failures=(*want.failures, *both.failures),
            changed=both.changed,
            repaired=both.repaired,
            repairs=both.repairs,
        )

    def use(self, daemon: upstreams.DaemonDns) -> bool:
        """Take other settings from the next pass on; whether they differ: kick the slot then."""
        if daemon == self._daemon:
            return False  # and stay with the very object: what was made of it stands
        self._daemon = daemon
        return True

    def host_servers(self) -> frozenset[network.IPAddress]:
        """Whom the host itself, and sandboxes through it, ask for names just now."""
        return self._daemon.host_servers

    def close(self) -> None:
        """Let go of the sandboxes' sockets, as the end of the process does."""
        self._places.keep_only(())
        self._places.disinherit()

    async def _derived(self, state: ClusterState) -> Wanted:
        """The names of thousands of objects take long: beside the loop, and after the others.

        But not at the start: what is asked for meanwhile is asked again.
        """
        ask = functools.partial(desired, state, self._node, self._daemon, self._want)
        if unheard(state, self._node, self._daemon, self._want) < self._many:
            return ask()
        if self._want is not NOTHING:
            await self._others(state.revision)
        return await asyncio.to_thread(ask)

    # --- files --------------------------------------------------------------------------------

    async def _write(self, want: Wanted, look: Look) -> result.Result:
        """The files that differ from the last pass, and those of the sandboxes to be looked at."""
        if want.texts == self._texts and look == NOWHERE:
            return result.NOTHING
        before, self._texts = self._texts, {}  # forgotten unless written
        done, self._texts = await asyncio.to_thread(self._write_all, want, before, look)
        return done

    def _write_all(
        self, want: Wanted, before: Mapping[ids.SandboxId, own.Texts], look: Look
    ) -> tuple[result.Result, Mapping[ids.SandboxId, own.Texts]]:
        sweeps = look.everywhere or self._files.owes or _leaves(before, want.texts)
        results = [self._sweep(want)] if sweeps else []
        good, others = {}, list[tuple[ids.SandboxId, foreign.Target]]()
        for box, text in want.texts.items():
            same = before.get(box) == text
            if not same or look.covers(want.spots[box].path):
                done = self._write_one(box, text, want.spots[box], is_known=same)
                results.append(done)
                if done.failures:
                    continue
                if text.elsewhere is not None:
                    others.append((box, text.elsewhere))
            good[box] = text
        for box, done in self._write_elsewhere(want, others, before):
            results.append(done)
            if done.failures:
                del good[box]
        return result.total(results), good

    def _write_one(
        self, box: ids.SandboxId, text: own.Texts, spot: place.Spot, *, is_known: bool
    ) -> result.Result:
        """`is_known` says that the same was written before."""

        def write() -> int:
            suited = self._suited(text, spot)
            with fence.writing(f"the files of sandbox {spot.name!r}"):
                return self._files.write(box, suited)

        def refused(exc: errors.SddError) -> result.Result:
            if is_known and isinstance(exc, lookups.Hangs):
                return result.NOTHING  # those who serve it tell of that
            return result.of_files(box, spot.name, exc)

        return _attempted(write, spot, refused, is_known=is_known)

    def _write_elsewhere(
        self,
        want: Wanted,
        others: Sequence[tuple[ids.SandboxId, foreign.Target]],
        before: Mapping[ids.SandboxId, own.Texts],
    ) -> Iterator[tuple[ids.SandboxId, result.Result]]:
        """The files in others' roots, which may hang: they are waited for together, and once."""
        for lot in errand.lots(others):
            patience = errand.Patience()
            begun = [
                (box, self._files.begin_elsewhere(box, target, want.texts[box].resolv, patience))
                for box, target in lot
            ]
            for box, one in begun:
                spot, same = want.spots[box], before.get(box) == want.texts[box]
                refused = functools.partial(result.of_file_elsewhere, box, spot.name)
                yield box, _attempted(one.wait, spot, refused, is_known=same)

    def _suited(self, text: own.Texts, spot: place.Spot) -> own.Texts:
        """`text`, without IPv6 in hosts when that is switched off in the sandbox."""
        try:
            has_ipv6 = not place.there(spot) or self._doors.run_sync(spot.path, addressing.has_ipv6)
        except errors.NotFound:
            has_ipv6 = True  # it went, or netns has yet to make it
        return text if has_ipv6 else dataclasses.replace(text, hosts=hosts.without_ipv6(text.hosts))

    def _sweep(self, want: Wanted) -> result.Result:
        try:
            links = {box: text.link for box, text in want.texts.items()}
            fence.check()
            return result.Result(changed=self._files.keep(links))
        except errors.KernelRefused as exc:
            return result.of_everything(exc)

    # --- the worker and the sandboxes -----------------------------------------------------------

    async def _served(self, want: Wanted, look: Look) -> result.Result:
        for _ in range(TRIES):
            try:
                return await self._serve(want, look)
            except errors.Unavailable as exc:
                why = exc
        return result.of_everything(why)

    async def _serve(self, want: Wanted, look: Look) -> result.Result:
        """One try with one worker; raises `errors.Unavailable` when it fails us."""
        self._places.keep_only(want.spots.keys())
        worker = await self._launcher.ensure()
        worker.lost = self._on_lost
        staged = await self._stage(worker, want)
        over = handover.Handover(worker, want.snapshot, is_staged=staged.changed > 0)
        await self._revive(over, worker, want)
        visits = tuple(_raised(await over.during(self._visit(over, worker, want, look))))
        self._places.disinherit()
        cleared = await self._clear(want) if look.everywhere else result.NOTHING
        done = result.total((staged, cleared, *(each.result for each in visits)))
        # A look also asks the worker: one that died a moment ago must not pass for well.
        is_new = worker.inventory.revision != want.snapshot.revision
        if is_new or done.changed or look != NOWHERE:
            await over.apply()
        await self._reclaim(worker)
        return result.total((done, self._spoilt(want, over)))

    async def _stage(self, worker: link.Link, want: Wanted) -> result.Result:
        """Send what the worker lacks."""
        changed = 0
        for message in difference.messages(worker.inventory, want.snapshot):
            await worker.send(message)
            await asyncio.sleep(0)  # of thousands of names whoever else waits has his turn between
            changed += parts.is_last(message) and not isinstance(message, protocol.TablePart)
        return result.Result(changed=changed)

    async def _revive(self, over: handover.Handover, worker: link.Link, want: Wanted) -> None:
        """Serve on the sockets that outlived a worker, before anything is looked at.

        What is left of its death is the start of another one, however many sandboxes there are.
        """
        have = worker.inventory
        for box, spot in want.spots.items():
            if held := self._places.kept(spot, _have(have, box)):
                await over.send(*held)
        if over.has_sockets:
            await over.apply()

    async def _reclaim(self, worker: link.Link) -> None:
        """Hold also what a former sdd gave the worker; once, for what is not to be had stays so."""
        lacking = self._places.lacking(worker.inventory.listeners)
        if lacking and self._reclaimed is not worker:
            self._reclaimed = worker
            claim = await self._claimed(worker.pid)
            self._places.keep({box: _have(worker.inventory, box) for box in lacking}, claim.found)

    async def _inherit(self, pid: int) -> None:
        """Go on with the sockets of a worker that is of another release."""
        self._places.inherit((await self._claimed(pid)).found)

    async def _claimed(self, pid: int) -> reclaim.Claim:
        """What the kernel gives us of a worker, which is told; a refusal once."""
        claim = await asyncio.to_thread(reclaim.sockets, pid)
        if not claim.refused or claim.refused != self._refused:
            self._on_claim(claim)
        self._refused = claim.refused
        return claim

    async def _visit(
        self, over: handover.Handover, worker: link.Link, want: Wanted, look: Look
    ) -> list[place.Visit | BaseException]:
        """Whoever is not settled or is to be looked at; at once.

        Nothing of it goes on in the background when one fails.
        """
        have = worker.inventory
        return await asyncio.gather(
            *(
                self._places.visit(spot, _have(have, box), over)
                for box, spot in want.spots.items()
                if look.covers(spot.path) or not self._places.is_settled(spot, _have(have, box))
            ),
            *map(self._places.leave, self._places.departed(frozenset(want.spots))),
            return_exceptions=True,
        )

    async def _clear(self, want: Wanted) -> result.Result:
        """What a daemon that was killed left in namespaces of sandboxes that nobody knows now."""
        return await self._places.clear({spot.inode for spot in want.spots.values()})

    def _spoilt(self, want: Wanted, over: handover.Handover) -> result.Result:
        """What the worker could not do is tried with other sockets at the next pass."""
        bad = [spot for box, spot in want.spots.items() if box in over.problems]
        for spot in bad:
            if spot.box not in over.serving:
                self._places.spoilt(spot.box)
        return result.total(
            (result.of_part if spot.box in over.serving else result.of_sandbox)(
                spot.box, spot.name, _problem(over.problems[spot.box])
            )
            for spot in bad
        )


def _have(told: protocol.Inventory, box: ids.SandboxId) -> taker.Have:
    return taker.Have(told.listeners.get(box), told.outward.get(box, {}))


def _raised(visits: list[place.Visit | BaseException]) -> Iterator[place.Visit]:
    """The visits; raises the first exception among them."""
    for each in visits:
        if isinstance(each, BaseException):
            raise each
        yield each


def _attempted(
    write: Callable[[], int],
    spot: place.Spot,
    refused: Callable[[errors.SddError], result.Result],
    *,
    is_known: bool,
) -> result.Result:
    """What it wrote of the sandbox's files; its own failure otherwise, whatever it is."""

    def attempt() -> result.Result:
        try:
            written = write()
        except (errors.KernelRefused, errors.Unavailable, errors.Exhausted) as exc:
            return refused(exc)
        return result.Result(changed=written, repaired=written if is_known else 0)

    made = contained.attempt(attempt, spot.box, f"sandbox {spot.name!r} has no name service")
    return result.Result(failures=(made,)) if isinstance(made, progress.Failure) else made


def _leaves(
    before: Mapping[ids.SandboxId, own.Texts], after: Mapping[ids.SandboxId, own.Texts]
) -> bool:
    """Whether files of before have no use any more: a sandbox is gone or has another name."""
    return not before or any(
        box not in after or after[box].link != text.link for box, text in before.items()
    )


def _problem(words: str) -> errors.Unavailable:
    printable = "".join(char if char.isprintable() else "?" for char in words[:_MOST_WORDS])
    return errors.Unavailable(printable, code="SDD-DNS-WORKER")
