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
from sdd.linux import libc

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
        _enter(netns)
        _mount(files)
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
        raise errors.Unavailable(
            f'cannot enter sandbox "{name}": {exc.filename}: {exc.strerror}',
            code="SDD-SANDBOX-ENTER",
        ) from None
    return _become(command)


def _enter(netns: str) -> None:
    descriptor = os.open(netns, os.O_RDONLY | os.O_CLOEXEC)
    try:
        libc.setns(descriptor, netns)
    finally:
        os.close(descriptor)


def _mount(files: Mapping[str, str]) -> None:
    libc.unshare_mounts()
    # /sys shows the network namespace it was mounted in: /sys/class/net must be the sandbox's.
    libc.mount_sysfs("/sys")
    for target, source in files.items():
        if Path(source).exists() and Path(target).exists():
            libc.bind_mount(source, target)


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
