"""The composition root: builds every object of the daemon and wires them.

In: the command line and daemon.json. Out: a running daemon, or one sentence and an exit code.
Nothing is decided here; whatever has a rule has a file of its own. What runs: `sdd.daemon`.
"""

import asyncio
import contextlib
import dataclasses
import functools
import gc
import os
import resource
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from importlib import metadata
from typing import NamedTuple, NoReturn, cast

import structlog

from lb import checks as lb_checks
from lb import dial as lb_dial
from lb import probes as lb_probes
from lb import watching as lb_watching
from lb.kernel import carriers, choose, neighbours, refusals, refusals_inside
from lb.kernel.ports import linux as ports_linux
from lb.kernel.ports import sockets
from lb.ports import reconciler as ports_reconciler
from netns import deaths as netns_deaths
from netns import reconciler as netns_reconciler
from netns.kernel import entries, events, linux, mounts, observe
from netns.kernel import names as netns_names
from resolver import reconciler as dns_reconciler
from resolver.control import watch
from resolver.explain import inquirer, query, trace
from resolver.files import own
from resolver.upstream import transports
from sdd import config as configuration
from sdd import (
    daemon,
    defects,
    endings,
    errors,
    interpreter,
    lock,
    log,
    logbook,
    naming,
    notify,
    options,
    page,
    reconcile,
    settled,
)
from sdd.alloc import pools
from sdd.api import context
from sdd.control import commander, feed, hearing, identity, journal, progress, standing, verify
from sdd.control.unchecked import Unchecked
from sdd.control.unstored import Unstored
from sdd.linux import capabilities, descriptors, guests, libc, lookups, namespaces
from sdd.model import ids
from sdd.model.look import Look
from sdd.model.progress import Backend
from sdd.store import sqlite

VERSION = metadata.version("sdd")
COMMAND_S = 25.0  # below sdctl's own --timeout of 30 s, so that people see the better sentence
DATABASE = "sdd.db"

say: structlog.stdlib.BoundLogger = structlog.get_logger("sdd")


def main() -> None:
    """The `sdd` command: runs until SIGTERM or SIGINT; an error ends it with its exit code."""
    descriptors.fill(descriptors.Unread.LOST)
    hangups = daemon.Hangups()  # from now on
    try:
        _run(hangups)
    finally:
        # Everything is written and released. Without this the interpreter would look through all
        # objects once more before it ends, which takes longer than the whole rest of the stop.
        gc.freeze()


def _run(hangups: daemon.Hangups) -> None:
    asked = options.parse_args(sys.argv[1:], VERSION)
    try:
        config = _load(asked)
        if asked.validate:
            sys.stdout.write("the configuration is valid\n")
            return
        capabilities.demand(capabilities.STATUS.read_text())
        book = logbook.Logbook(time.time)
        log.configure(config.log_level, config.log_format, keep=book.keep)
        interpreter.tune()
        libc.share_heap()  # before there are threads
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # each published port holds one
        asyncio.run(serve(config, lambda: _load(asked, again=True), book, hangups))
        _leave()
    except errors.SddError as exc:
        _end(exc)
    except ExceptionGroup as many:  # what goes wrong once the tasks run
        if (refused := _refusal(many)) is None:
            raise
        _end(refused)
    except OSError as exc:
        _end(
            errors.KernelRefused(
                f"sdd cannot start: {exc}",
                hint="see `sdctl doctor` for what this system lacks",
                code="SDD-START",
            )
        )


def _load(asked: options.Options, *, again: bool = False) -> configuration.Config:
    """The settings in force, which can be used here; raises `errors.Invalid`."""
    config = configuration.load(asked, again=again)
    transports.check(config.dns, config.dns_ca)
    return config


def _leave() -> NoReturn:
    """End at once: all is closed, and Python would tidy up for 0.2 s what ends with the process."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _refusal(many: ExceptionGroup) -> errors.SddError | None:
    """The first error that a person can mend; None when anything else is among them."""
    refused, others = many.split(errors.SddError)
    found: Exception | None = None if others else refused
    while isinstance(found, ExceptionGroup):
        found = found.exceptions[0]
    return found if isinstance(found, errors.SddError) else None


def _end(exc: errors.SddError) -> NoReturn:
    for line in filter(None, (f"sdd: {exc}", exc.hint)):
        sys.stderr.write(line + "\n")
    sys.exit(exc.exit_code)


async def serve(
    config: configuration.Config,
    reload: Callable[[], configuration.Config],
    book: logbook.Logbook,
    hangups: daemon.Hangups,
) -> None:
    """The whole life of the daemon; returns after an orderly stop."""
    manager = notify.Notifier(notify.take_address(os.environ))
    kept, listening = sockets.split(notify.take_sockets(os.environ, os.getpid()))
    held = sockets.Sockets(manager, kept)
    lookups.ALL.trust(config.exec_root / "netns")
    with lock.held(config.data_root), lock.held(config.exec_root), lock.alone():
        async with assembled(config, book, held) as one:
            await dataclasses.replace(one, inherited=listening).run(manager, reload, book, hangups)


@contextlib.asynccontextmanager
async def assembled(
    config: configuration.Config, book: logbook.Logbook, held: sockets.Sockets
) -> AsyncIterator[daemon.Daemon]:
    """All parts, wired; on leaving, what they hold of the system is released."""
    async with contextlib.AsyncExitStack() as stack:
        doors = stack.enter_context(contextlib.closing(namespaces.Namespaces()))
        store, news = await _store(config, stack)
        in_force, ears = configuration.InForce(config), hearing.Hearing()
        node = identity.named(config.data_root, config.node_name, news.state)
        config = dataclasses.replace(config, node_name=node)
        slots = {each: reconcile.Slot() for each in Backend}
        balancer = await _balancer(config, doors)
        reached = _progress(config, balancer, news)
        launcher = await stack.enter_async_context(naming.launcher(config))
        workers, watcher = inquirer.Inquirer(launcher), watch.Watch(launcher, standing.noted)
        names = naming.reconciler(config, doors, node, launcher, slots, reached=reached)
        stack.callback(names.close)
        commands = _commander(config, store, news, reached, doors, names=names)
        ports = stack.enter_context(contextlib.closing(ports_linux.PortsKernel(doors, held)))
        kernel, late = linux.LinuxKernel(doors, config.exec_root), reached.lag.sentences
        see = (lambda: news.state, node, kernel, balancer.kernel, query.Asker(doors).ask)
        history, faults = journal.Journal(time.time), defects.Defects(daemon.told)
        members, publisher, words = _members(
            *(config, ports, stack, commands, balancer), news=news, reached=reached
        )
        counts = page.build(VERSION, news, watcher, members, reached.lag.seconds, faults=faults)
        launcher.subscribe(standing.teller(history, counts))
        yield daemon.Daemon(
            settings=in_force,
            feed=news,
            progress=reached,
            registry=counts,
            parts=_parts(node, kernel, members, publisher, names, slots=slots, reached=reached),
            followers=members.followers() | endings.followers(commands, node, history),
            watches=_lb_watches(doors, news, node, members.probes, ears)
            | naming.watches(in_force, names, slots, watcher),
            journal=history,
            context=context.Context(
                commands=commands,
                defects=faults,
                state=(told := members.told(lambda: news.state)),
                progress=words.progress(standing.progress(reached.lag.outcomes, launcher.trouble)),
                unchecked=words.unchecked.reasons,
                repaired=reached.repaired,
                trace=trace.Tracer(query.Asker(doors), workers, own.Files(config.data_root)),
                names=workers,
                lb_view=members.view(lambda: news.state),
                lb_trace=choose.tracer(balancer, doors, told),
                about=_about(config, balancer),
                unheard=lambda: ears.why,
                labels=in_force.labels,
                registry=counts,
                report=members.probes.report,
                schedulers=balancer.kernel.schedulers,
                journal=history,
                logbook=book,
                verify=verify.Verifier(*see, ports=ports, behind=late).differences,
                nameservers=names.host_servers,
            ),
        )


async def _store(
    config: configuration.Config, stack: contextlib.AsyncExitStack
) -> tuple[sqlite.SqliteStore, feed.Feed]:
    """Opened, and read for the first time."""
    store = await sqlite.SqliteStore.open(config.data_root / DATABASE)
    stack.push_async_callback(store.close)
    news = feed.Feed(store, on_fault=lambda exc: say.error("store.fault", error=str(exc)))
    await news.start()
    return store, news


def _progress(
    config: configuration.Config, balancer: choose.Choice, news: feed.Feed
) -> progress.Progress:
    """With what an earlier process left: all namespaces that we made must be there."""
    boxes = news.state.sandboxes_by_node.get(ids.NodeId(config.node_name), ())
    made = (each.netns for each in boxes if not each.netns_inode)
    life = settled.life(VERSION, balancer.name)
    done = settled.Settled(config.exec_root, life, made)
    return progress.Progress(tuple(Backend), settled=done)


def _lb_watches(
    doors: namespaces.Namespaces,
    news: feed.Feed,
    node: ids.NodeId,
    checks: lb_probes.Probes,
    ears: hearing.Hearing,
) -> dict[str, daemon.Watch]:
    """What tells reconcilers and checks that something changed in the kernel."""
    slot, where = reconcile.Slot(), functools.partial(lb_checks.unheard, node=node)
    inside = refusals_inside.Inside(doors, where, checks.unreached)
    links = carriers.Links()
    news.subscribe(slot.put)

    def paths() -> Iterable[str]:
        return (each.netns for each in news.state.sandboxes_by_node.get(node, ()))

    def both(kick: Callable[[Look], None]) -> Callable[[Look], None]:
        def kicked(look: Look) -> None:
            inside.kick(look)
            kick(look)

        return kicked

    def named() -> Iterable[str]:
        return netns_deaths.named(news.state, node)

    return {
        "kernel news": lambda kick: events.follow(doors, paths, kick),
        "cables": lambda _: carriers.follow(doors, checks.cables, links=links),
        "mounts": lambda kick: mounts.follow(named, both(kick)),
        "entries": lambda kick: entries.follow(named, both(kick)),
        "neighbours": lambda _: neighbours.follow(doors, checks.unreached),
        "inner refusals": lambda _: inside.follow(slot),
        "refusals": lambda _: refusals.follow(doors, checks.unreached, ears.lost),
    }


def _commander(
    config: configuration.Config,
    store: sqlite.SqliteStore,
    news: feed.Feed,
    reached: progress.Progress,
    doors: namespaces.Namespaces,
    *,
    names: dns_reconciler.Reconciler,
) -> commander.Commander:
    return commander.Commander(
        store=store,
        feed=news,
        progress=reached,
        observe=observe.Observer(doors, netns_names.Names(doors, config.exec_root / "netns")),
        node=ids.NodeId(config.node_name),
        exec_root=config.exec_root,
        pools=config.pools or pools.DEFAULT_POOLS,
        clock=time.time,
        entropy=os.urandom,
        timeout_s=COMMAND_S,
        transports=transports.usable(),
        ipv6=observe.has_ipv6(),
        bip=config.bip,
        mtu=config.mtu,
        nameservers=names.host_servers,
    )


async def _balancer(config: configuration.Config, doors: namespaces.Namespaces) -> choose.Choice:
    chosen = await choose.choose(doors, cast("choose.Wanted", config.lb_backend))
    say.info("lb.chosen", backend=chosen.name, why=chosen.why)
    return chosen


def _dial(stack: contextlib.AsyncExitStack) -> lb_dial.Dial:
    """Checks have a thread of their own: they wait for no one's work on the kernel."""
    doors = stack.enter_context(contextlib.closing(namespaces.Namespaces(workers=1)))
    return lb_dial.through(doors)


class _Words(NamedTuple):
    """What of health is told beside the state."""

    unstored: Unstored
    unchecked: Unchecked

    def progress(self, made: standing.Progress) -> standing.Progress:
        """`made`, with both."""
        return self.unchecked.progress(self.unstored.progress(made))


def _members(
    config: configuration.Config,
    ports: ports_linux.PortsKernel,
    stack: contextlib.AsyncExitStack,
    commands: commander.Commander,
    balancer: choose.Choice,
    *,
    news: feed.Feed,
    reached: progress.Progress,
) -> tuple[lb_watching.Watching, ports_reconciler.Reconciler, _Words]:
    node = ids.NodeId(config.node_name)
    publisher = ports_reconciler.Reconciler(
        ports, node, was_realised=functools.partial(reached.was_realised, Backend.PORTS)
    )
    words = _Words(
        Unstored(commands.record_verdict, lambda: news.state), Unchecked(lambda: news.state)
    )
    made = lb_watching.Watching(
        *(balancer.kernel, node, words.unstored.record, commands.drained),
        been=guests.Guests(config.exec_root / "lb-guests"),
        dial=_dial(stack),
        host=lb_watching.Host(ports.counts, publisher.busy),
        hold=namespaces.hold,
        unchecked=words.unchecked.turned,
    )
    news.subscribe(made.put)
    return made, publisher, words


def _parts(
    node: ids.NodeId,
    kernel: linux.LinuxKernel,
    members: lb_watching.Watching,
    publisher: ports_reconciler.Reconciler,
    names: dns_reconciler.Reconciler,
    *,
    slots: Mapping[Backend, reconcile.Slot],
    reached: progress.Progress,
) -> tuple[daemon.Part, ...]:
    was = {each: functools.partial(reached.was_realised, each) for each in Backend}
    realisers: Mapping[Backend, reconcile.Realise] = {
        Backend.NETNS: netns_reconciler.Reconciler(kernel, node, was_realised=was[Backend.NETNS]),
        Backend.LB: members.reconciler(
            functools.partial(reached.has_failed, Backend.NETNS), was[Backend.LB]
        ),
        Backend.PORTS: publisher,
        Backend.RESOLVER: names,
    }
    return tuple(daemon.Part(each, realisers[each], slot) for each, slot in slots.items())


def _about(config: configuration.Config, balancer: choose.Choice) -> context.About:
    return context.About(
        version=VERSION,
        node=config.node_name,
        lb_backend=balancer.name,
        lb_why=balancer.why,
        data_root=config.data_root,
        exec_root=config.exec_root,
        store=config.store,
        started=time.time(),
        advertise=config.advertise_addr,
        lacks=capabilities.lacking(capabilities.STATUS.read_text(), is_deaf=capabilities.is_deaf()),
    )
