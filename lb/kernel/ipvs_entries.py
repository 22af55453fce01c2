"""A virtual service → the two mark services it is in IPVS, and the requests from what is to that.

Streams (TCP, SCTP) keep a backend of weight 0, so that live connections end in peace; datagrams
lose it, because a UDP flow never ends by itself. Pure: the session sends what is decided here.
"""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import NamedTuple

from lb import table
from lb.kernel import ipvs_codec, ipvs_front, ipvs_list
from lb.kernel.ipvs_codec import Key, Settings
from sdd.linux import netlink
from sdd.model.network import IPAddress
from sdd.model.service import Scheduler

_FLAGS = {
    # balancing.md §4: with the port flag and sloppy TCP a connection survives the idle timeout.
    Scheduler.MH: ipvs_codec.PORT | ipvs_codec.FALLBACK,
    Scheduler.SH: ipvs_codec.FALLBACK,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One mark service with its backends' weights; `strays` are backends of others, with a port."""

    settings: Settings
    weights: Mapping[IPAddress, int]
    strays: AbstractSet[tuple[IPAddress, int]] = frozenset()


Entries = Mapping[Key, Entry]


def keys(service: table.VirtualService) -> tuple[Key, Key]:
    """The stream and the datagram service."""
    mark = ipvs_front.stream_mark(service.number)
    return Key(service.vip.version, mark), Key(service.vip.version, mark | 1)


def settings(service: table.VirtualService) -> Settings:
    """Scheduler, its flags, and persistence."""
    flags = _FLAGS.get(service.scheduler, 0)
    if service.persistence_s:
        flags |= ipvs_codec.PERSISTENT
    return Settings(scheduler=service.scheduler.value, flags=flags, timeout_s=service.persistence_s)


def entries(service: table.VirtualService) -> dict[Key, Entry]:
    """Both mark services as they should be."""
    stream, datagram = keys(service)
    how, weights, less = settings(service), service.weights, datagrams(service)
    return {
        stream: Entry(settings=how, weights=weights),
        datagram: Entry(settings=how, weights=weights if less is service else less.weights),
    }


def are_listed(
    service: table.VirtualService, found: Mapping[Key, Settings], listing: ipvs_list.Listing
) -> bool:
    """Whether both mark services are there just so, and without connections."""
    stream, datagram = keys(service)
    how, lines = settings(service), ipvs_list.lines(service)
    less = datagrams(service)
    return (
        found.get(stream) == how == found.get(datagram)
        and listing.shows(stream.mark, lines)
        and listing.shows(datagram.mark, lines if less is service else ipvs_list.lines(less))
    )


def datagrams(service: table.VirtualService) -> table.VirtualService:
    """What of it is for datagrams: the very same while no backend rests."""
    return service if service.open == service.backends else replace(service, backends=service.open)


def virtual(vip: IPAddress, number: int, stream: Entry) -> table.VirtualService | None:
    """The virtual service that a stream entry stands for; None for a scheduler we never set."""
    if stream.settings.scheduler not in set(Scheduler):
        return None
    found = sorted(stream.weights.items(), key=lambda pair: int(pair[0]))
    return table.VirtualService(
        number=number,
        vip=vip,
        scheduler=Scheduler(stream.settings.scheduler),
        persistence_s=stream.settings.timeout_s,
        backends=tuple(table.Backend(address=each, weight=weight) for each, weight in found),
    )


class Change(NamedTuple):
    """One request about the service `key`."""

    key: Key
    command: int
    message: netlink.Message

    @property
    def is_removal(self) -> bool:
        """Whether it is fine when there is nothing to remove."""
        return self.command in (ipvs_codec.DELETE_SERVICE, ipvs_codec.DELETE_BACKEND)


def changes(family: int, have: Entries, want: Entries) -> Iterator[Change]:
    """What turns `have` into `want`; additions come first, and weights rise before others fall.

    Connections come in between any two.
    """
    for key, entry in want.items():
        before = have.get(key)
        if before is None or before.settings != entry.settings:
            command = ipvs_codec.NEW_SERVICE if before is None else ipvs_codec.SET_SERVICE
            message = ipvs_codec.service_request(family, command, key, entry.settings)
            yield Change(key, command, message)
    for key, entry in want.items():
        yield from _weighed(family, key, have.get(key), entry)
    for key, before in have.items():
        yield from _removed(family, key, before, want.get(key))


def _weighed(family: int, key: Key, before: Entry | None, after: Entry) -> Iterator[Change]:
    new, other = tuple(after.weights.items()), tuple[tuple[IPAddress, int], ...]()
    # Hashing an address takes as long as making its request: nothing is looked up in nothing.
    if before is not None and before.weights:
        old = before.weights
        moved = [pair for pair in after.weights.items() if old.get(pair[0]) != pair[1]]
        new = tuple(pair for pair in moved if pair[0] not in old)
        other = tuple(pair for pair in moved if pair[0] in old)
        if len(other) > 1:  # who takes over is there before others rest
            other = tuple(sorted(other, key=lambda pair: pair[1] < old[pair[0]]))
    for command, pairs in ((ipvs_codec.NEW_BACKEND, new), (ipvs_codec.SET_BACKEND, other)):
        if pairs:
            for message in ipvs_codec.backend_requests(family, command, key, pairs):
                yield Change(key, command, message)


def _removed(family: int, key: Key, before: Entry, after: Entry | None) -> Iterator[Change]:
    if after is None:
        command = ipvs_codec.DELETE_SERVICE
        yield Change(key, command, ipvs_codec.keyed_request(family, command, key))
        return
    gone = {(address, 0) for address in before.weights.keys() - after.weights.keys()}
    for address, port in gone | (before.strays - after.strays):
        command = ipvs_codec.DELETE_BACKEND
        message = ipvs_codec.backend_request(family, command, key, address, port=port)
        yield Change(key, command, message)
