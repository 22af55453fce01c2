"""Reads what the kernels of this node's sandboxes count, again and again, and adds it up.

In: the newest state and readings. Out: totals per service and connections per backend, for the page
of metrics, and `suspect` calls for members whose counters look as if they did not answer. Reading
takes at most a hundredth of a processor, unless that would make it too seldom: half of it what
grows, half the open connections, which take the kernel far longer where there are any.
"""

import functools
import math
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Never

from lb import growth, suspicion, table, world
from lb.derived import Derived
from lb.desired import Desired, Wanted, member_on, nothing
from lb.growth import Growth
from lb.world import PortKey
from sdd import errors
from sdd.linux import cost
from sdd.model import ids
from sdd.model.network import IPAddress
from sdd.model.port import Protocol
from sdd.reconcile import Slot
from sdd.state import ClusterState, MemberKey

LONGEST_S = 60.0  # older than that, nobody would believe the page
PART = 200  # of a processor, one part is spent on reading what grows, one on connections
IDLE_S = 3600.0
PROTOCOLS = ("tcp", "udp")
_NOBODY = ids.EndpointId("")

Suspect = Callable[[MemberKey], None]
HostCounts = Callable[[], Awaitable[Mapping[PortKey, Growth]]]
Members = Mapping[tuple[ids.ServiceId, IPAddress], MemberKey]
Readings = dict[ids.SandboxId, Sequence[world.Load]]


async def _nothing_counted() -> Mapping[PortKey, Growth]:
    return {}


class Meter:
    """`clock` is monotonic, in seconds; `part` is PART, or 0 to read as often as can be.

    `host` tells what ports carry that lead from the host straight to members, since the daemon
    began. Reads as often as the kernel counts anew, unless every `pause_s`.
    """

    def __init__(
        self,
        kernel: world.Kernel,
        node: ids.NodeId,
        suspect: Suspect,
        clock: Callable[[], float],
        *,
        host: HostCounts = _nothing_counted,
        derived: Derived | None = None,
        pause_s: float | None = None,
        part: int = PART,
    ) -> None:
        self._part = part
        self._kernel = kernel
        self._counters = kernel.counters
        self._counts_due = -math.inf  # when connections are to be counted
        self._suspect = suspect
        self._clock = clock
        self._host = host
        self._on_host: Mapping[PortKey, Growth] = {}
        self._pause_s = kernel.counts_s if pause_s is None else pause_s
        self._derived = derived or Derived(node)
        self._desired: Desired = nothing(node)
        self._read: dict[ids.SandboxId, Sequence[world.Load]] | None = None
        self._ended: dict[ids.SandboxId, tuple[Wanted | None, Sequence[world.Load]]] = {}
        self._lefts: list[tuple[ids.SandboxId, Wanted, Sequence[world.Load]]] = []
        self._vanished = Readings()  # what was read before, and no more in the last round
        self._ported: Mapping[PortKey, MemberKey] = {}  # in the last round
        self._met: tuple[ClusterState, Members] | None = None
        self._totals: dict[tuple[ids.ServiceId, str], Growth] = {}
        self._open: Counter[tuple[MemberKey, str]] = Counter()
        self._unanswered: dict[MemberKey, Growth] = {}  # datagrams, since the last answer
        self._answering: dict[MemberKey, float] = {}  # since when the program that did was up

    async def run(self, slot: Slot) -> Never:
        """For ever; ends by cancellation only."""
        state: ClusterState | None = None
        while state is None:
            state = await slot.next(IDLE_S)
        with cost.counted() as spent:
            while True:
                before_s = spent.seconds
                begun = self._clock()
                counts = begun >= self._counts_due
                await self._look(state, spent, counts=counts)
                pause_s = min(LONGEST_S, self._part * (spent.seconds - before_s))
                if counts:
                    # What is read next to it is little, and is read anew as soon as can be.
                    self._counts_due, pause_s = begun + pause_s, 0.0
                due = self._clock() + max(self._pause_s, pause_s)
                while (left_s := due - self._clock()) > 0:
                    state = await slot.next(left_s) or state

    # --- what is known ----------------------------------------------------------------------

    def totals(self) -> Mapping[tuple[ids.ServiceId, str], Growth]:
        """What was counted since this daemon began, by service and protocol."""
        return self._totals

    def connections(self) -> Mapping[tuple[MemberKey, str], int]:
        """Connections now, by member and `active` or `inactive`."""
        return self._open

    def ended(self, box: ids.SandboxId, was: Wanted | None, loads: Sequence[world.Load]) -> None:
        """A sandbox is gone for good, and these are its last counts; told once of each."""
        self._ended[box] = (was, loads)

    def left(self, box: ids.SandboxId, was: Wanted, loads: Sequence[world.Load]) -> None:
        """Backends left a sandbox that balanced them as `was` says: their last counts there."""
        self._lefts.append((box, was, loads))

    # --- one round --------------------------------------------------------------------------

    async def _look(self, state: ClusterState, spent: cost.Cost, *, counts: bool) -> None:
        with spent.here():
            self._desired = self._derived.of(state)
        # Who leaves from here on is compared with what is read now.
        lefts, self._lefts = self._lefts, []
        read = self._kernel.loads if counts else self._counters
        found = {
            box: await _loads(read, want)
            for box, want in self._desired.sandboxes.items()
            if want.table != table.EMPTY
        }
        with spent.here():
            grown = _Grown(functools.partial(self._members, state))
            self._take_left(lefts, grown)
            self._take(found, grown, counts=counts)
        await self._straight(state, grown)
        with spent.here():
            self._add(state, grown)

    def _members(self, state: ClusterState) -> Members:
        """Where each of thousands is met, found once for a state."""
        if self._met is None or self._met[0] is not state:
            self._met = (state, dict(_addressed(state)))
        return self._met[1]

    def _take_left(
        self,
        lefts: Sequence[tuple[ids.SandboxId, Wanted, Sequence[world.Load]]],
        grown: "_Grown",
    ) -> None:
        """Adds what backends that left had counted since they were read last.

        That is forgotten: whoever comes again begins at 0.
        """
        read = self._read
        if read is None:
            return  # what the kernel had before this daemon began is no growth
        for box, was, loads in lefts:
            known = (*self._vanished.get(box, ()), *read.get(box, ()))
            grown.add(was, growth.beyond(known, loads))
            read[box] = growth.without(read.get(box, ()), loads)

    def _take(
        self,
        found: Mapping[ids.SandboxId, Sequence[world.Load] | None],
        grown: "_Grown",
        *,
        counts: bool,
    ) -> None:
        """Adds what the sandboxes counted since the last round."""
        before, read = self._read, Readings()
        open_: Counter[tuple[MemberKey, str]] = Counter()
        for box, loads in found.items():
            if loads is None or box in self._ended:  # its namespace is gone or not there yet
                read[box] = before.get(box, ()) if before else ()
                continue
            want = self._desired.sandboxes[box]
            read[box] = loads
            for each in loads:
                if (key := grown.member(want, each.vip, each.address)) is not None:
                    open_[key, "active"] += each.active
                    open_[key, "inactive"] += each.inactive
            # What the kernel had before this daemon began is no growth; a new sandbox's is.
            was = loads if before is None else before.get(box, ())
            grown.add(want, growth.growth(was, loads))
        # A round may have overtaken what is told of those that left.
        self._vanished = {
            box: growth.without(was, read[box])
            for box, was in (before or {}).items()
            if box in read
        }
        self._read = self._parted(before, read, grown)
        if counts:
            self._open = open_

    def _parted(self, before: Readings | None, read: Readings, grown: "_Grown") -> Readings:
        """`read` and those of sandboxes of which is not known how they ended; adds what is."""
        gone = {
            box: known
            for box, known in (before or {}).items()
            if known and box not in self._desired.sandboxes
        }
        left = gone | read
        for box, (was, loads) in self._ended.items():
            known = left.pop(box, () if before is not None else loads)
            if was is not None:
                # A round and the last reading may have overtaken each other.
                grown.add(was, growth.beyond(known, loads))
        self._ended = {}
        return left

    async def _straight(self, state: ClusterState, grown: "_Grown") -> None:
        """Adds what no sandbox balances; of members that left since the last round as well."""
        members = {**self._ported, **(now := dict(_ported(state)))}
        self._ported = now
        if not members:
            return
        try:
            before, self._on_host = self._on_host, await self._host()
        except (errors.SddError, OSError):
            return
        for key, counted in self._on_host.items():
            if (member := members.get(key)) is not None:
                more = growth.between(before.get(key, growth.NONE), counted)
                grown.add_one(member, key[0], more, is_there=member in state.members)

    def _add(self, state: ClusterState, grown: "_Grown") -> None:
        totals = {
            (svc, protocol): self._totals.get((svc, protocol), growth.NONE)
            for svc, one in state.services.items()
            if one.vips or one.ports
            for protocol in PROTOCOLS
        }
        for key, by_protocol in grown.by_member.items():
            for protocol, more in by_protocol.items():
                totals[key[0], protocol] = totals.get((key[0], protocol), growth.NONE) + more
            self._doubt(state, key, by_protocol)
        for (of, protocol), more in grown.of_strays.items():
            if (of, protocol) in totals:
                totals[of, protocol] += more
        self._totals = totals
        for known in (self._unanswered, self._answering):
            for gone in [key for key in known if key not in state.members]:
                del known[gone]

    def _doubt(self, state: ClusterState, key: MemberKey, grown: Mapping[str, Growth]) -> None:
        """A slow flow sends less between two readings than it takes to be a sign."""
        datagrams = self._unanswered.pop(key, growth.NONE) + grown.get("udp", growth.NONE)
        if not self._is_answering(state, key, datagrams):
            datagrams = growth.NONE
        if suspicion.is_suspect({**grown, "udp": datagrams}):
            self._suspect(key)
        elif datagrams.in_packets and not datagrams.out_packets:
            self._unanswered[key] = datagrams

    def _is_answering(self, state: ClusterState, key: MemberKey, datagrams: Growth) -> bool:
        """Whether the member's program is one that answers, as was seen since it came up.

        Who only listens (syslog, statsd) would be suspect for as long as anybody sends.
        """
        if (member := state.members.get(key)) is None:
            return False
        if datagrams.out_packets:
            self._answering[key] = state.up_since(member)
        verdict = state.verdicts.get(key)
        if verdict is not None and (verdict.answered or verdict.ingress_answered):
            return True
        return self._answering.get(key) == state.up_since(member)


async def _loads(
    read: Callable[[table.Place], Awaitable[Sequence[world.Load]]], want: Wanted
) -> Sequence[world.Load] | None:
    try:
        return await read(want.place)
    except (errors.SddError, OSError):  # without a descriptor left, it grows until one is
        return None


class _Grown:
    """What grew in a round: by member and protocol, or by service where its member is gone."""

    def __init__(self, members: Callable[[], Members]) -> None:
        self._members = members
        self.by_member: defaultdict[MemberKey, dict[str, Growth]] = defaultdict(dict)
        self.of_strays: dict[tuple[ids.ServiceId, str], Growth] = {}

    def add(self, want: Wanted, more: Mapping[growth.Key, Growth]) -> None:
        """What a sandbox counted that balances as `want` says."""
        for (vip, protocol, address), each in more.items():
            if (owner := want.owners.get(vip)) is not None:
                key = self.member(want, vip, address)
                self.add_one(key or (owner, _NOBODY), protocol, each, is_there=key is not None)

    def add_one(self, key: MemberKey, protocol: str, more: Growth, *, is_there: bool) -> None:
        """What grew of one member; of one that is not there any more only its service has it."""
        if is_there:
            mine = self.by_member[key]
            mine[protocol] = mine.get(protocol, growth.NONE) + more
        else:
            known = self.of_strays.get((key[0], protocol), growth.NONE)
            self.of_strays[key[0], protocol] = known + more

    def member(self, want: Wanted, vip: IPAddress, address: IPAddress | None) -> MemberKey | None:
        """Whose the address is behind the virtual one."""
        owner = want.owners.get(vip)
        return None if owner is None or address is None else self._members().get((owner, address))


def _addressed(
    state: ClusterState,
) -> Iterator[tuple[tuple[ids.ServiceId, IPAddress], MemberKey]]:
    """Each member by its own addresses, and by those on ingress if its service is reached there."""
    for key, member in state.members.items():
        one = state.services.get(member.service)
        for is_ingress in (False, True) if one is not None and one.ingress_vips else (False,):
            end = member_on(state, member, is_ingress=is_ingress)
            for address in end.hosts if end is not None else ():
                yield (member.service, address), key


def _ported(state: ClusterState) -> Iterator[tuple[PortKey, MemberKey]]:
    """The members of services whose ports the host leads to them, without an ingress sandbox.

    Of two services that lead to the same port of a member, the first by name has what it counts.
    """
    for one in sorted(state.services.values(), key=lambda each: each.name, reverse=True):
        straight = [
            each
            for each in one.ports
            if each.published and not (each.is_ingress and one.ingress_vips)
        ]
        for member in state.members_by_service.get(one.id, ()) if straight else ():
            end = state.endpoints.get(member.endpoint)
            for port in straight:
                protocol = "udp" if port.protocol is Protocol.UDP else "tcp"
                for address in end.hosts if end is not None else ():
                    yield (protocol, port.target, address), (one.id, member.endpoint)
