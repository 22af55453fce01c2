"""The schedulers whose modules have to be there before IPVS is asked for them.

IPVS loads a scheduler that is missing while it holds its lock (`__ip_vs_mutex` of ip_vs_ctl.c).
The modules of `lblc` and `lblcr` wait for the lock of the list of namespaces
(`register_pernet_subsys`), which a namespace that ends holds while it waits for IPVS: from then on
no service can be changed and no namespace ends, until the next boot (seen in Linux 6.1). So
modprobe(8) loads them at the start, and where it may not they are not offered.
"""

import contextlib
import os
import subprocess
from pathlib import Path
from typing import Final, NamedTuple

from sdd import plain
from sdd.model.service import Scheduler

BEFOREHAND: Final = frozenset({Scheduler.LBLC, Scheduler.LBLCR})
_PROGRAM: Final = "/sbin/modprobe"
_WAIT_S: Final = 10
_MOST_BYTES: Final = 1 << 20  # of the list of modules; Debian's has 10 KB


class Places(NamedTuple):
    """Where the kernel lists its modules: the loaded ones, and a file of those built in."""

    loaded: Path
    built_in: Path


HERE: Final = Places(
    Path("/sys/module"), Path("/lib/modules", os.uname().release, "modules.builtin")
)


def load() -> None:
    """Load those that are missing; where that cannot be done they are not there."""
    missing = [module(each) for each in sorted(BEFOREHAND) if not is_there(each)]
    if missing:
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(
                [_PROGRAM, "--all", "--quiet", *missing],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=_WAIT_S,
                check=False,
            )


def is_there(scheduler: Scheduler, at: Places | None = None) -> bool:
    """Whether IPVS can be asked for it, as `at` has it; that of others it may load itself."""
    at = at or HERE
    if scheduler not in BEFOREHAND or (at.loaded / module(scheduler)).exists():
        return True
    with contextlib.suppress(OSError):
        return f"/{module(scheduler)}.ko".encode() in plain.read(at.built_in, _MOST_BYTES)
    return False


def module(scheduler: Scheduler) -> str:
    """The name of its module."""
    return f"ip_vs_{scheduler.value}"
