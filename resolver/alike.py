"""What is equal for many sandboxes is one object: views of one network, names of one address.

In: views and names. Out: equal ones that share whatever they have in common. Nothing of it is ever
changed, so nobody can tell but by the memory it takes.
"""

import functools
from typing import Final

import msgspec

from resolver import protocol

KINDS: Final = 256  # of views that are remembered to be shared; of more kinds each is its own

_view: Final = msgspec.msgpack.Decoder(protocol.View)


def view(one: protocol.View) -> protocol.View:
    """`one`, made of the parts of another one that differs from it in whose it is, and no more."""
    alike = _shared(protocol.encode(msgspec.structs.replace(one, sandbox="", digest="")))
    return msgspec.structs.replace(alike, sandbox=one.sandbox, digest=one.digest)


def names(those: protocol.Names) -> protocol.Names:
    """`those`, in which names with the same records have one entry."""
    entries: dict[tuple[tuple[int | bytes, ...], ...], protocol.Entry] = {}
    return {
        name: entries.setdefault(tuple((kind, *found) for kind, found in entry.items()), entry)
        for name, entry in those.items()
    }


@functools.lru_cache(KINDS)
def _shared(data: bytes) -> protocol.View:
    return _view.decode(data)
