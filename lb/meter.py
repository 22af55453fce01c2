"""Reads what the kernels of this node's sandboxes count, again and again, and adds it up.

In: the newest state and readings. Out: totals per service and connections per backend, for the page
of metrics, and `suspect` calls for members whose counters look as if they did not answer. Reading
takes at most a hundredth of a processor, unless that would make it too seldom.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Never

from lb import growth, suspicion, table, world
from lb.desired import Desired, Wanted, desired, member_on, nothing
from lb.growth import Growth
from lb.world import PortKey
from sdd import errors
from sdd.model import ids
from sdd.model.network import IPAddress
from sdd.model.port import Protocol
from sdd.reconcile import Slot
from sdd.state import ClusterState, MemberKey

LONGEST_S = 60.0  # older than that, nobody would believe the page
PART = 100  # of a processor, one part is spent on reading
IDLE_S = 3600.0
PROTOCOLS = ("tcp", "udp")

Suspect = Callable[[MemberKey], None]
HostCounts = Callable[[], Awaitable[Mapping[PortKey, Growth]]]
Grown = dict[MemberKey, dict[str, Growth]]
Members = Mapping[tuple[ids.ServiceId, IPAddress], MemberKey]
Readings = dict[ids.SandboxId, Sequence[world.Load]]
_Growing = defaultdict[MemberKey, dict[str, Growth]]


async def _nothing_counted() -> Mapping[PortKey, Growth]:
    return {}


class Meter:
    """`clock` is monotonic, `spent` what this process spent of processors; both in seconds.

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
        pause_s: float | None = None,
        spent: Callable[[], float] = time.process_time,
    ) -> None:
        self._spent = spent
        self._kernel = kernel
        self._suspect = suspect
        self._clock = clock
        self._host = host
        self._on_host: Mapping[PortKey, Growth] = {}
        self._pause_s = kernel.counts_s if pause_s is None else pause_s
        self._desired: Desired = nothing(node)
        self._read: dict[ids.SandboxId, Sequence[world.Load]] | None = None
        self._ended: dict[ids.SandboxId, tuple[Wanted | None, Sequence[world.Load]]] = {}
        self._totals: dict[tuple[ids.ServiceId, str], Growth] = {}
        self._open: Counter[tuple[MemberKey, str]] = Counter()
        self._unanswered: dict[MemberKey, Growth] = {}  # datagrams, since the last answer

    async def run(self, slot: Slot) -> Never:
        """For ever; ends by cancellation only."""
        state: ClusterState | None = None
        while state is None:
            state = await slot.next(IDLE_S)
        while True:
            spent = self._spent()
            await self._look(state)
            spent_s = self._spent() - spent
            due = self._clock() + min(LONGEST_S, max(self._pause_s, PART * spent_s))
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

    # --- one round --------------------------------------------------------------------------

    async def _look(self, state: ClusterState) -> None:
        self._desired = desired(state, self._desired)
        members = _members(state)
        before, read = self._read, Readings()
        grown: defaultdict[MemberKey, dict[str, Growth]] = defaultdict(dict)
        open_: Counter[tuple[MemberKey, str]] = Counter()
        for box, want in self._desired.sandboxes.items():
            if want.table == table.EMPTY:
                continue
            loads = await self._loads(want)
            if loads is None or box in self._ended:  # its namespace is gone or not there yet
                read[box] = before.get(box, ()) if before else ()
                continue
            read[box] = loads
            for each in loads:
                if (key := _member(members, want, each.vip, each.address)) is not None:
                    open_[key, "active"] += each.active
                    open_[key, "inactive"] += each.inactive
            # What the kernel had before this daemon began is no growth; a new sandbox's is.
            was = loads if before is None else before.get(box, ())
            _grow(grown, members, want, growth.growth(was, loads))
        self._read = self._parted(before, read, members, grown)
        self._open = open_
        await self._straight(state, grown)
        self._add(state, grown)

    def _parted(
        self, before: Readings | None, read: Readings, members: Members, grown: _Growing
    ) -> Readings:
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
                _grow(grown, members, was, growth.beyond(known, loads))
        self._ended = {}
        return left

    async def _straight(
        self, state: ClusterState, grown: defaultdict[MemberKey, dict[str, Growth]]
    ) -> None:
        """Adds what no sandbox balances."""
        members = dict(_ported(state))
        if not members:
            return
        try:
            before, self._on_host = self._on_host, await self._host()
        except errors.SddError:
            return
        for key, now in self._on_host.items():
            if (member := members.get(key)) is not None:
                mine, more = grown[member], growth.between(before.get(key, growth.NONE), now)
                mine[key[0]] = mine.get(key[0], growth.NONE) + more

    def _add(self, state: ClusterState, grown: Grown) -> None:
        totals = {
            (svc, protocol): self._totals.get((svc, protocol), growth.NONE)
            for svc, one in state.services.items()
            if one.vips or one.ports
            for protocol in PROTOCOLS
        }
        for key, by_protocol in grown.items():
            for protocol, more in by_protocol.items():
                totals[key[0], protocol] = totals.get((key[0], protocol), growth.NONE) + more
            self._doubt(key, by_protocol)
        self._totals = totals
        for left in self._unanswered.keys() - state.members.keys():
            del self._unanswered[left]

    def _doubt(self, key: MemberKey, grown: Mapping[str, Growth]) -> None:
        """A slow flow sends less between two readings than it takes to be a sign."""
        datagrams = self._unanswered.pop(key, growth.NONE) + grown.get("udp", growth.NONE)
        if suspicion.is_suspect({**grown, "udp": datagrams}):
            self._suspect(key)
        elif datagrams.in_packets and not datagrams.out_packets:
            self._unanswered[key] = datagrams

    async def _loads(self, want: Wanted) -> Sequence[world.Load] | None:
        try:
            return await self._kernel.loads(want.place)
        except errors.SddError:
            return None


def _grow(
    grown: _Growing, members: Members, want: Wanted, more: Mapping[growth.Key, Growth]
) -> None:
    for (vip, protocol, address), each in more.items():
        if (key := _member(members, want, vip, address)) is not None:
            mine = grown[key]
            mine[protocol] = mine.get(protocol, growth.NONE) + each


def _members(state: ClusterState) -> Members:
    return dict(_addressed(state))


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


def _member(
    members: Members, want: Wanted, vip: IPAddress, address: IPAddress | None
) -> MemberKey | None:
    owner = want.owners.get(vip)
    return None if owner is None or address is None else members.get((owner, address))
