"""The slots of a service: elements of a map that leads from a hash to a backend.

The smallest table is an anonymous map in the rule itself, which nobody can change. Of each larger
one a map with a name has the slots that lead elsewhere than in the one before: a rule that finds
nothing there passes on to the next. So a table of 16 000 slots for 300 backends is 840 elements,
and a change writes those of them that change: in every sandbox, that is what it costs. Hands can
change such a map, too, so it is compared.
"""

import functools
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence

from lb import choice, table
from lb.kernel import nft_expressions as nft
from lb.kernel import nft_frame, nft_netlink, nft_text
from lb.kernel.nft_messages import DESTINATION, LENGTH, Set, Writer
from sdd.linux import netlink
from sdd.linux.netlink import Message

_WRITER = Writer(nft_frame.TABLE)
_NUMBER = 1 << 30  # of all maps with names in a transaction: the kernel finds them by these


def changed(
    before: table.VirtualService | None,
    now: table.VirtualService | None,
    *,
    anew: bool = False,
) -> Iterator[Message]:
    """What turns the maps of `before`, into which no rule looks any more, into those of `now`."""
    old, new = _maps(before), _maps(now)
    for name in old:
        if anew or name not in new:
            yield _WRITER.delete_set(name)
    for name, slots in new.items():
        was = {} if anew else old.get(name, {})
        one = _map(name, now)
        if anew or name not in old:
            yield _WRITER.add_set(one)
        gone = [_element(at) for at, to in was.items() if slots.get(at) != to]
        yield from _WRITER.delete_elements(one, gone)
        come = [_element(at, nft.plain(to)) for at, to in slots.items() if was.get(at) != to]
        yield from _WRITER.add_elements(one, come)


def elements(led: Sequence[bytes]) -> list[bytes]:
    """The elements of all slots, which lead to these addresses of one version."""
    return list(map(bytes.__add__, _heads(len(led[0]), len(led)), led))


@functools.lru_cache(maxsize=64)
def _heads(width: int, count: int) -> tuple[bytes, ...]:
    """What comes before the address in each element."""
    empty = nft.plain(bytes(width))
    return tuple(_element(at, empty)[:-width] for at in range(count))


def _element(at: int, data: bytes = b"") -> bytes:
    return nft.element(struct.pack("=I", at), data)


def _map(name: str, service: table.VirtualService | None) -> Set:
    version = 4 if service is None else service.vip.version
    return Set(name=name, key=LENGTH, data=DESTINATION[version], number=_NUMBER)


def _maps(service: table.VirtualService | None) -> Mapping[str, Mapping[int, bytes]]:
    """Name → slot → address in bytes, of each map that it has."""
    if service is None or not choice.is_large(service):
        return {}
    layers = choice.of_service(service).layers
    return {nft_text.slots(service.vip, size): layer for size, layer in layers}


def flaws(
    connection: netlink.Connection, services: Iterable[table.VirtualService]
) -> Iterator[table.Flaw]:
    """What is wrong with the maps of `services`, in the namespace of `connection`.

    They concern the frame, as others: damage by hand is rare and all is written anew. Reading takes
    milliseconds, so ask only where somebody may have changed something.
    """
    for each in filter(choice.is_large, services):
        if not _is_whole(connection, each):
            yield table.Flaw(what=f"the slots of {each.vip} are not as sdd writes them")


def _is_whole(connection: netlink.Connection, service: table.VirtualService) -> bool:
    return all(_is(connection, service, *each) for each in _maps(service).items())


def _is(
    connection: netlink.Connection,
    service: table.VirtualService,
    name: str,
    wanted: Mapping[int, bytes],
) -> bool:
    if nft_netlink.numbered(connection, name, nft_netlink.WIDTH[service.vip.version]) == wanted:
        return True
    # It may be that this kernel tells more of an element: then they are taken to pieces.
    told = nft_netlink.elements(connection, name)
    found = {netlink.to_int(key): nft_netlink.value(data) for key, data in told}
    return found == wanted
