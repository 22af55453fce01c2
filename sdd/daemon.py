"""The running daemon: names every task and owns start, reload and shutdown.

In: the parts that `sdd.app` built. Out: nothing but its log; it ends at SIGTERM or SIGINT.
"""

import asyncio
import functools
import os
import random
import signal
import socket
import time
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import structlog

from metrics import registry
from sdd import apart, defects, errors, lasting, log, logbook, notify, reconcile
from sdd import config as configuration
from sdd.api import context, server
from sdd.control import feed, journal, progress
from sdd.linux import port_holders
from sdd.model.event import Action, Kind
from sdd.model.look import EVERYWHERE, Look
from sdd.model.progress import Backend, Failure, Outcome, told_once
from sdd.model.raised import Raised

MOST_REPAIRS = 16  # told one by one: a kernel that lost everything would flood the log
LAG_S = 2.0  # between two looks at who is behind
FIRST_PASS_S = 15.0  # after this it is ready though a backend still fails: people must look in

Follow = Callable[[reconcile.Slot], Coroutine[Any, Any, None]]
"""A loop beside the backends: takes each newest state from its slot."""

Watch = Callable[[Callable[[Look], None]], Coroutine[Any, Any, None]]
"""A loop that hears of changes in the world and calls with where all backends should look."""

say: structlog.stdlib.BoundLogger = structlog.get_logger("sdd")


class _Stopped(Exception):
    """The orderly end: raised inside the group of tasks, it ends all the others."""


@dataclass(frozen=True, slots=True)
class Part:
    """One backend: what realises, and where it finds the newest state."""

    backend: Backend
    realiser: reconcile.Realise
    slot: reconcile.Slot


class Hangups:
    """Whether a SIGHUP came since this was made, before the configuration began to be read."""

    def __init__(self) -> None:
        self.heard = False
        signal.signal(signal.SIGHUP, self.hear)

    def hear(self, *_: object) -> None:
        """A signal handler: it may interrupt anything, itself too."""
        self.heard = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    """Everything that was built, before anything runs."""

    settings: configuration.InForce
    feed: feed.Feed
    progress: progress.Progress
    registry: registry.Registry
    parts: tuple[Part, ...]
    followers: Mapping[str, Follow]
    watches: Mapping[str, Watch]
    journal: journal.Journal
    context: context.Context
    inherited: tuple[socket.socket, ...] = ()  # where the service manager already listens for us

    async def run(
        self,
        manager: notify.Notifier,
        reload: Callable[[], configuration.Config],
        book: logbook.Logbook,
        hangups: Hangups,
    ) -> None:
        """Until SIGTERM or SIGINT; whatever breaks ends all tasks and is raised."""
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopped.set)
        loop.add_signal_handler(signal.SIGHUP, hangups.hear)
        again = functools.partial(_reload, self, reload, manager, book)
        try:
            async with asyncio.TaskGroup() as tasks:
                self._start(tasks)
                tasks.create_task(_watchdog(manager), name="watchdog")
                _lasting(tasks, self._live(manager, stopped, again, hangups), "live")
        except* _Stopped:
            say.info("sdd.stopped")

    def _start(self, tasks: asyncio.TaskGroup) -> None:
        """The loops: feed, backends, what follows the state, what watches the world."""
        self.feed.subscribe(self.journal.put)
        self.feed.subscribe(self.progress.lag.published)
        _lasting(tasks, self._tell_lag(), "lag")
        _lasting(tasks, self.feed.run(), "feed")
        for part in self.parts:
            self.feed.subscribe(part.slot.put)
            _lasting(tasks, self._reconcile(part), f"reconcile {part.backend}")
        for name, follow in self.followers.items():
            slot = reconcile.Slot()
            self.feed.subscribe(slot.put)
            loop = lasting.run(functools.partial(follow, slot), name, slot.kick)
            tasks.create_task(loop, name=name)
        everywhere = functools.partial(self._kick, EVERYWHERE)
        for name, watch in self.watches.items():
            loop = lasting.run(functools.partial(watch, self._kick), name, everywhere)
            tasks.create_task(loop, name=name)

    async def _live(
        self,
        manager: notify.Notifier,
        stopped: asyncio.Event,
        reload: Callable[[], None],
        hangups: Hangups,
    ) -> NoReturn:
        """From the first pass to the signal to stop; then ends the whole group."""
        await self.context.commands.ensure_default_network()
        # People and Prometheus see it start: with 500 sandboxes that takes seconds.
        servers = await self._listen()
        async with asyncio.TaskGroup() as running:
            begun = [
                running.create_task(lasting.run(servers[0].keep, "api socket"), name="api socket"),
                running.create_task(self._begin(manager, reload, hangups), name="first pass"),
            ]
            await stopped.wait()
            for task in begun:
                task.cancel()
        manager.stopping()
        for each in servers:
            await each.close()
        raise _Stopped

    async def _begin(
        self, manager: notify.Notifier, reload: Callable[[], None], hangups: Hangups
    ) -> None:
        """Say when all is as it was left, or as far as it can be; reloads come after that."""
        await self._first_pass()
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)
        manager.ready(self.context.about.lb_why)
        self.journal.tell(Kind.DAEMON, Action.START, attributes={"node": self.context.about.node})
        say.info("sdd.ready", node=self.context.about.node, revision=self.feed.state.revision)
        if hangups.heard:
            reload()

    async def _reconcile(self, part: Part) -> NoReturn:
        await reconcile.run(
            part.backend,
            part.realiser,
            part.slot,
            report=self._report,
            on_defect=self._defect,
            jitter=random.random,
            clock=time.monotonic,
            begin=self.progress.lag.began,
        )

    async def _tell_lag(self) -> NoReturn:
        """Logs which backend falls behind, and when it has caught up."""
        told: Collection[Backend] = ()
        while True:
            behind = self.progress.lag.sentences()
            for each in behind.keys() - told:
                say.error("reconcile.behind", backend=each, why=behind[each])
            for each in set(told) - behind.keys():
                say.info("reconcile.caught_up", backend=each)
            told = behind.keys()
            await asyncio.sleep(LAG_S)

    def _report(self, backend: Backend, outcome: Outcome) -> None:
        before = self.progress.snapshot()
        self.progress.report(backend, outcome)
        self.registry.reconciled(backend, outcome)
        took = round(outcome.seconds * 1000, 1)
        say.debug("reconcile.pass", backend=backend, revision=outcome.revision, ms=took)
        for each in _tell(backend, before, self.progress.snapshot()):
            if each.raised is not None:
                self.context.defects.met(defects.Unit.OBJECT, each.raised, backend)
        if outcome.repaired:
            self._repaired(backend, outcome)

    def _defect(self, backend: Backend, exc: Exception) -> None:
        self.context.defects.met(defects.Unit.PASS, Raised.of(exc), backend)

    def _repaired(self, backend: Backend, outcome: Outcome) -> None:
        """One line for each thing that has a name, or one for them all."""
        named = [
            {"sandbox": each.sandbox, "service": each.service, "what": each.what}
            for each in outcome.repairs[:MOST_REPAIRS]
        ]
        for each in named or [{}]:
            told = {key: words for key, words in each.items() if words}
            say.warning("reconcile.repaired", backend=backend, steps=outcome.repaired, **told)
            attributes = {"backend": backend.value, "steps": str(outcome.repaired), **told}
            self.journal.tell(Kind.DAEMON, Action.REPAIR, attributes=attributes)

    def _kick(self, look: Look) -> None:
        for part in self.parts:
            part.slot.kick(look)

    async def _first_pass(self) -> None:
        try:
            await self.progress.realised(self.feed.state.revision, (), FIRST_PASS_S)
        except errors.TimedOut as exc:
            say.error("sdd.first_pass", why=exc.sentence)

    async def _listen(self) -> tuple[server.Server, ...]:
        config = self.settings.config
        api = await server.serve(
            self.context,
            config.hosts,
            self.inherited,
            shutdown_s=config.shutdown_timeout,
        )
        if not (address := config.metrics_addr):
            return (api,)
        try:
            where = (address.host, address.port)
            return api, await server.serve_metrics(self.context, *where, port_holders.named)
        except errors.SddError:
            await api.close()
            raise


def _tell(
    backend: Backend, before: Mapping[Backend, Outcome], now: Mapping[Backend, Outcome]
) -> Collection[Failure]:
    """What fails from now on, which is returned, and what does no more.

    What is tried again in vain is told once, also when another backend told it.
    """
    known, left = _failures(before.values()), _failures(now.values())
    mine, was = _failures([now[backend]]), _failures(filter(None, [before.get(backend)]))
    new = [each for each in mine if each not in known]
    _say(say.debug, "reconcile.failure", backend, [each for each in mine if each in known])
    _say(say.warning, "reconcile.failure", backend, new)
    _say(say.info, "reconcile.over", backend, [each for each in was if each not in left])
    return new


def _failures(outcomes: Iterable[Outcome]) -> Collection[Failure]:
    """In order, and quick to be looked up."""
    return dict.fromkeys(each for outcome in outcomes for each in outcome.failures)


def _say(
    say_it: Callable[..., None], event: str, backend: Backend, failures: Collection[Failure]
) -> None:
    """A line for each reason, with the first that it concerns and how many others."""
    for each, count in told_once(failures):
        others = {"others": count - 1} if count > 1 else {}
        say_it(event, backend=backend, subject=each.subject, why=each.told, **others)


def _lasting(tasks: asyncio.TaskGroup, work: Coroutine[Any, Any, Any], name: str) -> None:
    """A task whose end by a stray cancellation is a defect: the group would take no notice."""
    tasks.create_task(apart.within(work, name), name=name)


async def _watchdog(manager: notify.Notifier) -> None:
    """Tells the service manager, at half of its patience, that the event loop still turns."""
    interval_s = notify.watchdog_interval_s(os.environ, os.getpid())
    while interval_s is not None:
        manager.watchdog()
        await asyncio.sleep(interval_s)


def _reload(
    daemon: Daemon,
    load: Callable[[], configuration.Config],
    manager: notify.Notifier,
    book: logbook.Logbook,
) -> None:
    """SIGHUP: takes over what can be, names what needs a restart; a bad file changes nothing."""
    manager.reloading(time.monotonic())
    try:
        new = load()
    except errors.SddError as exc:
        say.error("config.refused", why=exc.sentence, code=exc.code)
        manager.ready("reload refused: the configuration has an error, see the log")
        return
    at_once, later = daemon.settings.take(new)
    log.configure(new.log_level, new.log_format, keep=book.keep)
    told = {"changed": ",".join(at_once), "restart_needed_for": ",".join(later)}
    say.info("config.reloaded", **told)
    daemon.journal.tell(Kind.DAEMON, Action.RELOAD, attributes=told)
    manager.ready("reloaded" + (f"; a restart is needed for {', '.join(later)}" if later else ""))


def told(unit: defects.Unit, raised: Raised, about: str) -> None:
    """A defect, for the log: once for each place."""
    say.error("defect", unit=unit, about=about, what=raised.what, traceback=raised.trace)
