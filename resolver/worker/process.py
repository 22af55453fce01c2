"""The process that parses packets from containers: no capability, no user of its own to lose.

In: descriptor 3, a listening SOCK_SEQPACKET socket on which sdd says what to serve. Out: DNS
servers in the sandboxes. It outlives sdd: while nobody is connected it goes on with what it has,
and ends when that is nothing.
"""

import argparse
import asyncio
import concurrent.futures.thread  # noqa: F401 - now: files may be unreadable later
import contextlib
import encodings.idna  # noqa: F401 - for the same reason
import functools
import gc
import os
import random
import secrets
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator
from pathlib import Path
from typing import Final

from resolver import clock, counters, notes, parts, protocol
from resolver.listen import datagrams, ready, respond, selector, server
from resolver.names import answer
from resolver.upstream import doh, dot, forwarder, late, sockets
from resolver.worker import confine, inquiry, linger, privileges, servers, serving, session
from sdd import defects, interpreter

TRANSPORTS: Final = (dot, doh)  # loaded now, for the same reason
CONTROL: Final = 3  # the first descriptor of socket activation (sd_listen_fds(3)), and of ours
TIDY_S: Final = 60.0  # how often what is known of servers is gone through, at most
_MOST_DESCRIPTORS: Final = 1 << 20  # fs.nr_open, where nobody made it more
_CREDENTIALS = struct.Struct("=iII")  # struct ucred: pid, uid, gid


def main() -> None:
    """The `sdd-dns` command: gives up all privilege, then serves until SIGTERM."""
    parser = argparse.ArgumentParser(prog="sdd-dns", description=__doc__)
    parser.add_argument("--user", default="sdd-dns", help="run as this user (default: sdd-dns)")
    parser.add_argument(
        "--exec-root", type=Path, help="where dns.sock is (default: what the socket says)"
    )
    parser.add_argument(
        "--linger",
        type=float,
        default=linger.LINGER_S,
        metavar="SECONDS",
        help="end when nobody was connected and nothing served for so long (default: %(default)s)",
    )
    asked = parser.parse_args()
    # Libraries of sdd open sockets that every child would keep, and whose tables live with them.
    os.closerange(CONTROL + 1, _MOST_DESCRIPTORS)
    try:
        control = socket.socket(fileno=CONTROL)
    except OSError as exc:
        sys.stderr.write(
            f"sdd-dns: descriptor {CONTROL} is no socket ({exc.strerror}); start me through sdd\n"
        )
        sys.exit(1)
    control.setblocking(False)
    door = linger.door_of(control, asked.exec_root and asked.exec_root / protocol.SOCKET)
    os.chdir("/")  # of where sdd was started nothing is ours
    late.load_if_hidden()
    try:
        privileges.drop(*privileges.identity(asked.user))
        confine.confine()
    except OSError as exc:
        sys.stderr.write(
            f"sdd-dns: cannot give up what it must not have: {exc}; the kernel needs seccomp"
            " filters (CONFIG_SECCOMP_FILTER) and the host the library libseccomp2\n"
        )
        sys.exit(1)
    # Listening once more makes the kernel name us (SO_PEERCRED) as the one who listens: that is
    # how sdd finds a worker that does not answer, whoever had started it.
    control.listen()
    interpreter.tune()
    gc.freeze()  # of what was imported nothing ever goes: no search for garbage looks at it
    gc.enable()
    faults = defects.Defects()
    hot = selector.Selector(faults)
    with asyncio.Runner(loop_factory=lambda: selector.Loop(hot)) as runner:
        runner.run(serve(control, door, asked.linger, hot, faults))


async def serve(
    control: socket.socket,
    door: linger.Door,
    linger_s: float,
    hot: selector.Selector,
    faults: defects.Defects,
) -> None:
    """Serve until SIGTERM or until there is no need of it; `hot` is the loop's own selector.

    Raises nothing that a packet or a client of `control` can cause.
    """
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    loop.add_signal_handler(signal.SIGINT, stopped.set)
    try:
        async with asyncio.TaskGroup() as tasks:
            worker = Worker(control, tasks, door, stopped.set, linger_s, hot=hot, faults=faults)
            tasks.create_task(_stop(stopped, worker), name="dns-stop")
    except* _Stopped:
        pass


async def _stop(stopped: asyncio.Event, worker: "Worker") -> None:
    """Ends the group by failing: questions on their way are asked again by their askers."""
    await stopped.wait()
    worker.close()
    raise _Stopped


class _Stopped(Exception):
    """The signal came, or there is nothing left to do."""


class Worker:
    """Builds the parts and holds the one conversation with sdd; a new one replaces the old."""

    def __init__(
        self,
        control: socket.socket,
        tasks: asyncio.TaskGroup,
        door: linger.Door,
        leave: Callable[[], None],
        linger_s: float,
        *,
        hot: selector.Selector,
        faults: defects.Defects,
    ) -> None:
        self._control = control
        self._question = faults.holding(defects.Unit.QUESTION)
        self._tasks = tasks
        self._session: session.Session | None = None
        self._has_quic = False
        self._is_closed = False
        self._started = time.time()
        self._counts = counters.Counters()
        self._counts.fold(functools.partial(_met, faults))
        told = notes.Notes(clock.now)
        forwarding = forwarder.Forwarder(
            self._counts,
            self._inside,
            clock=clock.now,
            bits=secrets.randbits,
            spawn=self._spawn,
            sees=self._sees,
            note=told.note,
            hot=hot,
        )
        self._healths = forwarding.healths
        self._tidied = clock.now()
        self._serving = serving.Serving(
            server.Tools(
                responder=respond.Responder(self._counts, random.Random().randrange),  # noqa: S311 - spreads load, guards nothing
                counts=self._counts,
                recall=forwarding.recall,
                lasting=forwarding.lasting,
                stays=forwarding.stays,
                forward=forwarding.resolve,
                begin=forwarding.begin,
                joins=forwarding.joins,
                bar=forwarding.bar,
                spawn=self._spawn,
                pool=ready.Pool(self._counts),
                hot=hot,
                note=told.note,
                batch=datagrams.Batch(faults),
                buckets=forwarding.buckets,
            )
        )
        self._told = inquiry.Inquiry(forwarding, self._serving, clock.now, told)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(control.fileno(), self._accept)
        self._linger = linger.Linger(door, self._serves, leave, linger_s)
        self._linger.alone()

    def close(self) -> None:
        """Stop listening everywhere, and begin nothing more: what ends now may still want to."""
        self._is_closed = True
        self._loop.remove_reader(self._control.fileno())
        self._control.close()
        self._hang_up()
        self._linger.accompanied()
        self._serving.close()

    def _serves(self) -> bool:
        return self._serving.is_busy

    def _inside(self, sandbox: str, server: protocol.Upstream) -> sockets.Dial | None:
        return self._serving.inside(sandbox, server)

    def _sees(self, sandbox: str) -> answer.Scope | None:
        return self._serving.sees(sandbox)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        if self._is_closed:
            return work.close()
        task = self._tasks.create_task(self._held(work), name="dns-work")
        # One that is cancelled before its first step never gets to `work`.
        return task.add_done_callback(lambda _: work.close())

    async def _held(self, work: Coroutine[None, None, None]) -> None:
        """One question's mistake must never end the others' answers."""
        with self._question:
            await work

    # --- the conversation with sdd ----------------------------------------------------------

    def _accept(self) -> None:
        try:
            link, _ = self._control.accept()
        except OSError:
            return
        link.setblocking(False)
        if _uid(link) not in (0, os.getuid()):
            link.close()  # the socket's mode should have kept them out already
            return
        self._hang_up()
        self._linger.accompanied()
        self._session = session.Session(link, self._obey, self._ended)
        self._session.say(parts.of(self._serving.inventory(os.getpid())))

    def _hang_up(self) -> None:
        if self._session:
            self._session.hang_up()
            self._session = None
            self._linger.alone()

    def _ended(self, _: session.Session) -> None:
        self._session = None
        self._linger.alone()

    def _obey(self, data: bytes, links: list[socket.socket]) -> Iterable[protocol.Message]:
        message = protocol.decode_to_worker(data)
        if isinstance(message, protocol.Apply):
            return parts.of(self._applied(message.revision))
        if isinstance(message, protocol.Count):
            return parts.of(self._counted())
        if isinstance(message, protocol.Question):
            return parts.of(self._told.tell(message))
        self._serving.stage(message, links)
        if isinstance(message, protocol.View) and not self._has_quic and servers.has_quic(message):
            self._has_quic = True
            self._spawn(_prepared())
        return ()

    def _counted(self) -> protocol.Counted:
        sums = self._counts.sums()
        sums.append(([counters.TCP_CONNECTIONS], float(self._serving.connections)))
        scopes = self._serving.scopes()
        asked = servers.asked(scopes)
        up = servers.up(asked, self._healths, self._counts.upstream, clock.now())
        sums += [([counters.UPSTREAM_UP, label], float(is_up)) for label, is_up in up.items()]
        # What was counted of others is told once more, and over then.
        self._counts.keep_upstreams({server.label for server, _ in asked})
        self._counts.keep_networks({each.label for each in scopes})
        return protocol.Counted(os.getpid(), self._started, sums)

    def _applied(self, revision: int) -> protocol.Applied:
        problems = self._serving.apply(revision)
        if clock.now() >= self._tidied + TIDY_S:
            self._tidied = clock.now()
            self._healths.keep(servers.asked(self._serving.scopes()), self._tidied)
        return protocol.Applied(revision, problems, self._serving.listening(problems))


async def _prepared() -> None:
    """Whoever asks over QUIC first need not wait for it; that it cannot be had he is told."""
    with contextlib.suppress(ImportError):
        await late.doq()


def _uid(session: socket.socket) -> int:
    data = session.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(data)[1])


def _met(faults: defects.Defects) -> Iterator[tuple[tuple[str, ...], float]]:
    """The mistakes of ours so far, for the page of metrics."""
    for unit, count in faults.counts.items():
        yield (counters.DEFECTS, unit.value), count
    yield (counters.DROPPED, "defect"), faults.count(defects.Unit.QUESTION)


if __name__ == "__main__":
    main()
