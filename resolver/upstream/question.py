"""A question for others: its bytes, who asks it, and the key under which equal ones are one.

In: a client's question and what the client sees. Out: a frozen value.
"""

from collections.abc import Iterator
from typing import NamedTuple

from resolver.message import wire
from resolver.names import answer
from resolver.upstream import cache

_RD, _DO, _CD = 0x01, 0x02, 0x10  # of `Key.flags`


def flags(of: int) -> Iterator[str]:
    """The words for `Key.flags`."""
    named = ((_RD, "rd"), (_CD, "cd"), (_DO, "do"))
    return (name for bit, name in named if of & bit)


class Question(NamedTuple):
    """What somebody asked, and whom it may be asked on; `key` makes equal questions one.

    `scope` has the servers of the name's zone, `whole` is all that the asker sees.
    """

    query: wire.Query
    data: bytes
    scope: answer.Scope
    key: cache.Key
    whole: answer.Scope

    @classmethod
    def of(cls, query: wire.Query, data: bytes, scope: answer.Scope) -> "Question":
        """Sandboxes share what the same servers said, but not what was asked from inside one.

        `scope` is what the asker sees.
        """
        whole, scope = scope, scope.route(query.name)
        asked_with = data[2] & _RD | data[3] & _CD | query.dnssec * _DO
        key = cache.Key(scope.partition, query.name, query.kind, query.klass, asked_with)
        return cls(query, data, scope, key, whole)
