"""A DNS record that somebody added to a network, beside the names that objects have anyway."""

import re
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address
from typing import Final

from sdd.model import ids

WILDCARD = "*."
_MAPPED: Final = re.compile("::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})")


class RecordType(StrEnum):
    """What can be added (RFC 1035 §3.3, 2782, 3596)."""

    A = "A"
    AAAA = "AAAA"
    CNAME = "CNAME"
    TXT = "TXT"
    SRV = "SRV"


ADDRESSES = frozenset({RecordType.A, RecordType.AAAA})
# What a sandbox or a service of the same name has already, or what would stand for it.
ADDRESSING = ADDRESSES | {RecordType.CNAME}
NAMING = frozenset({RecordType.CNAME, RecordType.SRV})  # their data end in a name


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """`name` is lower-case, without the network's name and a last dot, perhaps with `*.` in front.

    `data` is in its one canonical form: an address, a name, a text, or for SRV
    `priority weight port target`. The id is made of all of these: nothing is there twice.
    """

    id: ids.RecordId
    network: ids.NetworkId
    name: str
    kind: RecordType
    data: str
    created: float = 0.0  # seconds since the epoch

    @property
    def is_wildcard(self) -> bool:
        """Whether it stands for every name below its own that nobody has (RFC 4592)."""
        return self.name.startswith(WILDCARD)

    @property
    def shown(self) -> str:
        """The data for people: the IPv4 address in an IPv6 one as such (RFC 5952 §5)."""
        mapped = _MAPPED.fullmatch(self.data) if self.kind is RecordType.AAAA else None
        if mapped is None:
            return self.data
        high, low = (int(each, 16) for each in mapped.groups())
        return f"::ffff:{IPv4Address(high << 16 | low)}"

    def __str__(self) -> str:
        """As `dns record add` takes it."""
        return f"{self.name} {self.kind} {self.shown}"
