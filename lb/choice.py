"""How each new flow is given one of several backends where nftables balances. Pure.

Schedulers are mapped to what nftables can do: a hash into a Maglev table, or turns.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from types import MappingProxyType

from lb import maglev, table, turns
from sdd.model.service import Scheduler

SEED = 0x53444400  # any constant: all nodes must hash alike
_WEIGHTED = frozenset({Scheduler.WRR, Scheduler.WLC, Scheduler.SED, Scheduler.NQ})
_CHOICE = 2  # backends, or there is nothing to choose
_FIRST_CHOICE = frozenset({Scheduler.FO, Scheduler.OVF})  # all to the heaviest


class Key(StrEnum):
    """What of a new flow is hashed, in words."""

    FLOW = "client's address and port"
    CLIENT = "client's address"
    VIRTUAL = "virtual address"


# What IPVS hashes: mh with its port flag the flow, sh the client, the others the virtual address.
_HASHED = MappingProxyType(
    {
        Scheduler.MH: Key.FLOW,
        Scheduler.SH: Key.CLIENT,
        Scheduler.DH: Key.VIRTUAL,
        Scheduler.LBLC: Key.VIRTUAL,
        Scheduler.LBLCR: Key.VIRTUAL,
    }
)


@dataclass(frozen=True, slots=True)
class Choice:
    """`key` leads to one of `slots`; None: the next slot is taken each time.

    Unless one of `layers` knows better, the last one first: of a number of slots those that lead
    somewhere else. Backends are told by their addresses in network order.
    """

    key: Key | None
    slots: Sequence[bytes]
    layers: tuple[tuple[int, Mapping[int, bytes]], ...] = ()


def family(version: int) -> str:
    """Nft's word for an IP version."""
    return "ip" if version == 4 else "ip6"  # noqa: PLR2004 - a family


def taking(ready: Sequence[table.Backend], scheduler: Scheduler) -> Sequence[table.Backend]:
    """Those of the open backends that the scheduler uses at all."""
    if scheduler in _FIRST_CHOICE:
        return tuple(sorted(ready, key=lambda each: -each.weight)[:1])
    return ready


def key(scheduler: Scheduler, persistence_s: int) -> Key | None:
    """What is hashed; None when a flow is given the next turn.

    With persistence the client keeps its backend: its address alone decides.
    """
    return _HASHED.get(Scheduler.SH if persistence_s else scheduler)


def counts_weights(scheduler: Scheduler) -> bool:
    """Whether turns are given by weight."""
    return scheduler in _WEIGHTED


def of(ready: Sequence[table.Backend], scheduler: Scheduler, persistence_s: int) -> Choice:
    """How each new flow is given one of at least two backends."""
    hashed = key(scheduler, persistence_s)
    if hashed is None:
        given = turns.turns(ready, weighted=counts_weights(scheduler))
        return Choice(hashed, [each.packed for each in given])
    found = maglev.filled(ready)
    return Choice(hashed, found.base, found.layers)


def of_few(ready: Sequence[table.Backend], scheduler: Scheduler, persistence_s: int) -> Choice:
    """The same without layers, for a rule that has one table: where it hashes, the smallest."""
    hashed = key(scheduler, persistence_s)
    if hashed is None:
        return of(ready, scheduler, persistence_s)
    return Choice(hashed, maglev.small(ready))


def of_service(service: table.VirtualService) -> Choice:
    """The same for a service, of whose open backends it uses at least two.

    That of many is kept with it; thousands of small ones are found sooner than they are held.
    """
    return service.once(_of_service) if is_large(service) else _of_service(service)


def _of_service(service: table.VirtualService) -> Choice:
    ready = taking(service.open, service.scheduler)
    return of(ready, service.scheduler, service.persistence_s)


def rules(service: table.VirtualService) -> int:
    """How many choose: one a table of slots, and one for what has no ports, which may be alone.

    Without a backend there are two that refuse.
    """
    if len(taking(service.open, service.scheduler)) == 1:
        return 1
    return 2 + service.once(_layers)


def is_large(service: table.VirtualService) -> bool:
    """Whether it hashes into more slots than one table's."""
    return service.once(_layers) > 0


def _layers(service: table.VirtualService) -> int:
    ready = taking(service.open, service.scheduler)
    if key(service.scheduler, service.persistence_s) is None or len(ready) < _CHOICE:
        return 0
    return maglev.layers([each.weight for each in ready])


def text(ip: str, chosen: Choice) -> str:
    """The choice as nft's expression, without its layers; `ip` is the family's word."""
    slots = f"{{ {elements(dict(enumerate(chosen.slots)))} }}"
    if chosen.key is None:
        return f"numgen inc mod {len(chosen.slots)} map {slots}"
    return f"{hashed(ip, chosen.key, len(chosen.slots))} map {slots}"


def hashed(ip: str, by: Key, size: int) -> str:
    """The number of a slot of so many, as nft's expression."""
    return f"jhash {_FIELDS[by].format(ip=ip)} mod {size} seed {SEED:#x}"


def elements(slots: Mapping[int, bytes]) -> str:
    """Slots as nft's elements of a map."""
    words = {each: str(ip_address(each)) for each in set(slots.values())}
    return ", ".join(f"{at} : {words[each]}" for at, each in slots.items())


_FIELDS = MappingProxyType(
    {Key.FLOW: "{ip} saddr . th sport", Key.CLIENT: "{ip} saddr", Key.VIRTUAL: "{ip} daddr"}
)
