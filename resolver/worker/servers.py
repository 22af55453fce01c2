"""The servers of others' names, for people: whom the sandboxes ask, and what was seen of each.

In: what every sandbox sees, and what is known of servers. Out: one row for each server and place
from which it is asked, made when it is taken. A server of several zones is one row. Those that
nobody would ask any more are listed after the others as long as something is known of them.
"""

import functools
import itertools
from collections.abc import Callable, Container, Iterable, Iterator

from resolver import protocol
from resolver.names import answer
from resolver.upstream import forward, healths

NEW = "new"  # the state of one that was never asked, or has shown nothing yet


def rows(
    scopes: Iterable[answer.Scope], known: healths.Healths, now: float
) -> Iterator[Callable[[], protocol.UpstreamRow]]:
    """`now` is a time of the clock by which servers are known. Looks at them, changes nothing."""
    seen = dict(known.items())
    zones: dict[healths.Key, list[bytes]] = {}
    for zone, key in _asked(scopes):
        own = zones.setdefault(key, [])
        if zone not in own:
            own.append(zone)
    for key in (*zones, *(each for each in seen if each not in zones)):
        health = seen.get(key) or forward.Health()
        yield functools.partial(_row, key, zones.get(key, []), health, now)


def asked(scopes: Iterable[answer.Scope]) -> frozenset[healths.Key]:
    """Those that some sandbox may ask now."""
    return frozenset(key for _, key in _asked(scopes))


def has_quic(view: protocol.View) -> bool:
    """Whether any of its servers is asked over QUIC."""
    every = itertools.chain(view.upstreams, *view.routes.values())
    return any(server.transport == "quic" for server in every)


def up(
    wanted: Container[healths.Key],
    known: healths.Healths,
    label: Callable[[str], str],
    now: float,
) -> dict[str, bool]:
    """Which of the `wanted` are up from anywhere, by what `label` makes of their names.

    Those that have shown nothing yet are in no list: nobody knows.
    """
    found: dict[str, bool] = {}
    for key, health in known.items():
        if key in wanted and not health.is_new:
            name = label(key[0].label)
            found[name] = found.get(name, False) or health.state(now) is forward.State.UP
    return found


def _asked(scopes: Iterable[answer.Scope]) -> Iterator[tuple[bytes, healths.Key]]:
    """Who may be asked for the names of which zone."""
    for scope in scopes:
        for zone, way in ((answer.ROOT, scope), *scope.routes.items()):
            for server in way.upstreams:
                yield zone, healths.key(server, scope)


def state(health: forward.Health, now: float) -> str:
    """How a server is, in a word; of one that was never asked nobody knows."""
    return NEW if health.is_new else health.state(now).value


def _row(
    key: healths.Key, zones: list[bytes], health: forward.Health, now: float
) -> protocol.UpstreamRow:
    server, sandbox = key
    return protocol.UpstreamRow(
        address=server.label,
        port=server.port,
        sandbox=sandbox,
        state=state(health, now),
        silent=health.silent,
        rtt_ms=round(health.rtt_s * 1000, 3),
        edns=health.takes_edns(now),
        keeps_case=health.mixes(),
        error=health.error,
        error_s=round(now - health.error_at, 1) if health.error else 0.0,
        zones=zones,
    )
