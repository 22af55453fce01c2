"""The names of a table as the worker holds them: what they say is read when somebody asks for it.

Of ten thousand names few are ever asked for. Each one's records are several objects, which take
most of the time to make, several times the memory, and each search for garbage goes through them.
"""

from collections.abc import Iterable
from typing import TypeVar, overload

import msgspec

from resolver import protocol

D = TypeVar("D")


class Unread(dict[bytes, protocol.Entry]):
    """As any mapping, for `get`, `in` and `pop`; whoever else looks may see what is not read."""

    __slots__ = ()

    def take(self, those: Iterable[tuple[list[bytes], msgspec.Raw]]) -> None:
        """Adds names with their records."""
        for owners, entry in those:
            for name in owners:
                self[name] = entry  # type: ignore[assignment]  # read by `get`

    def extend(self, those: Iterable[tuple[list[bytes], msgspec.Raw]]) -> None:
        """Adds records to names that are there. Few have so many, so they are read at once."""
        for owners, entry in those:
            more = protocol.decode_entry(entry)
            for name in owners:
                have = self.get(name, {})
                self[name] = {
                    kind: [*have.get(kind, ()), *more.get(kind, ())] for kind in (*have, *more)
                }

    @overload  # type: ignore[override]  # whoever says what else is positional too
    def get(self, name: bytes, /) -> protocol.Entry | None: ...
    @overload
    def get(self, name: bytes, other: D, /) -> protocol.Entry | D: ...

    def get(self, name: bytes, other: object = None, /) -> object:
        """The records of `name`, which are read once."""
        found: object = super().get(name, other)
        if type(found) is msgspec.Raw:
            found = self[name] = protocol.decode_entry(found)
        return found
