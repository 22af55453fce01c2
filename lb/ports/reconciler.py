"""Decides when: state → sockets that hold the ports, and the elements that lead packets.

A new revision touches only the ports whose entries changed. A look at the host (a kick, the resync)
reads what the kernel holds and mends it. A port that another program has gets no rule, is a
failure, and is tried again.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from lb import moment
from lb.ports import world
from lb.ports.desired import Want, desired, nothing
from lb.ports.former import Former
from lb.ports.image import Image
from lb.ports.ledger import Ledger
from lb.ports.table import Bind, Entry, Hindrance
from lb.ports.way import Way, ways
from sdd import affected, errors, reconcile
from sdd.model import ids, progress
from sdd.model.look import EVERYWHERE, HOST, Look
from sdd.model.network import Driver, IPAddress
from sdd.model.port import Protocol
from sdd.state import ClusterState, MemberKey

READY_S = 2.0  # how long a bridge may take to appear: netns works on the same revision


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What differs between two wishes: ports that nobody wants any more, new and changed ones."""

    gone: Mapping[Bind, Entry] = field(default_factory=dict)
    come: Mapping[Bind, Entry] = field(default_factory=dict)
    left: frozenset[IPAddress] = frozenset()  # to which none of these ports leads any more
    ended: frozenset[Way] = frozenset()  # by which members were reached that are none any more

    @property
    def is_any(self) -> bool:
        """Whether something differs."""
        return bool(self.gone or self.come or self.left or self.ended)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Done:
    changed: int = 0
    repaired: int = 0


class Reconciler:
    """Publishes the ports of one node through one kernel."""

    def __init__(
        self,
        kernel: world.Kernel,
        node: ids.NodeId,
        *,
        ready_s: float = READY_S,
        clock: Callable[[], float] = time.time,
        was_realised: reconcile.WasRealised = reconcile.unknown,
    ) -> None:
        """`was_realised` is asked once: what the first look finds undone was undone by others."""
        self._was_realised = was_realised
        self._kernel = kernel
        self._clock = clock
        self._want = nothing(node)
        self._ready_s = ready_s
        self._ledger = Ledger()
        self._former = Former()
        self._refused: dict[Bind, tuple[Entry, str]] = {}
        self._loose: frozenset[str] = frozenset()
        self._is_sure = False  # whether the rules are known to be what the ledger says

    async def realise(self, state: ClusterState, asked: Look = EVERYWHERE) -> progress.Outcome:
        """Bring this node's published ports to `state`'s revision."""
        now = moment.at(state, self._clock())
        want = desired(now.state, self._want)
        look = self._is_due(asked)
        step = self._with_former(difference(self._want, want), want.state)
        done = _Done()
        failures: tuple[progress.Failure, ...] = ()
        try:
            if look or step.is_any:
                done = await self._change(state, step, look=look)
                if self._was_realised(state.revision):
                    done = replace(done, repaired=done.changed)
                self._was_realised = reconcile.unknown
            self._former.note(self._want.state, want.state, step.come)
            self._want = want  # else the next pass has all of the step to do once more
        except errors.SddError as exc:
            self._is_sure = False
            failures = (_broken(exc),)
        except BaseException:
            self._is_sure = False
            raise
        return progress.Outcome(
            revision=state.revision,
            failures=(*failures, *want.refused.values(), *self._failures()),
            changed=done.changed,
            repaired=done.repaired,
            again_s=now.again_s,
        )

    async def busy(self, leaving: Mapping[MemberKey, Collection[Way]]) -> Collection[MemberKey]:
        """Those to whom somebody is connected by one of their ways, or may still be led."""
        state = self._want.state
        every = {key: self._former.to(state, key).union(those) for key, those in leaving.items()}
        wanted = {way for ways_to in every.values() for way in ways_to}
        found = frozenset(await self._kernel.busy(wanted)) if wanted else frozenset()
        led = state.members
        return {
            key
            for key, ways_to in leaving.items()
            if not found.isdisjoint(every[key]) or (ways_to and key in led and led[key].share)
        }

    def _with_former(self, step: Step, now: ClusterState) -> Step:
        """What was led by a port that went ends with the membership as well."""
        before = self._want.state
        if before.members is now.members:
            return step
        left = affected.changed(before.members, now.members) - now.members.keys()
        ways_to = (self._former.to(before, key) for key in left)
        return replace(step, ended=step.ended.union(*ways_to))

    def _is_due(self, asked: Look) -> bool:
        """Whether the host has to be read: it shall be, or nobody knows what it holds."""
        is_near = asked.covers(HOST) or not asked.links.isdisjoint(self._ledger.devices())
        return is_near or not self._is_sure

    async def _change(self, state: ClusterState, step: Step, *, look: bool) -> _Done:
        """Sockets first: a rule for a port that another program has would take its packets."""
        tried = dict(step.come)
        for bind, (entry, _) in self._refused.items() if look else ():
            if bind not in step.gone:
                tried.setdefault(bind, entry)
        await self._kernel.release(_clashing(step.gone, tried))
        reasons = await self._kernel.hold(tried.keys())
        self._refused = {
            bind: known
            for bind, known in self._refused.items()
            if bind not in step.gone and bind not in tried
        } | {bind: (tried[bind], why) for bind, why in reasons.items()}
        served = [each for bind, each in tried.items() if bind not in reasons]
        out, into = self._ledger.replace((*step.gone, *reasons), served)
        await self._tighten(state, look=look)
        done = await (self._mend(len(out) + len(into)) if look else self._write(out, into))
        await self._kernel.release(step.gone.keys())
        await self._loosen(look=look)
        left = [replace(each, backends=()) for each in step.gone.values()]
        flows = [each for each in (*served, *left) if each.bind.protocol is Protocol.UDP]
        lost = step.left - _addresses(state) if step.left else frozenset()
        if flows or lost or step.ended:
            await self._kernel.forget(flows, lost, step.ended)
        return done

    # --- rules -------------------------------------------------------------------------------

    async def _write(self, out: Image, into: Image) -> _Done:
        if out or into:
            self._is_sure = False
            is_whole = len(self._ledger) in (0, len(into))  # the table comes or goes
            after = self._ledger.everything() if is_whole else None
            await self._kernel.write(out, into, after)
            self._is_sure = True
        return _Done(changed=len(out) + len(into))

    async def _mend(self, own: int) -> _Done:
        """Looks, and writes what differs; `own` elements were to change in this pass anyway."""
        after = self._ledger.everything()
        have = await self._kernel.read(after)
        steps = len(after ^ have) if have is not None else max(1, len(after))
        if have is None or (steps and not (have and after)):
            await self._kernel.write((), after, after)
        elif steps:
            await self._kernel.write(have - after, after - have, None)
        is_first, self._is_sure = not self._is_sure, True
        return _Done(changed=steps, repaired=0 if is_first else max(0, steps - own))

    # --- 127.0.0.1 ---------------------------------------------------------------------------

    async def _tighten(self, state: ClusterState, *, look: bool) -> None:
        """Before the rule that keeps strangers from 127.0.0.1 can go."""
        wanted = self._ledger.devices()
        off = self._loose - wanted
        if look:
            off |= {net.device for net in state.networks.values() if _is_bridge(net.driver)}
        if off - wanted:
            await self._kernel.open_loopback((), off - wanted)
        self._loose &= wanted

    async def _loosen(self, *, look: bool) -> None:
        """After that rule stands. A bridge that is being made is waited for."""
        missing: Collection[str] = self._ledger.devices()
        if not look:
            missing = frozenset(missing) - self._loose
        self._loose |= frozenset(missing)
        if not missing:
            return
        for pause_s in reconcile.pauses_s(self._ready_s):
            missing = await self._kernel.open_loopback(missing, ())
            if not missing:
                return
            await asyncio.sleep(pause_s)
        self._loose -= frozenset(missing)  # netns says why; the next look tries again

    # --- failures ----------------------------------------------------------------------------

    def _failures(self) -> Iterator[progress.Failure]:
        for bind, (entry, why) in self._refused.items():
            yield progress.Failure(
                subject=entry.subject,
                sentence=f"failed to bind host port {bind}",
                cause=why,
                hint=_hint(entry, why),
                code="SDD-PUBLISH-TAKEN",
            )


def _hint(entry: Entry, why: str) -> str:
    """What to do. It names the target: a number that leads elsewhere now is another failure."""
    match why:
        case Hindrance.ABSENT:
            return "give an address of this host (ip -br address), or none for all of them"
        case Hindrance.LIMIT:
            return "raise LimitNOFILE of the unit sdd.service, and start it again"
        case _:
            return (
                f"stop it (ss -lnptu 'sport = :{entry.bind.number}' shows more),"
                f" or publish target port {entry.port} under another number"
            )


def difference(before: Want, now: Want) -> Step:
    """What of the parts that are not the same objects differs."""
    old: dict[Bind, Entry] = {}
    new: dict[Bind, Entry] = {}
    for holder in before.parts.keys() | now.parts.keys():
        then, after = before.parts.get(holder, ()), now.parts.get(holder, ())
        if then is not after:
            old.update((each.bind, each) for each in then)
            new.update((each.bind, each) for each in after)
    return Step(
        gone={bind: each for bind, each in old.items() if bind not in new},
        come={bind: each for bind, each in new.items() if old.get(bind) != each},
        left=(_backends(old.values()) - _backends(new.values()))
        | (_vips(before.state) - _vips(now.state)),
        ended=frozenset(_ended(before.state, now.state)),
    )


def _ended(before: ClusterState, now: ClusterState) -> Iterator[Way]:
    """To members that left a service; a port that goes or leads elsewhere ends no connection."""
    if before.members is now.members:
        return
    for key in affected.changed(before.members, now.members):
        of, plug = key
        svc, end = before.services.get(of), before.endpoints.get(plug)
        if key not in now.members and of in now.services and svc is not None and end is not None:
            yield from ways(svc, (end,))


def _clashing(gone: Iterable[Bind], come: Iterable[Bind]) -> frozenset[Bind]:
    """Those in whose way we would be ourselves: the same number, at more or fewer addresses."""
    numbers = {(each.version, each.protocol, each.number) for each in come}
    return frozenset(each for each in gone if (each.version, each.protocol, each.number) in numbers)


def _backends(entries: Iterable[Entry]) -> frozenset[IPAddress]:
    return frozenset(each.address for entry in entries for each in entry.backends)


def _addresses(state: ClusterState) -> frozenset[IPAddress]:
    """Those at which there is somebody; those of services on ingress too, with ports or without."""
    return frozenset(address for end in state.endpoints.values() for address in end.hosts) | _vips(
        state
    )


def _vips(state: ClusterState) -> frozenset[IPAddress]:
    """Those on ingress. They stay for a drain when the last port that leads there has gone."""
    return frozenset(vip for svc in state.ingress_services for vip in svc.ingress_vips)


def _is_bridge(driver: Driver) -> bool:
    return driver is Driver.BRIDGE


def _broken(exc: errors.SddError) -> progress.Failure:
    return progress.Failure(
        subject=progress.EVERYTHING,
        sentence=f"the rules of published ports cannot be written: {exc.sentence}",
        hint=exc.hint,
        code=exc.code,
    )
