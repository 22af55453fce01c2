"""The nft expression that gives each new flow one of several backends. Pure text.

Schedulers are mapped to what nftables can do: a hash into a Maglev table, or turns.
"""

from collections.abc import Sequence
from types import MappingProxyType

from lb import maglev, table, turns
from sdd.model.service import Scheduler

SEED = 0x53444400  # any constant: all nodes must hash alike
_WEIGHTED = frozenset({Scheduler.WRR, Scheduler.WLC, Scheduler.SED, Scheduler.NQ})
_FIRST_CHOICE = frozenset({Scheduler.FO, Scheduler.OVF})  # all to the heaviest
# What IPVS hashes: mh with its port flag the flow, sh the client, the others the virtual address.
_HASHED = MappingProxyType(
    {
        Scheduler.MH: "{ip} saddr . th sport",
        Scheduler.SH: "{ip} saddr",
        Scheduler.DH: "{ip} daddr",
        Scheduler.LBLC: "{ip} daddr",
        Scheduler.LBLCR: "{ip} daddr",
    }
)


def family(version: int) -> str:
    """Nft's word for an IP version."""
    return "ip" if version == 4 else "ip6"  # noqa: PLR2004 - a family


def taking(ready: Sequence[table.Backend], scheduler: Scheduler) -> Sequence[table.Backend]:
    """Those of the open backends that the scheduler uses at all."""
    if scheduler in _FIRST_CHOICE:
        return tuple(sorted(ready, key=lambda each: -each.weight)[:1])
    return ready


def key(scheduler: Scheduler, persistence_s: int) -> str | None:
    """What of a new flow is hashed, in words; None when it is given the next turn."""
    hashed = _HASHED.get(Scheduler.SH if persistence_s else scheduler)
    return None if hashed is None else _WORDS[hashed]


def counts_weights(scheduler: Scheduler) -> bool:
    """Whether turns are given by weight."""
    return scheduler in _WEIGHTED


_WORDS = MappingProxyType(
    {
        "{ip} saddr . th sport": "client's address and port",
        "{ip} saddr": "client's address",
        "{ip} daddr": "virtual address",
    }
)


def of(ip: str, ready: Sequence[table.Backend], scheduler: Scheduler, persistence_s: int) -> str:
    """The expression that gives each new flow one of at least two backends."""
    # With persistence the client keeps its backend: its address alone decides.
    hashed = _HASHED.get(Scheduler.SH if persistence_s else scheduler)
    if hashed is None:
        round_ = turns.turns(ready, weighted=scheduler in _WEIGHTED)
        return f"numgen inc mod {len(round_)} map {_slots(round_)}"
    filled = maglev.slots(ready)
    return f"jhash {hashed.format(ip=ip)} mod {len(filled)} seed {SEED:#x} map {_slots(filled)}"


def _slots(backends: Sequence[table.Backend]) -> str:
    return "{ " + ", ".join(f"{at} : {each.address}" for at, each in enumerate(backends)) + " }"
