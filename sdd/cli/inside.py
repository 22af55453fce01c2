"""The running process → a command inside a sandbox: its network, its files and its hostname.

As `ip netns exec` does it: the network namespace is entered, a mount namespace of its own is made
whose mounts do not leak out, and the process becomes the command, so its exit code is ours. The
hostname is the sandbox's, in a UTS namespace of its own.
"""

import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from sdd import errors
from sdd.linux import keeper, libc

MOST_HOSTNAME = 64  # bytes: __NEW_UTS_LEN, include/uapi/linux/utsname.h
# The interpreter ignores these and a command inherits that: `yes | head` would complain.
OURS_TO_IGNORE = (signal.SIGPIPE, signal.SIGXFSZ)
NOT_EXECUTABLE, NOT_FOUND = 126, 127  # what every shell ends with


def run(
    name: str, netns: str, hostname: str, files: Mapping[str, str], command: Sequence[str]
) -> int:
    """Becomes `command`, for whom the machine is called `hostname`.

    Returns a shell's exit code, and only when the command cannot be run.
    Raises Denied without the privilege, NotFound when the namespace is gone.
    """
    try:
        _enter(netns, files)
        _call(hostname)
    except PermissionError:
        raise errors.Denied(
            f'cannot enter sandbox "{name}": permission denied',
            hint="entering a namespace needs root (CAP_SYS_ADMIN)",
        ) from None
    except FileNotFoundError as exc:
        raise errors.NotFound(
            f'sandbox "{name}" has no namespace at {exc.filename}',
            hint="sdctl status says what sdd could not make",
            code="SDD-SANDBOX-NONETNS",
        ) from None
    except OSError as exc:
        where = f"{exc.filename}: " if exc.filename else ""
        raise errors.Unavailable(
            f'cannot enter sandbox "{name}": {where}{exc.strerror}',
            code="SDD-SANDBOX-ENTER",
        ) from None
    return _become(command)


def _enter(netns: str, files: Mapping[str, str]) -> None:
    descriptor = os.open(netns, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        libc.unshare_mounts()
        # Before the network is entered: `ip netns pids` tells of the command, not of the keeper.
        _cover(files)
        libc.setns(descriptor, netns)
    finally:
        os.close(descriptor)
    # /sys shows the network namespace it was mounted in: /sys/class/net must be the sandbox's.
    libc.mount_sysfs("/sys")


def _cover(files: Mapping[str, str]) -> None:
    """Put the sandbox's files over the host's, and keep them there."""
    for target, source in files.items():
        try:
            keeper.put(target, source)
        except FileNotFoundError:  # the keeper does it when there is one
            _warn(_lack(target, source))
    if files:
        keeper.start(files)


def _lack(target: str, source: str) -> str:
    if not Path(source).exists():
        return f"the sandbox has no {source} yet; until sdd writes it the host's is seen"
    there = Path(target).resolve()
    why = f"this host has no {target}"
    if Path(target).is_symlink():
        why = f"{target} of this host leads to {there}, which is not there"
    return f"{why}, so that the command has none either; put a file there, even an empty one"


def _warn(sentence: str) -> None:
    sys.stderr.write(f"Warning: {sentence}\n")


def _call(hostname: str) -> None:
    libc.unshare_hostname()
    label = hostname if len(hostname) <= MOST_HOSTNAME else hostname.partition(".")[0]
    socket.sethostname(label)


def _become(command: Sequence[str]) -> int:
    sys.stdout.flush()
    for each in OURS_TO_IGNORE:
        signal.signal(each, signal.SIG_DFL)
    try:
        os.execvp(command[0], list(command))  # noqa: S606 - the user's own command, no shell
    except FileNotFoundError:
        code, why = NOT_FOUND, "command not found"
    except OSError as exc:
        code, why = NOT_EXECUTABLE, (exc.strerror or "cannot be run").lower()
    sys.stderr.write(f"{command[0]}: {why}\n")
    return code
