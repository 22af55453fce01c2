"""Two readings of a kernel's counts → what came in between. Pure.

A counter that went back began anew (its backend left and came again, or its table was repaired):
then all it shows is new.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lb import world
from sdd.model.network import IPAddress

Key = tuple[IPAddress, str, IPAddress]  # virtual address, protocol, backend


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """`in_` towards the backend."""

    connections: int = 0
    in_packets: int = 0
    out_packets: int = 0
    in_bytes: int = 0
    out_bytes: int = 0

    def __add__(self, other: "Growth") -> "Growth":
        return Growth(**{each: getattr(self, each) + getattr(other, each) for each in COUNTERS})

    @property
    def is_none(self) -> bool:
        """Whether nothing moved at all."""
        return self == NONE


COUNTERS = tuple(Growth.__dataclass_fields__)
NONE = Growth()
_RATES = dict(
    zip(
        COUNTERS,
        ("connection_rate", "in_packet_rate", "out_packet_rate", "in_byte_rate", "out_byte_rate"),
        strict=True,
    )
)


def growth(before: Sequence[world.Load], after: Sequence[world.Load]) -> Mapping[Key, Growth]:
    """What each backend's counters grew by; one that was not there before grew from nothing."""
    old = {key: each for each in before if (key := key_of(each)) is not None}
    return {
        key: _between(old.get(key), each) for each in after if (key := key_of(each)) is not None
    }


def beyond(before: Sequence[world.Load], after: Sequence[world.Load]) -> Mapping[Key, Growth]:
    """The same where `before` may be the later reading: what went back grew by nothing."""
    old = {key: each for each in before if (key := key_of(each)) is not None}
    those = [each for each in after if (key := key_of(each)) and not _is_back(old.get(key), each)]
    return growth(before, those)


def without(loads: Sequence[world.Load], those: Sequence[world.Load]) -> tuple[world.Load, ...]:
    """`loads` of all but the backends of which `those` are."""
    keys = {key_of(each) for each in those}
    return tuple(each for each in loads if key_of(each) not in keys)


def between(old: Growth, new: Growth) -> Growth:
    """The same of two sums."""
    pairs = ((each, getattr(old, each), getattr(new, each)) for each in COUNTERS)
    return Growth(**{each: now - was if now >= was else now for each, was, now in pairs})


def rated(
    before: Sequence[world.Load], after: Sequence[world.Load], seconds: float
) -> tuple[world.Load, ...]:
    """`after` with the rates that its kernel does not tell."""
    grown = growth(before, after)
    return tuple(_rated(each, grown, seconds) for each in after)


def _rated(load: world.Load, grown: Mapping[Key, Growth], seconds: float) -> world.Load:
    key = key_of(load)
    if key is None or load.connection_rate is not None:
        return load
    rates = {_RATES[each]: round(getattr(grown[key], each) / seconds) for each in COUNTERS}
    return replace(load, **rates)


def counted(load: world.Load) -> Growth:
    """All that it shows."""
    return Growth(**{each: getattr(load, each) or 0 for each in COUNTERS})


def key_of(load: world.Load) -> Key | None:
    """Whose counts they are; None where there are none."""
    if load.address is None or load.connections is None:
        return None
    return load.vip, load.protocol, load.address


def _is_back(old: world.Load | None, new: world.Load) -> bool:
    return old is not None and any(
        (getattr(new, each) or 0) < (getattr(old, each) or 0) for each in COUNTERS
    )


def _between(old: world.Load | None, new: world.Load) -> Growth:
    grown = {}
    for each in COUNTERS:
        now, was = getattr(new, each) or 0, (getattr(old, each) or 0) if old else 0
        grown[each] = now - was if now >= was else now
    return Growth(**grown)
