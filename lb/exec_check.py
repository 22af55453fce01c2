"""A health check that runs a command: what it may do, and how it ends.

In: a check. Out: the command's first line; raises ValueError with the reason when it fails, OSError
or SddError when it could not be begun. The
command is the administrator's, yet it gets no more than it needs: the member's network namespace,
the host's files, the user nobody, no capability, a place to write nothing but its output. What it
starts is in a pid namespace with it and dies with that (pid_namespaces(7)), in whatever session.
"""

import asyncio
import contextlib
import fcntl
import os
import signal
import subprocess

from lb import patience
from lb.checks import Check
from sdd import errors
from sdd.linux import namespaces

NOBODY = 65534  # the user and group that own nothing
SHOWN = 200  # characters of the reason
_KEPT = 4096  # bytes of the output; the rest is dropped
_ROOM = 1 << 20  # bytes of it, of which a look rids us; what a pipe of anybody may have (pipe(7))
_DROP_S = 0.02  # between two such looks
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# The first process there waits for the command's: the kernel keeps signals without a handler from
# the first one, so a command that ends itself by one would not end.
# An empty line says that the command begins: what comes without it is of who was to begin it.
_FIRST = ("sh", "-c", '(echo; exec sh -c "$0"); exit $?')
_BEGUN = b"\n"
_BY_SIGNAL = 128  # and the number: what a shell says of a command that a signal ended
_ALONE = ("unshare", "--pid", "--fork", "--kill-child=KILL")
_HARMLESS = (
    "setpriv",
    f"--reuid={NOBODY}",
    f"--regid={NOBODY}",
    "--clear-groups",
    "--no-new-privs",
    "--inh-caps=-all",
    "--bounding-set=-all",
    "--pdeathsig=KILL",
)


async def ask(check: Check) -> str:
    """The first line that the command says when it ends with 0; cancelled, it and its kin die.

    TimeoutError when it takes longer than the check's timeout, from its own beginning on.
    """
    await namespaces.wait_inode(check.inside)  # who hangs at a path cannot be killed, or waited for
    with _started(check) as process:
        try:
            said = await _output(process, check.how.timeout_s)
        finally:
            # With the first process the others go. The number of this one, which is not reaped
            # yet, is still its group's.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        status = process.wait()
    line = _first_line(said)
    if not said.startswith(_BEGUN):
        raise await _not_begun(check, line or f"exit status {status}")
    if status:
        by = status - _BY_SIGNAL
        how = f"signal {by}" if 0 < by < signal.NSIG else f"exit status {status}"
        raise ValueError(f"{how}: {line}" if line else how)
    return line or "exit status 0"


async def _not_begun(check: Check, said: str) -> Exception:
    """Whoever is gone with its namespace fails its check; else something lacks here."""
    if not await namespaces.wait_inode(check.inside):
        return ValueError(f"there is no network namespace at {check.inside!r}")
    return errors.Unavailable(f"the command was not begun: {said}")


def _started(check: Check) -> subprocess.Popen[bytes]:
    inside = ("nsenter", f"--net={check.inside}")
    return subprocess.Popen(
        [*inside, *_ALONE, *_HARMLESS, *_FIRST, check.how.command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd="/",
        env={"PATH": _PATH, "LANG": "C.UTF-8", "SDD_ADDRESS": str(check.address)},
        start_new_session=True,
    )


async def _output(process: subprocess.Popen[bytes], timeout_s: float) -> bytes:
    """The beginning of what the command says, when it has ended."""
    assert process.stdout is not None
    pipe, ended = process.stdout.fileno(), os.pidfd_open(process.pid)
    os.set_blocking(pipe, False)
    kept, begun, over = bytearray(), asyncio.Event(), asyncio.Event()

    def drain() -> None:
        with contextlib.suppress(BlockingIOError):
            if not (piece := os.read(pipe, _KEPT)):
                loop.remove_reader(pipe)
            kept.extend(piece)
            begun.set()
        if len(kept) > _KEPT:
            loop.remove_reader(pipe)
            dropping.set()

    loop, dropping = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(pipe, drain)
    loop.add_reader(ended, over.set)
    rest = loop.create_task(_dropped(pipe, dropping), name="what a check says beyond its bound")
    rest.add_done_callback(lambda _: over.set())  # it ends by itself only when it cannot go on
    try:
        await _begun(begun, timeout_s)
        async with patience.limit(timeout_s):
            await over.wait()
        if rest.done():
            rest.result()
        drain()
    finally:
        rest.cancel()
        loop.remove_reader(pipe)
        loop.remove_reader(ended)
        os.close(ended)
    return bytes(kept[:_KEPT])


async def _begun(begun: asyncio.Event, timeout_s: float) -> None:
    try:
        async with patience.limit(timeout_s):
            await begun.wait()
    except TimeoutError:
        raise errors.Unavailable(f"the command was not begun within {timeout_s:g} s") from None


async def _dropped(pipe: int, begin: asyncio.Event) -> None:
    """What nobody will see goes now and then: each look at it would cost a turn of the loop."""
    await begin.wait()
    with contextlib.suppress(OSError):  # pipe-user-pages-soft: then it is looked at more often
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _ROOM)
    nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    try:
        while True:
            with contextlib.suppress(BlockingIOError):
                os.splice(pipe, nowhere, _ROOM)
            await asyncio.sleep(_DROP_S)
    finally:
        os.close(nowhere)


def _first_line(said: bytes) -> str:
    lines = said.decode(errors="replace").strip().splitlines()
    line = lines[0] if lines else ""
    return "".join(each if each.isprintable() else "?" for each in line)[:SHOWN]
