"""Entries → the elements of nft sets and maps, and the chains, that make them work. Pure.

An image is a set of elements: what should be there, or what is. A port with one backend is one
element of a map; one with several leads to a chain, whose name is made of what it does: a chain of
that name needs no comparing.
"""

import functools
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from lb import choice
from lb.ports.table import Bind, Entry
from lb.table import Backend
from sdd.model.network import IPAddress
from sdd.model.service import Scheduler

_IPV4 = 4
CHAIN = ""  # the `set` of an element that is a chain of its own
FORMAT = 2  # counts up when the rule of a chain changes


@dataclass(frozen=True, slots=True)
class Element:
    """One element of the set or map `set`, as nft writes it; `rule` is what a chain holds."""

    set: str
    key: str
    value: str = ""
    rule: str = field(default="", compare=False)


Image = frozenset[Element]
NONE: Image = frozenset()


def of(entry: Entry) -> Iterator[Element]:
    """Everything that `entry` needs; some of it other entries need as well."""
    key, kind = _key(entry.bind), _kind(entry.bind)
    yield Element(f"own_{kind}", key)
    if entry.is_outward and entry.bind.version == _IPV4:
        yield Element("outward", key)
    ready = choice.taking(tuple([each for each in entry.backends if each.weight]), entry.scheduler)
    if len(ready) == 1:
        yield Element(f"to_{kind}", key, f"{ready[0].address} . {entry.port}")
    elif ready:
        version, protocol = entry.bind.version, entry.bind.protocol
        pool = _pool(version, ready, entry.scheduler, entry.persistence_s)
        chain = f"pool-{_digest(f'{pool.digest} {protocol} {entry.port}')}"
        yield Element(f"pool_{kind}", key, f"goto {chain}")
        rule = (
            f"meta l4proto {protocol} dnat {choice.family(version)} to {pool.text} : {entry.port}"
        )
        yield Element(CHAIN, chain, rule=rule)
    yield from _shared(entry.bind.version, ready, entry.strange, entry.devices)
    for address in entry.masked:
        yield Element(f"masked_{kind}", f"{key} . {address}")


class _Pool(NamedTuple):
    """How one of several is chosen: nft's expression, and what stands for it in names."""

    text: str
    digest: str


@functools.lru_cache(maxsize=256)  # an object may have thousands of ports before the same ones
def _pool(
    version: int, ready: tuple[Backend, ...], scheduler: Scheduler, persistence_s: int
) -> _Pool:
    chosen = choice.of_few(ready, scheduler, persistence_s)
    text = choice.text(choice.family(version), chosen)
    return _Pool(text, _digest(text))


@functools.lru_cache(maxsize=256)
def _shared(
    version: int,
    ready: tuple[Backend, ...],
    strange: frozenset[IPAddress],
    devices: frozenset[str],
) -> tuple[Element, ...]:
    """What ports with the same behind them need alike, of which an object may have thousands."""
    return (
        *(
            Element(f"self{version}", f"{client} . {each.address}")
            for each in ready
            for client in (each.address, *strange)
        ),
        *(Element("bridges", f'"{device}" . "{device}"') for device in devices),
    )


def _kind(bind: Bind) -> str:
    return f"{'any' if bind.address is None else 'at'}{bind.version}"


def _key(bind: Bind) -> str:
    where = "" if bind.address is None else f"{bind.address} . "
    return f"{where}{bind.protocol} . {bind.number}"


def _digest(words: str) -> str:
    text = f"{FORMAT} {words}"
    return hashlib.blake2s(text.encode(), digest_size=8).hexdigest()
