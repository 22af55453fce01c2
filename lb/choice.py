"""How each new flow is given one of several backends where nftables balances. Pure.

Schedulers are mapped to what nftables can do: a hash into a Maglev table, or turns.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from lb import maglev, table, turns
from sdd.model.service import Scheduler

SEED = 0x53444400  # any constant: all nodes must hash alike
_WEIGHTED = frozenset({Scheduler.WRR, Scheduler.WLC, Scheduler.SED, Scheduler.NQ})
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
    """`key` leads to one of `slots`; None: the next slot is taken each time."""

    key: Key | None
    slots: tuple[table.Backend, ...]


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
        return Choice(None, turns.turns(ready, weighted=counts_weights(scheduler)))
    return Choice(hashed, maglev.slots(ready))


def is_large(service: table.VirtualService) -> bool:
    """Whether it hashes into so many slots that a change must not write them all."""
    if key(service.scheduler, service.persistence_s) is None:
        return False
    ready = taking(service.open, service.scheduler)
    return len(ready) > 1 and maglev.size([each.weight for each in ready]) > maglev.SLOTS


def text(ip: str, chosen: Choice, name: str = "") -> str:
    """The choice as nft's expression, by a map of this name if it has one; `ip` is the family."""
    slots = f"@{name}" if name else f"{{ {elements(chosen)} }}"
    if chosen.key is None:
        return f"numgen inc mod {len(chosen.slots)} map {slots}"
    hashed = _FIELDS[chosen.key].format(ip=ip)
    return f"jhash {hashed} mod {len(chosen.slots)} seed {SEED:#x} map {slots}"


def elements(chosen: Choice) -> str:
    """The slots as nft's elements of a map."""
    return ", ".join(f"{at} : {each.address}" for at, each in enumerate(chosen.slots))


_FIELDS = MappingProxyType(
    {Key.FLOW: "{ip} saddr . th sport", Key.CLIENT: "{ip} saddr", Key.VIRTUAL: "{ip} daddr"}
)
