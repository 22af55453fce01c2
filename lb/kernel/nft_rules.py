"""Virtual services → the requests that make their rules, for one nftables transaction. Pure.

What the rules are about stands in `nft_text`. They are made directly: libnftables would read a text
and ask the kernel for all that is there first, 10 ms for one service among a thousand.
"""

import functools
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from lb import choice, table
from lb.kernel import nft_expressions as nft
from lb.kernel import nft_frame, nft_slots, nft_text
from lb.kernel.nft_messages import ADDRESS, GOTO, INTEGER, Set, Writer
from sdd.linux.netlink import Message
from sdd.model.network import IPAddress

_FIRST = 1 << 16  # numbers of sets in a transaction: those below are the frame's
# The kernel puts a number in, for which it looks through all names of sets in the table: a tenth
# of what a thousand at once take it. In a new table we know which are free.
_SLOTS = "__map%d"
_ACCEPT = nft.accept()
# What came in from elsewhere cannot be sent to nowhere, which is on loopback: `forward` refuses it.
_ARRIVED = nft.meta(nft.Meta.IIF) + nft.differs(bytes(4)) + _ACCEPT
_REWRITTEN = MappingProxyType({each: nft.rewritten(each) for each in ADDRESS})
_WRITER = Writer(nft_frame.TABLE)
_VIP = MappingProxyType(
    {each: Set(name=f"vip{each}", key=kind, data=GOTO) for each, kind in ADDRESS.items()}
)
_OWN = MappingProxyType({each: Set(name=f"own{each}", key=kind) for each, kind in ADDRESS.items()})


def remove() -> Iterator[Message]:
    """The table goes; it must be there."""
    yield _WRITER.delete_table()


@dataclass(frozen=True, slots=True)
class Rules:
    """The step from `have` to `after`, whose comments are put together once."""

    have: table.Table
    after: table.Table
    records: nft_text.Records = field(default_factory=nft_text.Records)

    def rebuild(self, frame: Sequence[Message], *, is_there: bool) -> Iterator[Message]:
        """Everything, from nothing: whatever the table was, it is `after` when this succeeds.

        `frame` are the requests that make `nft_text.frame_of` the place.
        """
        if is_there:
            yield from remove()
        yield from frame
        for number, service in enumerate(self.after.services.values(), start=_FIRST):
            name = nft_text.chain(service.vip)
            yield _WRITER.add_chain(name)
            yield from nft_slots.changed(None, service)
            yield from self._of(name, service, number, f"__map{number}")
        yield from _led(self.after.services)

    def changes(self, vips: Collection[IPAddress], *, anew: bool = False) -> Iterator[Message]:
        """What turns `have` into `after` for `vips`, leaving all other services alone.

        Of many slots those are written that change, or all of them `anew`.
        """
        have, after = self.have.services, self.after.services
        for number, vip in enumerate(vips, start=_FIRST):
            if vip in after:
                name = nft_text.chain(vip)
                yield _WRITER.add_chain(name)
                yield _WRITER.flush_chain(name)
                yield from nft_slots.changed(have.get(vip), after[vip], anew=anew)
                yield from self._of(name, after[vip], number)
            elif vip in have:
                yield from _removal(have[vip])
        yield from _led([vip for vip in vips if vip in after and vip not in have])

    def _of(
        self, name: str, service: table.VirtualService, number: int, slots: str = _SLOTS
    ) -> Iterator[Message]:
        kind = ADDRESS[service.vip.version]
        those = Set(name=slots, key=INTEGER, data=kind, number=number)
        return _rules(name, service, self.records.of(service), those)


# Services


def _rules(
    name: str, service: table.VirtualService, comments: Sequence[str], slots: Set
) -> Iterator[Message]:
    """The rules of its chain `name`; `slots` is the map that it may need."""
    version = service.vip.version
    ready = choice.taking(service.open, service.scheduler)
    # What has no ports, a ping, goes to the first.
    first = ready[0].packed if ready else nft_text.NOWHERE[version].packed
    rules = [nft.value(first) + _REWRITTEN[version]]
    if not ready:
        rules.insert(0, _ARRIVED)
    if len(ready) > 1:
        chosen = choice.of_service(service)
        yield _WRITER.add_constant_map(slots, len(chosen.slots))
        yield from _WRITER.add_elements(slots, nft_slots.elements(chosen.slots))
        slot = _slot(version, chosen.key, len(chosen.slots))
        rules.insert(0, slot + nft.mapped(slots.name, slots.number) + _REWRITTEN[version])
        for size, _ in chosen.layers:
            slot = _slot(version, chosen.key, size) + nft.mapped(
                nft_text.slots(service.vip, size), 0
            )
            rules.insert(0, slot + _REWRITTEN[version])
    rules += [_ACCEPT] * (len(comments) - len(rules))
    yield from _WRITER.add_rules(name, zip(rules, comments, strict=True))


@functools.cache
def _slot(version: int, key: choice.Key | None, of: int) -> bytes:
    """The number of a slot, loaded; for packets that have ports."""
    ported = nft.meta(nft.Meta.L4PROTO) + nft.is_in(nft_text.PORTED)
    if key is None:
        return ported + nft.turn(of)
    length = ADDRESS[version].length
    if key is choice.Key.VIRTUAL:
        fields = nft.destination(version, nft.HASHED)
    else:
        fields = nft.source(version, nft.HASHED)
    if key is choice.Key.FLOW:
        fields += nft.source_port(nft.behind(version))
        length += nft.PORT_LENGTH
    return ported + nft.is_version(version) + fields + nft.hashed(length, of, choice.SEED)


def _led(vips: Iterable[IPAddress]) -> Iterator[Message]:
    """The elements that lead to the chains of `vips`, and refuse what comes through."""
    for version in ADDRESS:
        mine = [vip for vip in vips if vip.version == version]
        leads = [nft.leading(vip.packed, nft_text.chain(vip)) for vip in mine]
        yield from _WRITER.add_elements(_VIP[version], leads)
        yield from _WRITER.add_elements(_OWN[version], [nft.element(vip.packed) for vip in mine])


def _removal(service: table.VirtualService) -> Iterator[Message]:
    vip = service.vip
    name, key = nft_text.chain(vip), (nft.element(vip.packed),)
    yield from _WRITER.delete_elements(_VIP[vip.version], key)
    yield from _WRITER.delete_elements(_OWN[vip.version], key)
    yield _WRITER.flush_chain(name)
    yield _WRITER.delete_chain(name)
    yield from nft_slots.changed(service, None)
