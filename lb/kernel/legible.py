"""What a kernel holds, when that is nothing that could be ours.

Whoever is root in a sandbox may put anything into our table there: a map of ports where addresses
should be, a chain without a name. Read as a table, that is a flaw, and the whole is made anew; its
counts cannot be had.
"""

import struct
from collections.abc import Callable, Iterable
from types import MappingProxyType

from lb import table, world
from sdd import errors

_ODD = (ValueError, LookupError, struct.error)


def legible(read: Callable[[], table.Table]) -> table.Table:
    """What `read` returns; a table of one flaw where what is there cannot be taken apart."""
    try:
        return read()
    except _ODD as exc:
        what = f"what is there is nothing that sdd makes ({exc!r})"
        return table.Table(services=MappingProxyType({}), flaws=(table.Flaw(what=what),))


def counts(read: Callable[[], Iterable[world.Load]]) -> tuple[world.Load, ...]:
    """What `read` returns. Raises `errors.KernelRefused` where that cannot be taken apart."""
    try:
        return tuple(read())
    except _ODD as exc:
        raise errors.KernelRefused(
            f"what the kernel counts there is nothing that sdd makes ({exc!r})"
        ) from exc
