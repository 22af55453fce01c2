"""What a worker tells sdd about itself: how it would answer, what it remembers, whom it asks.

In: sdd's questions. Out: messages of `protocol`; what is listed comes in pages. Nothing is sent to
anybody for this, and nothing but `Flush` changes anything.
"""

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Protocol, TypeVar

from resolver import notes, parts, protocol
from resolver.counters import Source, rcode_label
from resolver.listen import respond
from resolver.message import reasons, reply, wire
from resolver.names import answer, chase, cut, detour
from resolver.protocol import Step
from resolver.upstream import cache, forwarder, legs
from resolver.upstream.question import Question, flags
from resolver.worker import servers

ROWS: Final = 64  # a page: to make them takes no longer than to answer some questions
Row = TypeVar("Row")


class Served(Protocol):
    """All sandboxes of a worker."""

    def scope(self, sandbox: str) -> answer.Scope | None:
        """What one sees now; None when it is not served."""
        ...

    def scopes(self) -> Iterable[answer.Scope]:
        """What each sees now."""
        ...

    def forget_ready(self) -> None:
        """What was answered before no longer holds."""
        ...


class Inquiry:
    """Answers sdd's questions about what is `served`."""

    def __init__(
        self,
        forwarding: forwarder.Forwarder,
        served: Served,
        clock: Callable[[], float],
        told: notes.Notes,
    ) -> None:
        self._forwarding = forwarding
        self._served = served
        self._clock = clock
        self._notes = told

    def tell(self, asked: protocol.Question) -> protocol.Message:
        """The answer to one question."""
        match asked:
            case protocol.Explain(sandbox, name, kind):
                return protocol.Explained(list(self._steps(sandbox, name, kind)))
            case protocol.ListCache(after):
                return protocol.CacheListed(*_page(self._cached(), after))
            case protocol.Flush(name):
                count = self._forwarding.cache.flush(name)
                self._served.forget_ready()
                return protocol.Flushed(count)
            case protocol.ListUpstreams(after):
                return protocol.UpstreamsListed(*_page(self._upstreams(), after))
            case protocol.Ping():
                return protocol.Pong(self._notes.take())
            case protocol.Count():
                raise ValueError("the counters are the worker's own")

    def _steps(self, sandbox: str, name: bytes, kind: int) -> Iterator[Step]:
        scope = self._served.scope(sandbox)
        if scope is None:
            yield Step("sandbox", "is not served here")
            return
        data = _question(name, kind)
        query = wire.parse(data)
        if not isinstance(query, wire.Query):
            raise ValueError(f"{name!r} is no wire name")  # noqa: TRY004 - a bad value of sdd's
        yield from _decisions(query, scope)
        yield from _aliases(query, scope)
        found = answer.answer(query, scope)
        if found is None:
            yield from self._forwarded(query, data, scope)
        elif found.onward:
            rest = chase.onward(query, data, found.path, found.onward)
            yield Step("alias", f"leads to {wire.to_text(found.onward)}, which is not ours")
            yield from self._forwarded(rest.end, rest.message, scope.straight)

    def _cut(
        self, asked: Question, scope: answer.Scope, found: reply.Reply, before: legs.Before
    ) -> Iterator[Step]:
        """Which records of others are not passed on, and what is said and asked instead."""
        if found.dropped:
            yield Step("cut", f"{found.dropped} records about other names than the one asked for")
        if told := cut.told(found, asked.query, scope):
            yield Step("cut", _left_out(told))
            said = cut.for_client(found, asked.data, asked.query, scope, stream=True)
            if not isinstance(said, chase.Onward):
                return
            if why := legs.astray(said, asked, before):
                yield Step("cut", f"not followed: {why.text}")
                return
            passed = (*before, asked.query.name)
            yield from self._forwarded(said.end, said.message, scope.straight, passed)

    def _forwarded(
        self,
        query: wire.Query,
        data: bytes,
        scope: answer.Scope,
        before: legs.Before = (),
    ) -> Iterator[Step]:
        asked = Question.of(query, data, scope)
        now = self._clock()
        fresh, stale = self._forwarding.known(asked)
        if fresh is not None:
            left = fresh.expires - now
            why = f" ({reasons.told(fresh.reply.explain)})" if fresh.reply.explain else ""
            yield Step("cache", f"{rcode_label(fresh.reply.rcode)}, {left:.0f} s left{why}")
        elif stale is not None:
            yield Step(
                "stale", f"over since {now - stale.expires:.0f} s, given when nobody answers"
            )
        for each in asked.scope.upstreams:
            health = self._forwarding.healths.of(each, asked.scope)
            where = "inside the sandbox" if each.inside else "the host"
            yield Step("upstream", f"{each.label} from {where}, {servers.state(health, now)}")
        if not asked.scope.upstreams:
            yield Step("none", scope.nobody.text)
        if ours := detour.beside(asked.query, asked.scope):
            yield Step("search", _passing(ours, self._forwarding.patience_s(asked)))
        for tried in self._forwarding.tried(asked):
            over = f" over {tried.transport}" if tried.transport else ""
            over += f" (over udp it {tried.because})" if tried.because else ""
            took = f"{tried.seconds * 1000:.1f} ms"
            yield Step("tried", f"{tried.server}{over}: {tried.result} in {took}", tried.number)
        if fresh is not None:
            yield from self._cut(asked, scope, fresh.reply, before)

    def _cached(self) -> Iterator[Callable[[], protocol.CacheRow]]:
        now = self._clock()
        for key, entry in self._forwarding.cache.entries(now):
            yield functools.partial(_cache_row, key, entry, now)

    def _upstreams(self) -> Iterator[Callable[[], protocol.UpstreamRow]]:
        return servers.rows(self._served.scopes(), self._forwarding.healths, self._clock())


def _page(rows: Iterator[Callable[[], Row]], after: int) -> tuple[list[Row], bool]:
    """The rows from the `after`-th on that one message takes, and whether there are others."""
    made = [each() for each in itertools.islice(rows, after, after + ROWS)]
    taken, others = parts.first(made)
    return taken, others or next(rows, None) is not None


def _question(name: bytes, kind: int) -> bytes:
    """The message that a stub would send."""
    return b"\0\0\1\0\0\1" + bytes(6) + name + kind.to_bytes(2, "big") + b"\0\1"


def _decisions(query: wire.Query, scope: answer.Scope) -> Iterator[Step]:
    """Each place where the name is looked for, up to the one that has it."""
    if answer.answer(query, scope) is answer.REFUSED:  # whoever has the name
        yield Step(Source.POLICY, "REFUSED: only types of data are answered, no zones as a whole")
        return
    for network, names in zip(scope.networks, scope.tables, strict=True):
        stage = _stage(network)
        if entry := names.get(query.name):
            yield Step(stage, f"has it, {_content(entry, query)}")
            return
        yield Step(stage, "has names below it" if query.name in names else "does not have it")
    if wild := answer.wildcard(query.name, scope):
        text = f"has it, as *.{wire.to_text(wild.zone)} {_content(wild.entry, query)}"
        yield Step(f"network {wild.network}", text)
        return
    found = answer.answer(query, scope)
    if found is None:
        is_given = answer.is_forwarded(query.name, scope)
        use = "one of dns-forward-zones" if is_given else "nor one with a special use"
        if scope.route(query.name) is not scope:
            use = "in a forward zone of a network"
        yield Step("zones", f"none of ours, {use}")
        if zone := _routed(query.name, scope):
            yield Step(protocol.FORWARD_ZONE, wire.to_text(zone))
    elif respond.is_special(found):
        yield Step(found.source, f"{rcode_label(found.rcode)}: {reasons.SPECIAL.text}")
    else:
        yield Step(found.source, rcode_label(found.rcode))
        if zone := _denying(query.name, found, scope):
            yield Step(protocol.OWN_ZONE, wire.to_text(zone))


def _routed(name: bytes, scope: answer.Scope) -> bytes:
    """The forward zone of a network whose servers are asked for `name`; empty without."""
    way = scope.route(name)
    zones = (name, *wire.parents(name)) if way is not scope else ()
    return next((zone for zone in zones if scope.routes.get(zone) is way), b"")


def _denying(name: bytes, found: answer.Answer, scope: answer.Scope) -> bytes:
    """The zone of a network in which `name` is not there, or has nothing; empty without."""
    zone = found.zone[: wire.skip_name(found.zone, 0)] if found.zone else name
    return zone if zone in scope.zones else b""


def _aliases(query: wire.Query, scope: answer.Scope) -> Iterator[Step]:
    """Each name of ours to which aliases of ours lead, as far as they are followed."""
    way = [query.name]
    while (held := _holder(way[-1], scope)) and (alias := _alias(held[1], query.kind)):
        way.append(alias)
        if alias in way[:-1]:
            circle = " -> ".join(map(wire.to_text, way[way.index(alias) :]))
            yield Step("alias", f"leads in a circle: {circle}")
            return
        if len(way) > answer.MOST_ALIASES + 1:
            yield Step("alias", f"more than {answer.MOST_ALIASES} in a row: not followed any more")
            return
        if then := _holder(alias, scope):
            yield Step(then[0], f"{wire.to_text(alias)} is there {_content(then[1], query)}")


def _holder(name: bytes, scope: answer.Scope) -> tuple[str, protocol.Entry] | None:
    """Who has `name`, as a stage, and what is said of it."""
    for network, names in zip(scope.networks, scope.tables, strict=True):
        if entry := names.get(name):
            return _stage(network), entry
    found = answer.wildcard(name, scope)
    return (_stage(found.network), found.entry) if found else None


def _stage(network: str) -> str:
    return f"network {network}" if network else "added hosts"


def _alias(entry: protocol.Entry, kind: int) -> bytes:
    """The name that `entry` stands for where it has nothing of the type itself; or nothing."""
    found = entry.get(wire.CNAME)
    is_followed = found and not entry.get(kind) and kind != wire.ANY
    return found[0][wire.RECORD_HEAD :] if found and is_followed else b""


def _left_out(told: cut.Told) -> str:
    name, out = (wire.to_text(each) for each in (told.name, told.onward))
    if told.name == told.onward:
        dropped = f": {told.dropped} records about it left out" if told.dropped else ""
        return f"{name} is asked of other servers{dropped}"
    leads = f", which leads on to {out}" if told.onward else ""
    return f"{name} is ours{leads}: {told.dropped} records of others about it left out"


def _passing(ours: detour.Ours, patience_s: float) -> str:
    wait = f" for {patience_s:g} s" if patience_s else ""
    at_once = "; who asked that a second ago is told so at once" if ours.is_before else ""
    return f"{ours}: without an answer{wait}, NXDOMAIN{at_once}"


def _content(entry: protocol.Entry, query: wire.Query) -> str:
    alias = entry.get(wire.CNAME)
    if alias and query.kind not in entry:
        return f"as an alias of {wire.to_text(alias[0][wire.RECORD_HEAD :])}"
    records = entry.get(query.kind, ())
    size = query.end + sum(len(wire.POINTER) + len(each) for each in records)
    if size > wire.STREAM_LIMIT:
        return "with more records of this type than an answer takes, over TCP too (TC)"
    return f"with {len(records)} record{'' if len(records) == 1 else 's'} of this type"


def _cache_row(key: cache.Key, entry: cache.Entry, now: float) -> protocol.CacheRow:
    servers, sandbox = key.partition
    return protocol.CacheRow(
        name=key.name,
        kind=key.kind,
        rcode=entry.reply.rcode,
        records=entry.reply.answers,
        left_s=int(entry.expires - now),
        sandbox=sandbox,
        servers=[each.label for each in servers],
        flags=list(flags(key.flags)),
    )
