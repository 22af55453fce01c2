"""The running process → a command inside a sandbox: its network, its resolv.conf and its hosts.

As `ip netns exec` does it: the network namespace is entered, a mount namespace of its own is made
whose mounts do not leak out, and the process becomes the command, so its exit code is ours.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from sdd import errors
from sdd.linux import libc

NOT_EXECUTABLE, NOT_FOUND = 126, 127  # what every shell ends with


def run(name: str, netns: str, files: Mapping[str, str], command: Sequence[str]) -> int:
    """Becomes `command`; returns a shell's exit code only when that cannot be run.

    Raises Denied without the privilege, NotFound when the namespace is gone.
    """
    try:
        _enter(netns)
        _mount(files)
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


def _become(command: Sequence[str]) -> int:
    sys.stdout.flush()
    try:
        os.execvp(command[0], list(command))  # noqa: S606 - the user's own command, no shell
    except FileNotFoundError:
        code, why = NOT_FOUND, "command not found"
    except OSError as exc:
        code, why = NOT_EXECUTABLE, (exc.strerror or "cannot be run").lower()
    sys.stderr.write(f"{command[0]}: {why}\n")
    return code
