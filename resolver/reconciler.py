"""Makes every sandbox of this node find names: files, sockets, the rewrite of port 53, the worker.

In: a state per call. Out: an `Outcome`. A new revision touches only the sandboxes that need
something; a second look at the same revision (a kick, the resync) checks every namespace's table.
"""

import asyncio
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address
from pathlib import Path
from typing import Final

import msgspec

from resolver import (
    difference,
    files,
    hosts,
    launch,
    link,
    place,
    protocol,
    resolvconf,
    result,
    snapshot,
    upstreams,
)
from sdd import errors
from sdd.linux import namespaces
from sdd.model import ids, progress, sandbox
from sdd.state import ClusterState

LOOK_S: Final = 20.0  # while new states keep coming, the tables are still looked at this often
TRIES: Final = 2  # a worker that dies during a pass is replaced in the same pass
NAMED: Final = (Path("/run/netns"), Path("/var/run/netns"))  # where `ip netns` finds names
_MOST_WORDS: Final = 200  # characters of a worker's own words in a message


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What one revision wants of this node."""

    snapshot: snapshot.Snapshot
    spots: Mapping[ids.SandboxId, place.Spot]  # every sandbox of this node
    texts: Mapping[ids.SandboxId, files.Texts]


class Reconciler:
    """The `Realise` of this backend; called by one task at a time.

    `on_lost` is called when the worker goes away between passes: kick the slot there.
    """

    def __init__(
        self,
        doors: namespaces.Namespaces,
        launcher: launch.Launcher,
        node: ids.NodeId,
        written: files.Files,
        daemon: upstreams.DaemonDns,
        *,
        on_lost: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._launcher = launcher
        self._node = node
        self._files = written
        self._daemon = daemon
        self._on_lost = on_lost
        self._clock = clock
        self._places = place.Places(doors)
        self._revision = ids.NEVER
        self._looked = float("-inf")
        self._texts: Mapping[ids.SandboxId, files.Texts] = {}

    async def realise(self, state: ClusterState) -> progress.Outcome:
        """Bring files, sockets, tables and the worker to `state`."""
        want = self._wanted(state)
        now = self._clock()
        look = state.revision == self._revision or now - self._looked > LOOK_S
        written = await self._write(want, look=look)
        served = await self._served(want, look=look)
        self._revision = state.revision
        self._looked = now if look else self._looked
        both = result.total((written, served))
        return progress.Outcome(
            revision=state.revision,
            failures=both.failures,
            changed=both.changed,
            repaired=both.repaired,
        )

    def use(self, daemon: upstreams.DaemonDns) -> bool:
        """Take other settings from the next pass on; whether they differ: kick the slot then."""
        differs = daemon != self._daemon
        self._daemon = daemon
        return differs

    async def counters(self) -> tuple[protocol.Counted, ...]:
        """What the workers count, one value per worker; raises `errors.Unavailable`."""
        connected = await self._launcher.ensure()
        return (await connected.count(),)

    def _wanted(self, state: ClusterState) -> Wanted:
        boxes = [each for each in state.sandboxes.values() if each.node == self._node]
        found = {
            box.id: upstreams.servers(state, box, self._daemon)
            for box in boxes
            if upstreams.served(state, box)
        }
        told = {box: upstreams.for_worker(those) for box, those in found.items()}
        return Wanted(
            snapshot=snapshot.build(state, self._node, told, self._daemon.ttl),
            spots={box.id: _spot(box, found.get(box.id)) for box in boxes},
            texts={box.id: self._text(state, box) for box in boxes},
        )

    def _text(self, state: ClusterState, box: sandbox.Sandbox) -> files.Texts:
        return files.Texts(
            resolv=resolvconf.render(upstreams.wanted(state, box, self._daemon)),
            hosts=hosts.render(box, state.endpoints_by_sandbox.get(box.id, ())),
            link=_link_name(box),
        )

    # --- files --------------------------------------------------------------------------------

    async def _write(self, want: Wanted, *, look: bool) -> result.Result:
        """The files that differ from the last pass; all of them at a second look."""
        if want.texts == self._texts and not look:
            return result.NOTHING
        before, self._texts = self._texts, {}  # forgotten unless written
        done, self._texts = await asyncio.to_thread(self._write_all, want, before, look=look)
        return done

    def _write_all(
        self, want: Wanted, before: Mapping[ids.SandboxId, files.Texts], *, look: bool
    ) -> tuple[result.Result, Mapping[ids.SandboxId, files.Texts]]:
        results = [self._sweep(want)]
        good = {}
        for box, text in want.texts.items():
            same = before.get(box) == text
            if look or not same:
                try:
                    written = self._files.write(box, text)
                except errors.KernelRefused as exc:
                    results.append(result.of_sandbox(box, want.spots[box].name, exc))
                    continue
                results.append(result.Result(changed=written, repaired=written if same else 0))
            good[box] = text
        return result.total(results), good

    def _sweep(self, want: Wanted) -> result.Result:
        try:
            links = {box: text.link for box, text in want.texts.items()}
            return result.Result(changed=self._files.keep(links))
        except errors.KernelRefused as exc:
            return result.of_everything(exc)

    # --- the worker and the sandboxes -----------------------------------------------------------

    async def _served(self, want: Wanted, *, look: bool) -> result.Result:
        for _ in range(TRIES):
            try:
                return await self._serve(want, look=look)
            except errors.Unavailable as exc:
                why = exc
        return result.of_everything(why)

    async def _serve(self, want: Wanted, *, look: bool) -> result.Result:
        """One try with one worker; raises `errors.Unavailable` when it fails us."""
        worker = await self._launcher.ensure()
        worker.lost = self._on_lost
        staged, refused = await self._stage(worker, want)
        visits = await self._visit(worker, want, look=look)
        done = result.total((staged, *(each.result for each in visits)))
        # A second look also asks the worker: one that died a moment ago must not pass for well.
        if look or done.changed or worker.inventory.revision != want.snapshot.revision:
            new = {each.box: each.listening for each in visits if each.listening is not None}
            done = result.total((done, await self._apply(worker, want, new, refused)))
        return done

    async def _stage(
        self, worker: link.Link, want: Wanted
    ) -> tuple[result.Result, frozenset[ids.SandboxId]]:
        """Send what the worker lacks; the sandboxes whose view is too long for it."""
        failed = {}
        changed = 0
        for message in difference.messages(worker.inventory, want.snapshot):
            try:
                await worker.send(message)
                changed += not isinstance(message, protocol.TablePart)
            except errors.Exhausted as exc:
                assert isinstance(message, protocol.View)  # all others are made to fit
                box = ids.SandboxId(message.sandbox)
                failed[box] = result.of_sandbox(box, want.spots[box].name, exc)
        done = result.total((result.Result(changed=changed), *failed.values()))
        return done, frozenset(failed)

    async def _visit(
        self, worker: link.Link, want: Wanted, *, look: bool
    ) -> tuple[place.Visit, ...]:
        """All sandboxes at once; nothing of it goes on in the background when one fails."""
        have = worker.inventory.listeners
        visits = await asyncio.gather(
            *(
                self._places.settle(spot, have.get(box), worker.send, look=look)
                for box, spot in want.spots.items()
            ),
            *map(self._places.leave, self._places.departed(frozenset(want.spots))),
            return_exceptions=True,
        )
        return tuple(_raised(visits))

    async def _apply(
        self,
        worker: link.Link,
        want: Wanted,
        new: Mapping[ids.SandboxId, protocol.Listening],
        refused: frozenset[ids.SandboxId],
    ) -> result.Result:
        applied = await worker.apply(want.snapshot.revision)
        after = difference.after(worker.inventory, want.snapshot)
        bad = refused | applied.problems.keys()  # sent again at the next pass
        listeners = {**after.listeners, **{str(box): one for box, one in new.items()}}
        worker.inventory = msgspec.structs.replace(
            after,
            views={box: digest for box, digest in after.views.items() if box not in bad},
            listeners={box: one for box, one in listeners.items() if box not in bad},
        )
        return result.total(
            result.of_sandbox(box, spot.name, _problem(applied.problems[box]))
            for box, spot in want.spots.items()
            if box in applied.problems
        )


def _raised(visits: list[place.Visit | BaseException]) -> Iterator[place.Visit]:
    """The visits; raises the first exception among them."""
    for each in visits:
        if isinstance(each, BaseException):
            raise each
        yield each


def _spot(box: sandbox.Sandbox, found: tuple[upstreams.Server, ...] | None) -> place.Spot:
    adopted = box.origin is sandbox.Origin.ADOPTED
    return place.Spot(
        box=box.id,
        name=box.name,
        path=box.netns,
        inode=box.netns_inode if adopted else 0,
        outlives=adopted,
        served=found is not None,
        upstream=_family(found or ()),
    )


def _family(found: tuple[upstreams.Server, ...]) -> socket.AddressFamily | None:
    """IPv6 sockets reach both families, IPv4 ones work on every kernel."""
    inside = [each.server.address for each in found if each.inside]
    if not inside:
        return None
    six = any(isinstance(each, IPv6Address) for each in inside)
    return socket.AF_INET6 if six else socket.AF_INET


def _link_name(box: sandbox.Sandbox) -> str:
    """The name by which `ip netns exec` enters the sandbox; empty when it has none."""
    if box.origin is sandbox.Origin.NAMED:
        return box.name
    path = Path(box.netns)
    return path.name if path.parent in NAMED else ""


def _problem(words: str) -> errors.Unavailable:
    printable = "".join(char if char.isprintable() else "?" for char in words[:_MOST_WORDS])
    return errors.Unavailable(printable, hint="sdd goes on trying", code="SDD-DNS-WORKER")
