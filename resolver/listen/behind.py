"""What a search list makes of a name of ours, asked a moment after that name itself.

In: a foreign question, and what the same sandbox was told lately. Out: the reply that ends the
look-up. A stub that hears that `web` has no IPv6 address, or that `db.lab` is not there, goes on to
`web.example.org`, which is not what anybody meant: whoever is at home there would learn our names,
could answer in the place of `web`, and is waited for when he is silent.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from resolver import counters
from resolver.listen import datagrams
from resolver.message import reasons, wire
from resolver.names import answer, detour
from resolver.upstream import siblings

_END: Final = b"\0"


def followed(
    query: wire.Query,
    data: bytes,
    scope: answer.Scope,
    known: Iterable[Mapping[bytes, datagrams.Known]],
    now: float,
) -> detour.Ours | None:
    """The name of ours without such records, or that is not there, which was asked lately, if any.

    In the same words.

    `known` are the replies that are ready, or were given, by their messages without ids; on a quiet
    host some stay there that are not good `now` (monotonic seconds).
    """
    there = detour.follows(query, scope)
    bare = there or detour.gone(query, scope)
    if not bare:
        return None
    end = wire.HEADER + len(bare) - len(_END)
    asked = data[datagrams.ID : end] + _END + data[wire.HEADER + len(query.name) :]
    found = (each.get(asked) for each in known)
    is_fresh = any(each is not None and each.until > now for each in found)
    return detour.Ours(bare, is_before=True, is_there=bool(there)) if is_fresh else None


def other(query: wire.Query, data: bytes) -> tuple[wire.Query, bytes] | None:
    """The question of the other version; whoever asks it too means the whole name."""
    return siblings.other_of(query, data) if query.kind in siblings.FAMILIES else None


def told(
    counts: counters.Counters,
    query: wire.Query,
    data: bytes,
    scope: answer.Scope,
    ours: detour.Ours,
) -> bytes:
    """As for the name of ours: NODATA or NXDOMAIN.

    Without an SOA nobody remembers it (RFC 2308 §5).
    """
    rcode = wire.Rcode.NOERROR if ours.is_there else wire.Rcode.NXDOMAIN
    counts.response(scope.label, rcode.name, counters.Source.POLICY)
    why = (reasons.followed(str(ours)),)
    return wire.respond(data, query, rcode, authoritative=False, explain=why)
