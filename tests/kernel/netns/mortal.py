"""A process that realises a state and dies of SIGKILL before its n-th effect on the world.

Effects are what others can see: messages to the kernel, files, mounts, namespaces. The process is
forked by a server that has all modules loaded (multiprocessing's forkserver), so that a death
costs milliseconds; it runs the product's own code on the running kernel.
"""

import asyncio
import functools
import itertools
import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from netns import reconciler
from netns.kernel import linux
from sdd import state
from sdd.linux import libc, namespaces, nft
from tests.netns_states import NODE

Scene = Callable[[str], state.ClusterState]
_FILES = frozenset({"os.mkdir", "os.symlink", "os.remove", "os.rename", "os.rmdir"})
_SENDS = ("send", "sendto", "sendmsg")
_CALLS = ("setns", "unshare_network", "bind_mount", "unmount")
_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload([__name__])


def live(host: str, root: Path, scene: Scene, *, strokes: int) -> bool:
    """Whether the process had `scene` realised before its stroke number `strokes` came.

    `host` is the file of the namespace that plays the host. Anything but success and SIGKILL is
    an AssertionError.
    """
    mortal = _SERVER.Process(target=_realise, args=(host, root, scene, strokes))
    mortal.start()
    mortal.join(30)
    assert mortal.exitcode in (0, -signal.SIGKILL), mortal.exitcode
    return mortal.exitcode == 0


def _realise(host: str, root: Path, scene: Scene, strokes: int) -> None:
    doors = namespaces.Namespaces(host)
    kernel = linux.LinuxKernel(doors, root / "exec", root / "var-run-netns")
    one = reconciler.Reconciler(kernel, NODE)
    _arm(strokes)
    outcome = asyncio.run(one.realise(scene(str(root / "exec" / "netns"))))
    os._exit(1 if outcome.failures else 0)


def _arm(strokes: int) -> None:
    counted = itertools.count(1)

    def stroke() -> None:
        if next(counted) == strokes:
            os.kill(os.getpid(), signal.SIGKILL)

    def audited(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _FILES or (event == "open" and _is_write(arguments)):
            stroke()

    sys.addaudithook(audited)
    for owner, names in ((socket.socket, _SENDS), (libc, _CALLS), (nft.Nft, ("run",))):
        for name in names:
            setattr(owner, name, _after(stroke, getattr(owner, name)))


def _is_write(arguments: tuple[Any, ...]) -> bool:
    return bool(arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


def _after(stroke: Callable[[], None], work: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(work)
    def run(*args: Any, **kwargs: Any) -> Any:
        stroke()
        return work(*args, **kwargs)

    return run
