"""One leg of a foreign question's way: aliases of ours may lead through several names of others.

In: how the leg came to be. Out: frozen values, and whether there is to be another one.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from resolver.message import reasons, reply, wire
from resolver.names import chase
from resolver.upstream import telling
from resolver.upstream.question import Question

MOST: Final = 4  # names of others for one question, each behind aliases of ours
Before = tuple[bytes, ...]


class Way(NamedTuple):
    """How a question came: as a stream or not, behind which names of others, to end until when."""

    stream: bool
    before: Before
    until: float


class Ends(NamedTuple):
    """`tell` is called once with what is told.

    What a failed flight brought goes through `after`, which gives what is told of it, or None: then
    the question has begun again, with another `Ends`.
    """

    tell: Callable[[telling.Told], None]
    after: Callable[[reply.Reply], reply.Reply | None]


def astray(told: chase.Onward, asked: Question, before: Before) -> wire.Explain | None:
    """Why aliases are not followed: to where they came from, or through too many of others."""
    passed = (*before, asked.query.name)
    if told.end.name in passed:
        return reasons.CIRCLE
    return reasons.TOO_MANY if len(passed) >= MOST else None
