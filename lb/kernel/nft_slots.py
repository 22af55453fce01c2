"""The slots of a service: elements of a map that leads from a hash to a backend.

Few slots are an anonymous map in the rule itself, which nobody can change. Many would take too long
to be written whenever a backend of hundreds comes or goes, in every sandbox: they are a map with a
name, of which a change writes what it changes. Hands can change such a map, too, so it is compared.
"""

import functools
import struct
from collections.abc import Iterator, Sequence

from lb import choice, maglev, table
from lb.kernel import nft_expressions as nft
from lb.kernel import nft_frame, nft_netlink, nft_text
from lb.kernel.nft_messages import DESTINATION, LENGTH, Set, Writer
from sdd.linux import namespaces, netlink
from sdd.linux.netlink import Message

_WRITER = Writer(nft_frame.TABLE)
_MOST_SEEN = 4096


def changed(
    before: table.VirtualService | None,
    now: table.VirtualService,
    number: int,
    *,
    anew: bool = False,
) -> Iterator[Message]:
    """What turns the map of `before`, into which no rule looks any more, into that of `now`.

    `number` is the map's own in the transaction. Nothing when neither has one.
    """
    old, new = _led(before), _led(now)
    name = nft_text.slots(now.vip)
    is_another = anew or len(old) != len(new)
    if old and is_another:
        yield _WRITER.delete_set(name)
    if not new:
        return
    one = _map(now, number if is_another else 0)
    if is_another:
        yield _WRITER.add_map(one, len(new))
        yield from _WRITER.add_elements(one, elements(new))
        return
    moved = [at for at, (was, to) in enumerate(zip(old, new, strict=True)) if was != to]
    yield from _WRITER.delete_elements(one, [nft.element(_key(at)) for at in moved])
    heads = _heads(len(new[0]), len(new))
    yield from _WRITER.add_elements(one, [heads[at] + new[at] for at in moved])


def elements(led: Sequence[bytes]) -> list[bytes]:
    """The elements of all slots, which lead to these addresses of one version."""
    return list(map(bytes.__add__, _heads(len(led[0]), len(led)), led))


@functools.lru_cache(maxsize=64)
def _heads(width: int, count: int) -> tuple[bytes, ...]:
    """What comes before the address in each element."""
    empty = nft.plain(bytes(width))
    return tuple(nft.element(_key(at), empty)[:-width] for at in range(count))


def _key(at: int) -> bytes:
    return struct.pack("=I", at)


def _map(service: table.VirtualService, number: int) -> Set:
    kind = DESTINATION[service.vip.version]
    return Set(name=nft_text.slots(service.vip), key=LENGTH, data=kind, number=number)


def _led(service: table.VirtualService | None) -> Sequence[bytes]:
    """The address in each of its many slots; none when they are few."""
    if service is None or not choice.is_large(service):
        return ()
    ready = choice.taking(service.open, service.scheduler)
    addresses = [each.packed for each in ready]
    return list(map(addresses.__getitem__, maglev.places(ready)))


class Seen:
    """Remembers up to which change of a namespace's tables all slots were as they should be.

    A map of 16 000 slots takes 10 ms to be read, in each sandbox at each look; that nobody changed
    anything since takes one question.
    """

    def __init__(self) -> None:
        self._good: dict[str, tuple[int, int]] = {}  # namespace → its inode, generation

    def flaws(
        self, connection: netlink.Connection, netns: str, found: table.Table
    ) -> tuple[table.Flaw, ...]:
        """What is wrong with the maps of `found`, in the namespace of `connection`, called `netns`.

        They concern the frame, as all others: damage by hand is rare and all is written anew.
        """
        large = [each for each in found.services.values() if choice.is_large(each)]
        if not large:
            self._good.pop(netns, None)
            return ()
        now = (namespaces.inode(netns), nft_netlink.generation(connection))
        if self._good.get(netns) == now:
            return ()
        wrong = tuple(
            table.Flaw(what=f"the slots of {each.vip} are not as sdd writes them")
            for each in large
            if not _is_whole(connection, each)
        )
        if not wrong:
            if len(self._good) > _MOST_SEEN:
                self._good.clear()
            self._good[netns] = now
        return wrong


def _is_whole(connection: netlink.Connection, service: table.VirtualService) -> bool:
    wanted, name = dict(enumerate(_led(service))), nft_text.slots(service.vip)
    if nft_netlink.numbered(connection, name, nft_netlink.WIDTH[service.vip.version]) == wanted:
        return True
    # It may be that this kernel tells more of an element: then they are taken to pieces.
    told = nft_netlink.elements(connection, name)
    found = {netlink.to_int(key): nft_netlink.value(data) for key, data in told}
    return found == wanted
