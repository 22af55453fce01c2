"""Whether a question begins again: its sandbox got other servers while it was under way.

In: a question, what its flight brought and what the sandbox sees now. Out: what to begin again
with. A question that nobody answered is asked as one that comes now would be; whoever may ask
nobody from the host now asks nobody there (CVE-2024-29018).
"""

from collections.abc import Callable

from resolver.message import reasons, reply, wire
from resolver.names import answer
from resolver.upstream import cache
from resolver.upstream.question import Question
from resolver.upstream.telling import BARRED, BUSY, REPLACED, SHORT

Sees = Callable[[str], answer.Scope | None]


def is_unasked(found: reply.Reply) -> bool:
    """Whether it failed because no server could be asked: for want of sockets, or of a way."""
    if found.rcode != wire.Rcode.SERVFAIL:
        return False
    if found is SHORT or found is REPLACED or found is BARRED:
        return True
    return bool(found.explain) and found.explain[-1].code == reasons.NETWORK


def is_barred(key: cache.Key, scope: answer.Scope | None) -> bool:
    """Whether nobody who sees `scope` may have the servers of `key` asked, None: of one that went.

    Of several servers it is enough that one is left, unless any is asked from the host and none may
    be any more.
    """
    servers, _ = key.partition
    is_from_host = any(not each.inside for each in servers)
    if scope is None:
        return is_from_host
    way = scope.route(key.name)
    if way.partition == key.partition:
        return False
    return (is_from_host and not way.leaves_host) or frozenset(servers).isdisjoint(way.upstreams)


def then(
    asked: Question, found: reply.Reply, now: answer.Scope | None, *, is_late: bool
) -> answer.Scope | reply.Reply:
    """What to begin again with after `found`, or what is told.

    A name that is one of ours by now is asked nobody: whoever looks it up again finds it.
    """
    if now is None or not (is_unasked(found) or found is BUSY):
        return found
    other = now if asked.whole.search else now.straight
    way = other.route(asked.query.name)
    if not way.upstreams or (now.sealed and way.leaves_host):
        return found
    if way.partition == asked.key.partition and found is not BARRED:
        return found
    if is_late or answer.answer(asked.query, other):
        return REPLACED if found is BARRED else found
    return other
