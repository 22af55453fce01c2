"""What a worker serves: tables, scopes and listeners, changed only as a whole.

In: staged messages of `protocol` with their descriptors, then `apply`. Out: the listeners answer
from the new scopes; the inventory says what is there. A refused message changes nothing.
"""

import resource
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from resolver import alike, parts, protocol
from resolver.listen import server, stream
from resolver.names import answer
from resolver.names.unread import Unread
from resolver.upstream import lending, transports
from resolver.worker import lent

LISTENERS: Final = 2  # of a sandbox: they come first
_NOTHING: Final = protocol.View(sandbox="", digest="", tables=[], suffixes=[], own={}, upstreams=[])


@dataclass(slots=True, eq=False)
class Held:
    """The listeners of one sandbox.

    `older` are those before them, which answer as well until port 53 leads to these.
    """

    listening: protocol.Listening
    udp: server.Udp
    tcp: stream.Tcp
    older: "Held | None" = None

    @property
    def inode(self) -> int:
        """The namespace that they are in."""
        return self.listening.inode

    def see(self, scope: answer.Scope) -> None:
        """Answer from `scope` from now on."""
        self.tcp.see(scope)
        self.udp.see(scope)
        if self.older:
            self.older.see(scope)

    def forget(self) -> None:
        """Look again for what was answered before."""
        self.udp.forget()
        if self.older:
            self.older.forget()

    @property
    def connections(self) -> int:
        """Open TCP connections."""
        return self.tcp.connections + (self.older.connections if self.older else 0)

    def let_go(self) -> None:
        """Nobody is led to the older ones any more."""
        if self.older:
            self.older.close(heir=self.udp)
            self.older = None

    def close(self, heir: server.Udp | None = None) -> None:
        """Release every socket; what was asked as datagrams is answered from `heir`."""
        self.let_go()
        self.udp.close(heir)
        self.tcp.close()


@dataclass(slots=True)
class Next:
    """What becomes of a table: `names` in the place of those that are there, then `changes`."""

    digest: str
    names: Unread | None = None  # None: those that are there
    changes: list[protocol.TableChange[msgspec.Raw]] = field(default_factory=list)


@dataclass(slots=True)
class Staged:
    """What came since the last `apply`; of a table that is gone None."""

    parts: dict[str, Unread] = field(default_factory=dict)
    tables: dict[str, Next | None] = field(default_factory=dict)
    view_parts: dict[str, list[protocol.View]] = field(default_factory=dict)
    views: dict[str, protocol.View] = field(default_factory=dict)
    listen: dict[str, tuple[protocol.Listening, list[socket.socket]]] = field(default_factory=dict)
    lend: dict[tuple[str, protocol.Family], tuple[protocol.Lend, list[socket.socket]]] = field(
        default_factory=dict
    )
    gone: set[str] = field(default_factory=set)
    short: dict[str, str] = field(default_factory=dict)

    def close(self) -> None:
        """Release the sockets that never came to serve."""
        for _, links in (*self.listen.values(), *self.lend.values()):
            _close(links)


class Serving:
    """Everything that is served, and what is staged to follow it."""

    def __init__(self, tools: server.Tools) -> None:
        self._tools = tools
        self._revision = 0
        self._tables: dict[str, tuple[str, Unread]] = {}
        self._views: dict[str, protocol.View] = {}
        self._held: dict[str, Held] = {}
        self._lent = lent.Lent()
        self._staged = Staged()

    def inventory(self, pid: int) -> protocol.Inventory:
        """What is there; whatever was staged and not applied is forgotten."""
        self._staged.close()
        self._staged = Staged()
        return protocol.Inventory(
            release=protocol.RELEASE,
            pid=pid,
            revision=self._revision,
            tables={name: digest for name, (digest, _) in self._tables.items()},
            views={name: view.digest for name, view in self._views.items()},
            listeners={name: held.listening for name, held in self._held.items()},
            quic=transports.has_quic(),
            outward=self._lent.reach(),
        )

    def stage(self, message: protocol.Staged, links: Sequence[socket.socket]) -> None:
        """Keep `message` until `apply`; owns `links` from now on.

        Descriptors that found no room here are a problem of that sandbox, told by `apply`. Raises
        ValueError when there are more than the message says, or for a change of another table.
        """
        staged = self._staged
        match message:
            case protocol.Listen():
                self._stage_listeners(message, links)
                return
            case protocol.Lend():
                self._stage_outward(message, links)
                return
            case protocol.TablePart(name, groups, further):
                names = staged.parts.setdefault(name, Unread())
                names.take(groups)
                names.extend(further)
            case protocol.TableEnd(name, digest):
                staged.tables[name] = Next(digest, staged.parts.pop(name, Unread()))
            case protocol.TableChange():
                self._change(message)
            case protocol.TableGone(name):
                staged.tables[name] = None
            case protocol.View(sandbox):
                staged.view_parts.setdefault(sandbox, []).append(message)
                if parts.is_last(message):
                    whole = parts.joined(staged.view_parts.pop(sandbox))
                    staged.views[sandbox] = alike.view(whole)
                    staged.gone.discard(sandbox)
            case protocol.Led(sandbox):
                if held := self._held.get(sandbox):
                    held.let_go()
            case protocol.Gone(sandbox):
                staged.gone.add(sandbox)
                staged.views.pop(sandbox, None)
        _close(links)  # nothing else brings descriptors

    def _stage_listeners(self, listen: protocol.Listen, links: Sequence[socket.socket]) -> None:
        staged, sandbox = self._staged, listen.sandbox
        if older := staged.listen.pop(sandbox, None):
            _close(older[1])
        staged.gone.discard(sandbox)
        if self._came(sandbox, links, LISTENERS):
            staged.listen[sandbox] = (listen.listening, list(links))
        else:
            _close(links)

    def _stage_outward(self, lend: protocol.Lend, links: Sequence[socket.socket]) -> None:
        staged, key = self._staged, (lend.sandbox, lend.family)
        if older := staged.lend.pop(key, None):
            _close(older[1])
        count = lend.outward.udp + lend.outward.tcp
        # Fewer than there are take no place of those, and each does without the rest.
        if self._came(lend.sandbox, links, count) or not self._lent.has_more(lend, len(links)):
            staged.lend[key] = (lend, list(links))
        else:
            _close(links)

    def _came(self, sandbox: str, links: Sequence[socket.socket], count: int) -> bool:
        """Whether all did; that some found no room is told by `apply`."""
        if len(links) > count:
            _close(links)
            raise ValueError(f"{len(links)} descriptors instead of {count}")
        if len(links) < count:
            self._staged.short[sandbox] = _short(len(links), count)
        return len(links) == count

    def apply(self, revision: int) -> dict[str, str]:
        """Everything staged is served from now on; which sandboxes have a problem, and why."""
        staged, self._staged = self._staged, Staged()
        self._revision = revision
        problems: dict[str, str] = dict(staged.short)
        places = {each: self._held[each].inode for each in staged.listen if each in self._held}
        for sandbox in staged.gone:
            self._forget(sandbox)
        replaced = self._set_tables(staged.tables)
        self._views |= staged.views
        for sandbox, (listening, links) in staged.listen.items():
            self._listen(sandbox, listening, links, problems)
        for lend, links in staged.lend.values():
            self._lent.put(lend, links)
        for sandbox, held in self._held.items():
            view = self._views.get(sandbox, _NOTHING)
            is_new = sandbox in staged.views or sandbox in staged.listen
            if is_new or not replaced.isdisjoint(view.tables):
                held.see(self._scope(sandbox, view, problems))
            elif not staged.tables.keys().isdisjoint(view.tables):
                held.forget()  # its scope looks into the very table that changed
        changed = {*staged.views, *staged.listen, *(sandbox for sandbox, _ in staged.lend)}
        moved = {each for each, inode in places.items() if self._is_elsewhere(each, inode)}
        gone = staged.gone | moved
        if gone or changed:
            self._tools.bar(gone, changed)
        return problems

    def listening(self, sandboxes: Iterable[str]) -> dict[str, protocol.Listening]:
        """On what those of them are served that are."""
        found = ((each, self._held.get(each)) for each in sandboxes)
        return {sandbox: held.listening for sandbox, held in found if held}

    def inside(self, sandbox: str, server: protocol.Upstream) -> lending.Inside | None:
        """The sandbox's own sockets that reach `server`."""
        return self._lent.dial(sandbox, server.family)

    def sees(self, sandbox: str) -> answer.Scope | None:
        """What the sandbox is answered from; None when it has no listeners."""
        held = self._held.get(sandbox)
        return held.udp.scope if held else None

    def scope(self, sandbox: str) -> answer.Scope | None:
        """What the sandbox sees now; None when it is not served."""
        view = self._views.get(sandbox)
        return self._scope(sandbox, view, {}) if view else None

    def scopes(self) -> tuple[answer.Scope, ...]:
        """What each sandbox sees now."""
        return tuple(held.udp.scope for held in self._held.values())

    def forget_ready(self) -> None:
        """Nothing that was answered before is answered again without looking."""
        for held in self._held.values():
            held.forget()

    @property
    def is_busy(self) -> bool:
        """Whether any sandbox is served."""
        return bool(self._held)

    @property
    def connections(self) -> int:
        """Open TCP connections of all sandboxes."""
        return sum(held.connections for held in self._held.values())

    def close(self) -> None:
        """Stop serving."""
        self._staged.close()
        for sandbox in tuple(self._held):
            self._forget(sandbox)
        self._lent.close()

    def _is_elsewhere(self, sandbox: str, inode: int) -> bool:
        """Whether it is served in another namespace than that: whom it asks there are others."""
        held = self._held.get(sandbox)
        return held is not None and held.inode != inode

    def _forget(self, sandbox: str) -> None:
        self._views.pop(sandbox, None)
        self._lent.drop(sandbox)
        if held := self._held.pop(sandbox, None):
            held.close()

    def _change(self, message: protocol.TableChange[msgspec.Raw]) -> None:
        """Stages a change; raises ValueError when it was made for another table."""
        held = self._tables.get(message.id)
        coming = self._staged.tables.get(message.id, Next(held[0]) if held else None)
        if coming is None or coming.digest != message.base:
            raise ValueError(f"a change for another table than the one that {message.id} is")
        coming.digest = message.digest
        coming.changes.append(message)
        self._staged.tables[message.id] = coming

    def _set_tables(self, tables: dict[str, Next | None]) -> set[str]:
        """Those that are other tables now, not the same ones with changes.

        A change is made in place: a copy of a thousand names, and new scopes of a thousand
        sandboxes that look into it, would be garbage after the next one.
        """
        for name, coming in tables.items():
            if coming is None:
                self._tables.pop(name, None)
                continue
            names = self._tables[name][1] if coming.names is None else coming.names
            for change in coming.changes:
                names.take(change.put)
                names.extend(change.further)
                for each in change.gone:
                    names.pop(each, None)
            self._tables[name] = (coming.digest, names)
        return {name for name, each in tables.items() if each is None or each.names is not None}

    def _scope(self, sandbox: str, view: protocol.View, problems: dict[str, str]) -> answer.Scope:
        missing = [name for name in view.tables if name not in self._tables]
        if missing:
            problems[sandbox] = f"{len(missing)} of its tables never came, one is {missing[0]}"
        there = [name for name in view.tables if name in self._tables]
        seen = msgspec.structs.replace(view, sandbox=sandbox, tables=there)
        return answer.Scope.of(seen, [self._tables[name][1] for name in there])

    def _listen(
        self,
        sandbox: str,
        listening: protocol.Listening,
        links: list[socket.socket],
        problems: dict[str, str],
    ) -> None:
        scope = self._scope(sandbox, _NOTHING, {})
        for link in links:
            link.setblocking(False)
        try:
            links[1].listen(stream.BACKLOG)
        except OSError as exc:
            problems[sandbox] = f"its TCP socket does not listen: {exc.strerror}"
            _close(links)
            return
        older = self._held.pop(sandbox, None)
        if older and older.inode != listening.inode:
            older.close()
            older = None
        if older:
            older.let_go()
        udp = server.Udp(links[0], scope, self._tools)
        self._held[sandbox] = Held(
            listening,
            udp,
            stream.Tcp(links[1], scope, self._tools, udp.ready),
            older,
        )


def _short(came: int, count: int) -> str:
    """Why descriptors get lost on their way: there is no room for them."""
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return (
        f"only {came} of its {count} sockets found room in the DNS worker, which may have {most}"
        " files open (LimitNOFILE, ulimit -n)"
    )


def _close(links: Sequence[socket.socket]) -> None:
    for link in links:
        link.close()
