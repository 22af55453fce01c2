"""Removes links without waiting until the kernel has forgotten them.

A link is out of its namespace half a millisecond after the request, and whoever asks for it hears
that there is none. The request itself returns only 15 to 20 ms later: the kernel waits for
everybody who may still hold a pointer to it (rcu_barrier in net/core/dev.c, netdev_run_todo),
without keeping others from their work. So another thread sends it, and the caller looks.
"""

import functools
from collections.abc import Collection, Iterable, Sequence
from concurrent import futures

from netns.netlink import link
from sdd import fence
from sdd.linux import netlink

_AT_ONCE = 4  # removals on their way; more wait for their turn
_PAUSE_S = 0.0002  # between two looks
_pool = futures.ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="removals")


def remove(
    connection: netlink.Connection, messages: Sequence[netlink.Message], indexes: Collection[int]
) -> tuple[netlink.Result, ...]:
    """The results of `messages`, or as many good ones once none of the links `indexes` is there.

    `connection` is of the calling thread's namespace. In that, the messages go over a socket of
    their own.
    """
    sending = functools.partial(_send, netlink.Connection(netlink.ROUTE), messages)
    sent = _pool.submit(fence.carried(sending))
    left = list(indexes)
    while not _is_done(sent):
        left = list(_present(connection, left))
        if not left:
            return tuple(netlink.Result() for _ in messages)
    return sent.result()


def _is_done(sent: futures.Future[tuple[netlink.Result, ...]]) -> bool:
    return bool(futures.wait((sent,), timeout=_PAUSE_S).done)


def _send(
    connection: netlink.Connection, messages: Sequence[netlink.Message]
) -> tuple[netlink.Result, ...]:
    with connection:
        return connection.request(messages)


def _present(connection: netlink.Connection, indexes: Sequence[int]) -> Iterable[int]:
    """Those of the links that are there. The question waits while the kernel changes any."""
    results = connection.request(map(link.ask, indexes))
    return (index for index, result in zip(indexes, results, strict=True) if not result.error)
