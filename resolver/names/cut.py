"""A foreign answer whose aliases lead to where others speak: cut there, and told by them.

In: a reply of an upstream, checked, and who asked. Out: the bytes for him, or what must be asked
next. Of our names nobody else may speak: a stub with a cache in the sandbox would keep under our
name what a stranger says of it (dns_and_users.md A3, A8-56). Of the names in a forward zone only
its servers are asked; they in turn may know nothing but their zone, and give an alias that leads
out of it alone, which libc takes for "no address". Replies are shared by sandboxes that own
different names, so this is done for each asker.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from resolver.counters import Source
from resolver.message import reasons, reply, spelled, wire
from resolver.message.wire import Rcode
from resolver.names import answer, chase

_TTL: Final = 4  # where a record's TTL lies, behind its owner
_ADDRESSES: Final = frozenset({wire.A, wire.AAAA})
_AS_IT_IS: Final = frozenset({wire.CNAME, wire.ANY})  # who asks for these follows nothing


def cuts(found: reply.Reply, query: wire.Query, scope: answer.Scope) -> bool:
    """Whether part of the answer is for somebody else to tell: for us, or other servers."""
    return bool(found.aliases) and _entrance(found, query, scope) is not None


class Told(NamedTuple):
    """Where others begin to speak: at which name, how many records are not taken for it.

    `onward` is what is asked next: the name itself where it goes to other servers, another where
    it is ours and leads out again.
    """

    name: bytes
    dropped: int
    onward: bytes


def told(found: reply.Reply, query: wire.Query, scope: answer.Scope) -> Told | None:
    """What becomes of a foreign answer, for people; None when it is passed on as it is."""
    entrance = _entrance(found, query, scope) if found.aliases else None
    if entrance is None:
        return None
    count, known = entrance
    return Told(found.aliases[count - 1].target, found.answers - count, known.onward)


def for_client(
    found: reply.Reply,
    data: bytes,
    query: wire.Query,
    scope: answer.Scope,
    *,
    stream: bool,
    aged_s: int = 0,
    ttl_s: int | None = None,
    explain: Sequence[wire.Explain] = (),
    turn: int = 0,
) -> bytes | chase.Onward:
    """As `reply.for_client`; from the first alias on that leads to a name of ours, as we know it.

    Where ours leads out again, or others' aliases to other servers, it is what must be asked next,
    with all aliases up to there. `scope` is what the asker sees.
    """
    entrance = _entrance(found, query, scope) if found.aliases else None
    if entrance is None:
        return reply.for_client(
            found,
            data,
            query,
            stream=stream,
            aged_s=aged_s,
            ttl_s=ttl_s,
            explain=explain,
            turn=turn,
        )
    count, known = entrance
    if known.rcode == Rcode.SERVFAIL:
        explain = (*explain, reasons.ALIASES)
    path: tuple[bytes, ...] = ()
    if known.rcode != Rcode.SERVFAIL:
        # In the asker's case, not in that in which we asked.
        image = reply.aged(found, aged_s).image
        image = image[: wire.HEADER] + data[wire.HEADER : query.end] + image[query.end :]
        path = _path(found._replace(image=image), count, ttl_s)
    target = found.aliases[count - 1].target
    path = (*path, *(_named(each, target) for each in known.path))
    if known.onward:
        why = tuple(explain)
        return chase.onward(query, data, path, known.onward, authoritative=False, explain=why)
    first = turn % len(known.records) if known.records else 0
    return wire.respond(
        data,
        query,
        known.rcode,
        (*known.records[first:], *known.records[:first]),
        owner=_named(known.owner, target),
        path=path,
        beside=known.beside,
        stream=stream,
        authoritative=False,
        authority=known.zone,
        explain=explain,
    )


def _entrance(
    found: reply.Reply, query: wire.Query, scope: answer.Scope
) -> tuple[int, answer.Answer] | None:
    """How many aliases lead to where others speak, and what we know of it; None without such.

    Others may know names that are only never asked for (`corp.local`, bare ones and such).
    """
    for count, alias in enumerate(found.aliases, 1):
        known = answer.answer(query._replace(name=alias.target), scope)
        if known and (known.source is Source.OWNED or answer.is_localhost(alias.target)):
            return count, answer.Answer(Rcode.NOERROR, []) if query.kind in _AS_IT_IS else known
        if scope.routes and known is None and _goes_elsewhere(found, count, query, scope):
            return count, answer.Answer(Rcode.NOERROR, [], onward=alias.target)
    return None


def _goes_elsewhere(found: reply.Reply, count: int, query: wire.Query, scope: answer.Scope) -> bool:
    """Whether other servers are asked for that to which the first `count` aliases lead.

    Those of a forward zone always are. The usual ones only for an end of which nothing was said:
    a zone's servers may find out for themselves, and their "no" is one.
    """
    if query.kind in _AS_IT_IS:
        return False
    here, there = (scope.route(each) for each in (query.name, found.aliases[count - 1].target))
    if there is here:
        return False
    if there is not scope and there.partition != here.partition:
        return True
    return count == len(found.aliases) and found.rcode == Rcode.NOERROR and _is_open(found, query)


def _is_open(found: reply.Reply, query: wire.Query) -> bool:
    """Whether there is neither a record of the type nor a "no" behind the aliases."""
    if found.is_cut or found.negative is not None:
        return False
    return not _has_kind(found, query.kind)


def is_bare(found: reply.Reply, query: wire.Query, scope: answer.Scope) -> bool:
    """Whether a reply that was cut holds nothing of what was asked, which stubs take for "no"."""
    if found.rcode != Rcode.NOERROR or found.negative is not None or cuts(found, query, scope):
        return False
    return not found.answers or (query.kind != wire.ANY and not _has_kind(found, query.kind))


def is_of_use(found: reply.Reply, query: wire.Query, scope: answer.Scope) -> bool:
    """Whether somebody can do with a reply that was cut who could have been given the whole.

    With some of the addresses stubs do; part of any other set says something else than the whole.
    """
    is_whole = found.rcode != Rcode.NOERROR or found.negative is not None
    return is_whole or query.kind in _ADDRESSES or cuts(found, query, scope)


def of_zone(found: reply.Reply, query: wire.Query, scope: answer.Scope) -> reply.Reply:
    """What a zone's server said; without its error where that is of a name that others know.

    The response code is that of the end of the aliases (RFC 6604 §3). Such a server refuses, or
    fails for, a name outside of its zone. Aliases alone, the rest of which somebody else tells,
    deny nothing: they last as long as they say.
    """
    if not found.aliases or found.rcode == Rcode.NXDOMAIN:
        return found
    if found.rcode == Rcode.NOERROR:
        is_alone = found.denies and _is_open(found, query) and cuts(found, query, scope)
        return found._replace(denies=False) if is_alone else found
    here, there = (scope.route(each) for each in (query.name, found.aliases[-1].target))
    if here is scope or there is here or not _is_open(found, query):
        return found
    return reply.without_error(found)


def _path(found: reply.Reply, count: int, ttl_s: int | None) -> tuple[bytes, ...]:
    """The first `count` aliases, written out, with TTLs of `ttl_s` if that is given."""
    answers = tuple(spelled.records(found.image, found.end, found.ends[: found.answers], {}))
    path = (answers[each.number] for each in found.aliases[:count])
    if ttl_s is None:
        return tuple(path)
    return tuple(_lasting(each, ttl_s) for each in path)


def _has_kind(found: reply.Reply, kind: int) -> bool:
    """Whether any of the answers is of this type."""
    bounds = (found.end, *found.ends[: found.answers])
    return any(_kind(found.image, begin) == kind for begin in bounds[:-1])


def _kind(image: bytes, begin: int) -> int:
    """The type of the record at `begin`."""
    at = wire.skip_name(image, begin)
    return int.from_bytes(image[at : at + 2], "big")


def _lasting(record: bytes, ttl_s: int) -> bytes:
    at = wire.skip_name(record, 0) + _TTL
    return record[:at] + ttl_s.to_bytes(4, "big") + record[at + 4 :]


def _named(record: bytes, target: bytes) -> bytes:
    """`record`, or an owner alone, at `target` where it points to the question."""
    return target + record[2:] if record.startswith(wire.POINTER) else record
