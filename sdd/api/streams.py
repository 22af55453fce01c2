"""What events and logs have in common: what was, or what was and what comes, bounded."""

from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing
from typing import Protocol, TypeVar

from sdd import errors
from sdd.api.call import Call, Reply

HEARTBEAT_S = 15.0  # an empty line: finds clients that are gone, tells the others we are not
MOST_FOLLOWERS = 64
FOREVER = 4e9  # seconds since the epoch, in 2096


class Timed(Protocol):
    """What a stream is made of."""

    @property
    def at(self) -> float:
        """Seconds since the epoch."""
        ...

    @property
    def number(self) -> int:
        """Its place."""
        ...


T = TypeVar("T", bound=Timed)
Follow = Callable[[int, float], AsyncGenerator[T | None, None]]


def reply(
    call: Call,
    kept: Sequence[T],
    follow: Follow[T],
    followers: int,
    row: Callable[[T], object],
) -> Reply:
    """A stream of the rows since `since`, of the kept ones the last `tail`; with `follow` on."""
    since = call.number("since", 0.0, 0.0, FOREVER)
    tail = int(call.number("tail", -1, -1, 1e9))
    wanted = [each for each in kept if each.at >= since]
    if tail >= 0:
        wanted = wanted[len(wanted) - min(tail, len(wanted)) :]
    if not call.flag("follow"):
        return Reply(stream=_kept(wanted, row))
    if followers >= MOST_FOLLOWERS:
        raise errors.Unavailable(
            f"{MOST_FOLLOWERS} clients follow already",
            hint="end one of them, or ask without --follow",
            code="SDD-STREAM-FULL",
        )
    newest = kept[-1].number if kept else 0
    return Reply(stream=_followed(wanted, follow, newest, row))


async def _kept(wanted: Iterable[T], row: Callable[[T], object]) -> AsyncGenerator[object, None]:
    for each in wanted:
        yield row(each)


async def _followed(
    wanted: Iterable[T], follow: Follow[T], newest: int, row: Callable[[T], object]
) -> AsyncGenerator[object, None]:
    for each in wanted:
        yield row(each)
    async with aclosing(follow(newest, HEARTBEAT_S)) as things:
        async for thing in things:
            yield None if thing is None else row(thing)
