"""A name of ours with a search domain behind it, which stubs ask before or after the name itself.

In: a foreign question and what the sandbox sees. Out: the name of ours that the same look-up asks
besides. With `ndots` above its dots a stub asks `web.example.org` before `web` (resolv.conf(5)).
musl ends the look-up at any failure of the first (dns_and_users.md A1), the others try again and
again. Otherwise it asks `web` first, and glibc goes on to `web.example.org` where `web` has no
address of that version: `getent hosts web` does so for every name without IPv6.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from resolver.counters import Source
from resolver.message import wire
from resolver.names import answer

_ROOT: Final = b"\0"


class Ours(NamedTuple):
    """A name of ours, and its place in the look-up; `is_there` unless a zone of ours denies it."""

    name: bytes
    is_before: bool
    is_there: bool = True

    def __str__(self) -> str:
        """For people."""
        name = wire.to_text(self.name).removesuffix(".")
        whose = "is ours" if self.is_there else "would be ours"
        return f"{name} {whose} and {'came before' if self.is_before else 'comes after'} it"


def beside(query: wire.Query, scope: answer.Scope) -> Ours | None:
    """Which name of ours the search list puts after or before this one, if any."""
    if found := passes(query.name, scope):
        return Ours(found, is_before=False)
    if found := follows(query, scope):
        return Ours(found, is_before=True)
    return None


def follows(query: wire.Query, scope: answer.Scope) -> bytes:
    """The name of ours without such records that comes before this one; empty when there is none.

    With so many dots as `ndots` a stub asks a name as it is first, and goes on after "no address".
    """
    for bare in _before(query.name, scope):
        if answer.owns(bare, scope) and _has_none(query._replace(name=bare), scope):
            return bare
    return b""


def gone(query: wire.Query, scope: answer.Scope) -> bytes:
    """The name that comes before this one and would be ours, if it were there; empty without such.

    Whoever asks for one that was just removed means nobody else.
    """
    for bare in _before(query.name, scope):
        found = answer.answer(query._replace(name=bare), scope)
        if found and found.rcode == wire.Rcode.NXDOMAIN and found.source is Source.OWNED:
            return bare
    return b""


def _before(name: bytes, scope: answer.Scope) -> Iterator[bytes]:
    """The names that a stub asks as they are, and of which its list makes `name` then."""
    for labels, domain in enumerate(wire.parents(name) if scope.search else (), 1):
        if labels > scope.ndots and domain in scope.search:
            yield name[: -len(domain)] + _ROOT


def _has_none(query: wire.Query, scope: answer.Scope) -> bool:
    found = answer.answer(query, scope)
    is_no = found is not None and found.rcode == wire.Rcode.NOERROR
    return is_no and found is not None and not found.records and not found.onward


def passes(name: bytes, scope: answer.Scope) -> bytes:
    """The name of ours that comes after `name` in the search list; empty when there is none.

    Only names that a stub makes by its list count: with so many dots as `ndots` it asks the name as
    it is first, and finds it.
    """
    if not scope.search:
        return b""
    for labels, domain in enumerate(wire.parents(name), 1):
        if labels > scope.ndots:
            return b""
        if domain in scope.search:
            bare = name[: -len(domain)]
            later = scope.search[scope.search.index(domain) + 1 :]
            owned = (bare + each for each in (*later, _ROOT) if answer.owns(bare + each, scope))
            if found := next(owned, b""):
                return found
    return b""
