"""What is equal for many sandboxes is one object: views of one network, names of one address.

In: views and names. Out: equal ones that share whatever they have in common. Nothing of it is ever
changed, so nobody can tell but by the memory it takes, and the time to tell it.
"""

import functools
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from resolver import protocol

KINDS: Final = 256  # of views that are remembered to be shared; of more kinds each is its own

_view: Final = msgspec.msgpack.Decoder(protocol.View)


def view(one: protocol.View) -> protocol.View:
    """`one`, made of the parts of another one that differs from it in whose it is, and no more."""
    alike = _shared(protocol.encode(msgspec.structs.replace(one, sandbox="", digest="")))
    return msgspec.structs.replace(alike, sandbox=one.sandbox, digest=one.digest)


def groups(names: Mapping[bytes, protocol.Entry]) -> Iterator[protocol.Group]:
    """`names`, of which neighbours with one entry are told together."""
    owners: list[bytes] = []
    last: protocol.Entry | None = None
    for name, entry in names.items():
        if entry is not last:
            if last is not None:
                yield owners, last
            owners, last = [], entry
        owners.append(name)
    if last is not None:
        yield owners, last


@functools.lru_cache(KINDS)
def _shared(data: bytes) -> protocol.View:
    return _view.decode(data)
