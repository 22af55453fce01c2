"""One change of a sandbox's rules, put together once for all sandboxes that it reaches.

In: what was there and the steps from it. Out: the requests, as bytes that do for every namespace,
and what became of them in one. Many sandboxes on one network balance the same services, so that a
change of one service is the same in all of them, and only the kernel's part is done in each. What
they balance beside it, on other networks, matters only where their whole table is written.
"""

import functools
import struct
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from lb import plan, table, world
from lb.kernel import (
    conntrack,
    nft_counts,
    nft_netlink,
    nft_read,
    nft_rules,
    nft_text,
    nft_trust,
    unanswered,
)
from sdd.linux import netlink, nft_compile
from sdd.model.network import IPAddress

Frame = Sequence[netlink.Message]


class _Written(NamedTuple):
    """What was refused, and whether the whole table is what was written."""

    refused: tuple[world.Refusal, ...] = ()
    is_whole: bool = False


class Change:
    """`steps` from `have`; `frame` is what a new table begins with.

    What it holds is put together when it is first needed, in any thread.
    """

    def __init__(self, frame: Frame, have: table.Table, steps: Sequence[plan.Step]) -> None:
        self._frame = frame
        self.have = have
        self.steps = steps

    def is_of(self, frame: Frame, have: table.Table, steps: Sequence[plan.Step]) -> bool:
        """Whether it is just this change; compares identities, which says no rather than looks."""
        is_alike = self.steps is steps and self._frame is frame
        if not is_alike or have.flaws or self.have.flaws:
            return False
        return self.have.services is have.services or self._is_part_of(have)

    def _is_part_of(self, have: table.Table) -> bool:
        """Whether it is the same beside whatever else is there, and leaves something there."""
        mine, theirs = self.have.services, have.services
        is_beside = mine and theirs and None not in self._touched
        if not is_beside or any(isinstance(each, plan.RemoveService) for each in self.steps):
            return False
        return all(mine.get(vip) is theirs.get(vip) for vip in self._vips)

    def make(self, netns: str, have: table.Table, trust: nft_trust.Trust) -> world.Change:
        """Make it in the namespace of the calling thread, called `netns`; by way of `trust`.

        `have` is all that is there, for which `is_of` said yes. All of the steps are taken or, when
        nft refuses, all but the virtual services it refuses.
        """
        with netlink.Connection(netlink.NETFILTER) as connection:
            # With the table its counters go, too.
            counted = self._cleared(connection) if not self.after.services else {}
            lost = _counts(connection) if None in self._touched else {}
            refused: tuple[world.Refusal, ...] = ()
            if self.steps:
                with trust.writing(connection, netns) as written:
                    refused, written.is_whole = self._write(connection, have)
            unanswered.let_go(self._came)
            # What is over is not among them: for a minute the backend still holds those ports, and
            # only conntrack's memory keeps a connection to another virtual address from arriving
            # there with the same ones, where its SYN would be dropped as too old (PAWS).
            stuck = [
                flow
                for flow in conntrack.flows(connection, self._suspects)
                if not _may_stay(flow, self.after.services.get(flow.vip))
            ]
            conntrack.forget(connection, stuck)
            if self.after.services:
                counted = self._cleared_of(connection, netns, trust)
            shown = nft_read.read(connection, self._vips, self.after.services, self._rules.records)
            # A table that was written anew has forgotten all; then nothing was left to be cleared.
            ended = tuple(self._ended(counted if refused else {**lost, **counted}))
            return world.Change(refusals=refused, shown=shown, ended=ended)

    def _cleared_of(
        self, connection: netlink.Connection, netns: str, trust: nft_trust.Trust
    ) -> nft_counts.Counted:
        """As `_cleared`, in a table that stays."""
        if not any(self._gone.values()):
            return {}
        with trust.writing(connection, netns):
            return self._cleared(connection)

    def _cleared(self, connection: netlink.Connection) -> nft_counts.Counted:
        """What those had counted that leave."""
        cleared, counted = nft_counts.cleared(connection, self._gone)
        _run(connection, cleared, None)
        return counted

    def _write(self, connection: netlink.Connection, have: table.Table) -> _Written:
        expects_all = self.have.services and self.after.services and None not in self._touched
        # Where it is not there after all, this is refused.
        if expects_all and not connection.commit(self._batch).error:
            return _Written()
        is_there = nft_netlink.present(connection)
        if not self.after.services:
            return _Written(_run(connection, nft_rules.remove() if is_there else (), None))
        if not is_there:
            return self._write_anew(connection, have)
        if None in self._touched:
            whole = self._rules.rebuild(self._frame, is_there=True)
            return _Written(_run(connection, whole, None), is_whole=True)
        if not expects_all and not _run(connection, self._rules.changes(self._vips), None):
            return _Written()
        # Nothing was taken: find out what the kernel refuses, and take all the others.
        each = [_run(connection, self._rules.changes((vip,), anew=True), vip) for vip in self._vips]
        return _Written(tuple(refusal for one in each for refusal in one))

    def _write_anew(self, connection: netlink.Connection, have: table.Table) -> _Written:
        """Where there is no table."""
        if have.services is self.have.services:
            after, refused = self.after, _refused(connection.commit(self._anew), None)
        else:
            after = plan.result(have, self.steps)
            whole = nft_rules.Rules(have, after, self._rules.records)
            refused = _run(connection, whole.rebuild(self._frame, is_there=False), None)
        unanswered.let_go(after.services)
        return _Written(refused, is_whole=True)

    def _ended(self, counted: nft_counts.Counted) -> Iterator[world.Load]:
        for (protocol, vip, backend), count in counted.items():
            service = self.have.services.get(vip) or self.after.services.get(vip)
            if service is not None:
                yield world.Load(
                    vip=vip,
                    protocol=protocol,
                    scheduler=service.scheduler,
                    persistence_s=service.persistence_s,
                    address=backend,
                    **count._asdict(),
                )

    @functools.cached_property
    def after(self) -> table.Table:
        """What is there when all was taken."""
        return plan.result(self.have, self.steps)

    @functools.cached_property
    def _touched(self) -> Collection[IPAddress | None]:
        return plan.touched(self.steps)

    @functools.cached_property
    def _vips(self) -> Sequence[IPAddress]:
        return [vip for vip in self._touched if vip is not None]

    @functools.cached_property
    def _came(self) -> Collection[IPAddress]:
        """Of a table that was there: what may have been sent to these was not balanced."""
        if None in self._touched:
            return self.after.services.keys()
        if not self.have.services:
            return ()
        those = (each for each in self.steps if isinstance(each, plan.AddService | plan.Mend))
        return [vip for vip in plan.touched(those) if vip is not None]

    @functools.cached_property
    def _rules(self) -> nft_rules.Rules:
        return nft_rules.Rules(self.have, self.after)

    @functools.cached_property
    def _batch(self) -> netlink.Batch:
        return netlink.batch(nft_compile.SUBSYSTEM, tuple(self._rules.changes(self._vips)))

    @functools.cached_property
    def _anew(self) -> netlink.Batch:
        """The whole table, where there is none."""
        requests = self._rules.rebuild(self._frame, is_there=False)
        return netlink.batch(nft_compile.SUBSYSTEM, tuple(requests))

    @functools.cached_property
    def _suspects(self) -> Collection[IPAddress]:
        """The virtual addresses some of whose connections may have to end."""
        return _departed(self.steps) | _opened(self.have, self.after, self._vips)

    @functools.cached_property
    def _gone(self) -> nft_counts.Keys:
        return nft_counts.keys(tuple(_gone(self.have, self.after, self._vips)))


def _counts(connection: netlink.Connection) -> nft_counts.Counted:
    """All that is counted; nothing where hands have put something else there."""
    try:
        return nft_counts.read(connection)
    except (ValueError, LookupError, struct.error):
        return {}


def _run(
    connection: netlink.Connection, messages: Iterable[netlink.Message], vip: IPAddress | None
) -> tuple[world.Refusal, ...]:
    return _refused(connection.transaction(nft_compile.SUBSYSTEM, messages), vip)


def _refused(result: netlink.Result, vip: IPAddress | None) -> tuple[world.Refusal, ...]:
    if not result.error:
        return ()
    return (world.Refusal(vip=vip, sentence=f"nftables refuses: {result}", code="SDD-LB-NFT"),)


def _departed(steps: Sequence[plan.Step]) -> frozenset[IPAddress]:
    """The virtual addresses some of whose connections may lead to the wrong place now."""
    leaving = [
        step
        for step in steps
        if isinstance(step, plan.AddService | plan.RemoveService | plan.RemoveBackend | plan.Mend)
        or (isinstance(step, plan.SetWeight) and not step.backend.weight)
    ]
    return frozenset(vip for vip in plan.touched(leaving) if vip is not None)


def _opened(
    have: table.Table, after: table.Table, vips: Collection[IPAddress]
) -> frozenset[IPAddress]:
    """Those that took nothing before: what was refused there is given to a backend now."""
    return frozenset(
        vip
        for vip in vips
        if vip in have.services
        and vip in after.services
        and not have.services[vip].open
        and after.services[vip].open
    )


def _gone(
    have: table.Table, after: table.Table, vips: Collection[IPAddress]
) -> Iterator[nft_counts.Pair]:
    """The backends that left, each with its virtual address; of a service that left, all."""
    for vip in vips:
        before, now = have.services.get(vip), after.services.get(vip)
        if before is None and now is not None:
            continue
        staying = {each.packed for each in now.backends} if now else set()
        for each in before.backends if before else ():
            if each.packed not in staying:
                yield vip, each.address
        if now is None:
            yield vip, nft_text.NOWHERE[vip.version]


def _may_stay(flow: conntrack.Flow, service: table.VirtualService | None) -> bool:
    """TCP stays with a backend of weight 0 (it drains), datagrams do not: they never end."""
    weight = None if service is None else service.weights.get(flow.backend)
    if weight is None:
        return False
    return weight > 0 or flow.protocol in (conntrack.TCP, conntrack.SCTP)
