"""A name of ours with a search domain behind it, which stubs ask before the name itself.

In: a foreign name and what the sandbox sees. Out: the name of ours that the same look-up asks later
on. With `ndots` above its dots a stub asks `web.example.org` before `web` (resolv.conf(5)). musl
ends the look-up at any failure of the first (dns_and_users.md A1), the others try again and again.
"""

from typing import Final

from resolver.message import wire
from resolver.names import answer

_ROOT: Final = b"\0"


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
