"""A process that does a piece of a daemon's work and dies of SIGKILL before its n-th effect.

Effects are what others can see: messages to the kernel and to processes, sockets that hold ports,
files, mounts, namespaces, processes. The process is forked by a server that has all modules loaded
(multiprocessing's forkserver), so that a death costs milliseconds; it runs the product's own code
on the running kernel.
"""

import functools
import itertools
import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from typing import Any

from sdd.linux import libc, nft

Arm = Callable[[], None]
_FILES = frozenset(
    {*("os.mkdir", "os.symlink", "os.remove", "os.rename", "os.rmdir"), "os.posix_spawn"}
)
_SENDS = ("send", "sendto", "sendmsg")
_CLAIMS = ("bind", "listen")
_CALLS = ("setns", "unshare_network", "bind_mount", "unmount")
_PATIENCE_S = 120
_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload([__name__, "netns.kernel.linux", "resolver.reconciler"])


def deaths(life: Callable[..., bool], *arguments: Any, fewest: int) -> Iterator[int]:
    """Numbers of strokes at which a process died, one after the other; the last one it survived.

    `life` is a function of a module: it gets an `Arm` to call before the effects that count, then
    `arguments`, and says whether all went well. Fewer strokes than `fewest` would mean that the
    counting misses some: an AssertionError, as anything but success and SIGKILL is.
    """
    for strokes in itertools.count(1):
        mortal = _SERVER.Process(target=_live, args=(life, strokes, *arguments))
        mortal.start()
        mortal.join(_PATIENCE_S)
        assert mortal.exitcode in (0, -signal.SIGKILL), mortal.exitcode
        yield strokes
        if mortal.exitcode == 0:
            assert strokes > fewest
            return


def _live(life: Callable[..., bool], strokes: int, *arguments: Any) -> None:
    os._exit(0 if life(functools.partial(_arm, strokes), *arguments) else 1)


def _arm(strokes: int) -> None:
    counted = itertools.count(1)

    def stroke(*_: object) -> None:
        if next(counted) == strokes:
            os.kill(os.getpid(), signal.SIGKILL)

    def claim(one: socket.socket, *_: object) -> None:
        if one.family != socket.AF_NETLINK:
            stroke()

    def audited(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _FILES or (event == "open" and _is_write(arguments)):
            stroke()

    sys.addaudithook(audited)
    owners = ((socket.socket, _SENDS), (libc, _CALLS), (nft.Nft, ("run",)))
    for owner, names in owners:
        for name in names:
            setattr(owner, name, _after(stroke, getattr(owner, name)))
    for name in _CLAIMS:
        setattr(socket.socket, name, _after(claim, getattr(socket.socket, name)))


def _is_write(arguments: tuple[Any, ...]) -> bool:
    return bool(arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


def _after(first: Callable[..., None], work: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(work)
    def run(*args: Any, **kwargs: Any) -> Any:
        first(*args)
        return work(*args, **kwargs)

    return run
