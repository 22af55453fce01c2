"""What a kernel holds, when that is nothing that could be ours.

Whoever is root in a sandbox may put anything into our table there: a map of ports where addresses
should be, a chain without a name. That is a flaw, and the whole is made anew.
"""

import struct
from collections.abc import Callable
from types import MappingProxyType

from lb import table

_ODD = (ValueError, LookupError, struct.error)


def legible(read: Callable[[], table.Table]) -> table.Table:
    """What `read` returns; a table of one flaw where what is there cannot be taken apart."""
    try:
        return read()
    except _ODD as exc:
        what = f"what is there is nothing that sdd makes ({exc!r})"
        return table.Table(services=MappingProxyType({}), flaws=(table.Flaw(what=what),))
