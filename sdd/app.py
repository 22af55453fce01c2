"""The composition root: builds every object, names every task and owns shutdown.

In: the command line and daemon.json. Out: a running daemon, or one sentence and an exit code.
Nothing is decided here; whatever has a rule has a file of its own.
"""

import asyncio
import contextlib
import os
import random
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Literal, NoReturn, cast

import structlog

from lb import dial as lb_dial
from lb import drains as lb_drains
from lb import probes as lb_probes
from lb import reconciler as lb_reconciler
from lb import view as lb_view
from lb.kernel import choose
from metrics import registry
from netns import deaths as netns_deaths
from netns import reconciler as netns_reconciler
from netns.kernel import events, linux, observe
from resolver import files, hostconf, hostwatch, inquirer, launch, query, trace, upstreams
from resolver import reconciler as dns_reconciler
from sdd import config as configuration
from sdd import errors, lock, log, logbook, notify, options, page, reconcile
from sdd.alloc import pools
from sdd.api import context, server
from sdd.control import commander, feed, journal, progress, verify
from sdd.linux import namespaces
from sdd.model import ids, sandbox
from sdd.model.event import Action, Kind
from sdd.model.progress import Backend, Outcome
from sdd.store import sqlite

FIRST_PASS_S = 15.0  # after this the API opens though a backend still fails: people must look in
COMMAND_S = 25.0  # below sdctl's own --timeout of 30 s, so that people see the better sentence
DATABASE = "sdd.db"

say: structlog.stdlib.BoundLogger = structlog.get_logger("sdd")


def main() -> None:
    """The `sdd` command: runs until SIGTERM or SIGINT; an error ends it with its exit code."""
    asked = options.parse_args(sys.argv[1:], _version())
    try:
        config = configuration.load(asked)
        if asked.validate:
            sys.stdout.write("the configuration is valid\n")
            return
        book = logbook.Logbook(time.time)
        log.configure(config.log_level, config.log_format, keep=book.keep)
        asyncio.run(serve(config, lambda: configuration.load(asked), book))
    except errors.SddError as exc:
        for line in filter(None, (f"sdd: {exc}", exc.hint)):
            sys.stderr.write(line + "\n")
        sys.exit(exc.exit_code)


def _version() -> str:
    return metadata.version("sdd")


async def serve(
    config: configuration.Config,
    reload: Callable[[], configuration.Config],
    book: logbook.Logbook,
) -> None:
    """The whole life of the daemon; returns after an orderly stop."""
    manager = notify.Notifier(notify.take_address(os.environ))
    with lock.held(config.data_root), lock.held(config.exec_root):
        async with assembled(config, book) as daemon:
            stopped = asyncio.Event()
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, stopped.set)
            try:
                async with asyncio.TaskGroup() as tasks:
                    daemon.start(tasks)
                    tasks.create_task(_watchdog(manager), name="watchdog")
                    tasks.create_task(daemon.live(manager, reload, stopped, book), name="live")
            except* _Stopped:
                say.info("sdd.stopped")


class _Stopped(Exception):
    """The orderly end: raised inside the group of tasks, it ends all the others."""


@dataclass(frozen=True, slots=True)
class Part:
    """One backend: what realises, and where it finds the newest state."""

    backend: Backend
    realiser: reconcile.Realise
    slot: reconcile.Slot


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    """Everything that was built, before anything runs."""

    config: configuration.Config
    doors: namespaces.Namespaces
    feed: feed.Feed
    progress: progress.Progress
    registry: registry.Registry
    parts: tuple[Part, ...]
    probes: lb_probes.Probes
    drains: lb_drains.Drains
    deaths: netns_deaths.Deaths
    journal: journal.Journal
    context: context.Context
    reread: Callable[[], None]

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """The loops: feed, backends, probes, drains, the kernel's news."""
        self.feed.subscribe(self.journal.put)
        tasks.create_task(self.feed.run(), name="feed")
        for part in self.parts:
            self.feed.subscribe(part.slot.put)
            tasks.create_task(self._reconcile(part), name=f"reconcile {part.backend}")
        for each in (self.probes, self.drains, self.deaths):
            slot = reconcile.Slot()
            self.feed.subscribe(slot.put)
            tasks.create_task(each.run(slot), name=type(each).__name__.lower())
        tasks.create_task(events.follow(self.doors, self._kick), name="kernel news")
        tasks.create_task(hostwatch.follow(hostconf.FILES, self.reread), name="host resolv.conf")

    async def live(
        self,
        manager: notify.Notifier,
        reload: Callable[[], configuration.Config],
        stopped: asyncio.Event,
        book: logbook.Logbook,
    ) -> NoReturn:
        """From the first pass to the signal to stop; then ends the whole group."""
        await self.context.commands.ensure_default_network()
        await self._first_pass()
        servers = await self._listen()
        asyncio.get_running_loop().add_signal_handler(
            signal.SIGHUP, lambda: _reload(self, reload, manager, book)
        )
        manager.ready(self.context.about.lb_why)
        self.journal.tell(Kind.DAEMON, Action.START, attributes={"node": self.context.about.node})
        say.info("sdd.ready", node=self.context.about.node, revision=self.feed.state.revision)
        await stopped.wait()
        manager.stopping()
        for each in servers:
            await each.close()
        raise _Stopped

    async def _reconcile(self, part: Part) -> NoReturn:
        await reconcile.run(
            part.backend,
            part.realiser,
            part.slot,
            report=self._report,
            on_defect=_defect,
            jitter=random.random,
            clock=time.monotonic,
        )

    def _report(self, backend: Backend, outcome: Outcome) -> None:
        self.progress.report(backend, outcome)
        self.registry.reconciled(backend, outcome)
        took = round(outcome.seconds * 1000, 1)
        say.debug("reconcile.pass", backend=backend, revision=outcome.revision, ms=took)
        for each in outcome.failures:
            told = {"backend": backend, "subject": each.subject, "why": each.sentence}
            say.warning("reconcile.failure", **told)
        if outcome.repaired:
            say.warning("reconcile.repaired", backend=backend, steps=outcome.repaired)
            steps = {"backend": backend.value, "steps": str(outcome.repaired)}
            self.journal.tell(Kind.DAEMON, Action.REPAIR, attributes=steps)

    def _kick(self) -> None:
        for part in self.parts:
            part.slot.kick()

    async def _first_pass(self) -> None:
        try:
            await self.progress.realised(self.feed.state.revision, (), FIRST_PASS_S)
        except errors.TimedOut as exc:
            say.error("sdd.first_pass", why=exc.sentence)

    async def _listen(self) -> tuple[server.Server, ...]:
        inherited = tuple(link for _, link in notify.take_sockets(os.environ, os.getpid()))
        api = await server.serve(self.context, self.config.hosts, inherited)
        if not (address := self.config.metrics_addr):
            return (api,)
        try:
            return api, await server.serve_metrics(self.context, address.host, address.port)
        except errors.SddError:
            await api.close()
            raise


@contextlib.asynccontextmanager
async def assembled(config: configuration.Config, book: logbook.Logbook) -> AsyncIterator[Daemon]:
    """All parts, wired; on leaving, what they hold of the system is released."""
    async with contextlib.AsyncExitStack() as stack:
        doors = namespaces.Namespaces()
        stack.callback(doors.close)
        store = await sqlite.SqliteStore.open(config.data_root / DATABASE)
        stack.push_async_callback(store.close)
        news = feed.Feed(store, on_fault=lambda exc: say.error("store.fault", error=str(exc)))
        await news.start()
        node = ids.NodeId(config.node_name)
        reached = progress.Progress(tuple(Backend))
        balancer = await _balancer(config, doors)
        slots = {each: reconcile.Slot() for each in Backend}
        kernel = linux.LinuxKernel(doors, config.exec_root)
        workers = inquirer.Inquirer(launch.Launcher(config.exec_root))
        names = _resolver(config, doors, node, workers.launcher, slots[Backend.RESOLVER].kick)
        commands = commander.Commander(
            store=store,
            feed=news,
            progress=reached,
            observe=observe.Observer(doors),
            node=node,
            exec_root=config.exec_root,
            pools=_templates(config) or pools.DEFAULT_POOLS,
            clock=time.time,
            entropy=os.urandom,
            timeout_s=COMMAND_S,
            bip=config.bip,
            mtu=config.mtu,
        )
        asker = query.Asker(doors)
        looker = verify.Verifier(lambda: news.state, node, kernel, balancer.kernel, asker.ask)
        history = journal.Journal(time.time)
        metrics_page = page.build(_version(), news, names)
        yield Daemon(
            config=config,
            doors=doors,
            feed=news,
            progress=reached,
            registry=metrics_page,
            parts=tuple(
                Part(backend, realiser, slots[backend])
                for backend, realiser in _realisers(node, kernel, balancer, names).items()
            ),
            drains=lb_drains.Drains(commands.drained, balancer.kernel, node, time.time),
            probes=_probes(commands.record_verdict, node, doors),
            deaths=_deaths(commands, node, history),
            journal=history,
            reread=lambda: _reread(config, names, slots[Backend.RESOLVER]),
            context=context.Context(
                commands=commands,
                state=lambda: news.state,
                progress=reached.snapshot,
                trace=trace.Tracer(asker, workers, files.Files(config.data_root)),
                names=workers,
                lb_view=lb_view.View(balancer.kernel, lambda: news.state),
                about=_about(config, balancer),
                registry=metrics_page,
                journal=history,
                logbook=book,
                verify=looker.differences,
            ),
        )


async def _balancer(config: configuration.Config, doors: namespaces.Namespaces) -> choose.Choice:
    wanted = cast("Literal['auto', 'ipvs', 'nftables']", config.lb_backend)
    chosen = await choose.choose(doors, wanted)
    say.info("lb.chosen", backend=chosen.name, why=chosen.why)
    return chosen


def _deaths(
    commands: commander.Commander, node: ids.NodeId, history: journal.Journal
) -> netns_deaths.Deaths:
    def told(box: sandbox.Sandbox) -> None:
        say.warning("sandbox.ended", sandbox=box.name, netns=box.netns)
        history.tell(Kind.SANDBOX, Action.LOST, box.id, {"name": box.name})

    return netns_deaths.Deaths(commands.remove_sandbox, node, namespaces.is_lost, told)


def _probes(
    record: lb_probes.Record, node: ids.NodeId, doors: namespaces.Namespaces
) -> lb_probes.Probes:
    dial = lb_dial.Dialer(doors).dial
    return lb_probes.Probes(record, node, time.monotonic, random.random, dial=dial)


def _realisers(
    node: ids.NodeId,
    kernel: linux.LinuxKernel,
    balancer: choose.Choice,
    names: dns_reconciler.Reconciler,
) -> Mapping[Backend, reconcile.Realise]:
    return {
        Backend.NETNS: netns_reconciler.Reconciler(kernel, node),
        Backend.LB: lb_reconciler.Reconciler(balancer.kernel, node),
        Backend.RESOLVER: names,
    }


def _resolver(
    config: configuration.Config,
    doors: namespaces.Namespaces,
    node: ids.NodeId,
    launcher: launch.Launcher,
    on_lost: Callable[[], None],
) -> dns_reconciler.Reconciler:
    return dns_reconciler.Reconciler(
        doors,
        launcher,
        node,
        files.Files(config.data_root),
        _daemon_dns(config),
        on_lost=on_lost,
    )


def _daemon_dns(config: configuration.Config) -> upstreams.DaemonDns:
    """The daemon's own settings, and what the host's files say now."""
    return hostconf.daemon_dns(
        servers=config.dns, search=config.dns_search, options=config.dns_opts, ttl=config.dns_ttl
    )


def _reread(
    config: configuration.Config, names: dns_reconciler.Reconciler, slot: reconcile.Slot
) -> None:
    """Follow the host's resolv.conf: other servers are asked from the next question on."""
    if names.use(_daemon_dns(config)):
        say.info("dns.host_changed")
        slot.kick()


def _templates(config: configuration.Config) -> tuple[pools.PoolTemplate, ...]:
    return tuple(pools.PoolTemplate(base=each.base, size=each.size) for each in config.pools)


def _about(config: configuration.Config, balancer: choose.Choice) -> context.About:
    return context.About(
        version=_version(),
        node=config.node_name,
        lb_backend=balancer.name,
        lb_why=balancer.why,
        data_root=config.data_root,
        exec_root=config.exec_root,
        store=config.store,
        started=time.time(),
    )


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
    at_once, later = configuration.changed(daemon.config, new)
    log.configure(new.log_level, new.log_format, keep=book.keep)
    say.info("config.reloaded", changed=",".join(at_once), restart_needed_for=",".join(later))
    daemon.journal.tell(Kind.DAEMON, Action.RELOAD, attributes={"changed": ",".join(at_once)})
    manager.ready("reloaded")


def _defect(backend: Backend, exc: Exception) -> None:
    say.error("reconcile.defect", backend=backend, exc_info=exc)
