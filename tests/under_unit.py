"""A command under what a shipped unit takes away, without a systemd that runs.

    python -m tests.under_unit sdd.service COMMAND [ARGUMENT]…

In: the unit's own lines. Out: the command, with the capabilities and under the filters of system
calls that systemd 252 makes of them (src/shared/seccomp-util.c). What needs a real systemd is tested
in tests/vm/test_systemd.py. A directive that this does not know is an error, so that none is
forgotten; those that take no right away are listed.
"""

import ctypes
import errno
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from resolver.worker.confine import LIBRARY, Compare, Condition

UNITS: Final = Path(__file__).parents[1] / "systemd"
KNOWN: Final = frozenset(
    {
        *("CapabilityBoundingSet", "NoNewPrivileges", "RestrictSUIDSGID", "RestrictNamespaces"),
        *("RestrictAddressFamilies", "SystemCallFilter", "SystemCallErrorNumber"),
    }
)
# Of things that no line of ours does: other personalities, realtime, other architectures' calls.
APART: Final = frozenset({"LockPersonality", "RestrictRealtime", "SystemCallArchitectures"})
HARMLESS: Final = frozenset(
    {
        *("Type", "NotifyAccess", "ExecStartPre", "ExecStart", "ExecReload", "WatchdogSec"),
        *("TimeoutStartSec", "TimeoutStopSec", "Restart", "RestartSec", "KillMode"),
        *("FileDescriptorStoreMax", "OOMScoreAdjust", "LimitNOFILE", "TasksMax", "Environment"),
        "UMask",
    }
)
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000  # seccomp.h: SCMP_ACT_ALLOW, SCMP_ACT_ERRNO
_NAMESPACES: Final = {
    "cgroup": 0x02000000,
    "uts": 0x04000000,
    "ipc": 0x08000000,
    "user": 0x10000000,
    "pid": 0x20000000,
    "net": 0x40000000,
    "mnt": 0x00020000,
}
_MODES: Final = {"chmod": 1, "fchmod": 1, "fchmodat": 2, "mkdir": 1, "mkdirat": 2, "mknod": 1}


class Refused(NamedTuple):
    """A call that fails with `error` when the condition holds; always when there is none."""

    call: str
    error: int
    condition: Condition | None = None


def directives(unit: str) -> Mapping[str, str]:
    """What the section [Service] says; of a list of lines all words, as systemd adds them up."""
    found: dict[str, str] = {}
    section = (UNITS / unit).read_text().split("[Service]\n", 1)[1].split("\n[", 1)[0]
    for line in section.splitlines():
        if line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found[key] = f"{found[key]} {value}" if key in found else value
    if unknown := found.keys() - KNOWN - APART - HARMLESS:
        raise ValueError(f"{unit}: what does {', '.join(sorted(unknown))} take away?")
    return found


def calls(words: str) -> Iterator[str]:
    """The names that a list of calls and groups means, by systemd's own word."""
    for word in words.split():
        if not word.startswith("@"):
            yield word
            continue
        command = ("systemd-analyze", "syscall-filter", word)
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        lines = [line.strip() for line in done.stdout.splitlines()[1:]]
        yield from calls(" ".join(line for line in lines if line and not line.startswith("#")))


def refused(lines: Mapping[str, str]) -> Iterator[Refused]:
    """What the Restrict… lines refuse."""
    if "RestrictNamespaces" in lines:
        yield Refused("clone3", errno.ENOSYS)  # its flags lie in memory
        yield Refused("setns", errno.EPERM, Condition(1, Compare.IS, 0))
        for name in _NAMESPACES.keys() - set(lines["RestrictNamespaces"].split()):
            flag = _NAMESPACES[name]
            for call, argument in (("unshare", 0), ("clone", 0), ("setns", 1)):
                condition = Condition(argument, Compare.MASKED, flag, flag)
                yield Refused(call, errno.EPERM, condition)
    if "RestrictAddressFamilies" in lines:
        given = {getattr(socket, each) for each in lines["RestrictAddressFamilies"].split()}
        for family in set(range(max(given))) - given:
            condition = Condition(0, Compare.IS, family)
            yield Refused("socket", errno.EAFNOSUPPORT, condition)
        condition = Condition(0, Compare.MORE, max(given))
        yield Refused("socket", errno.EAFNOSUPPORT, condition)
    if lines.get("RestrictSUIDSGID") == "yes":
        yield Refused("openat2", errno.ENOSYS)  # its mode lies in memory
        for call, argument in _MODES.items():
            for bit in (stat.S_ISUID, stat.S_ISGID):
                condition = Condition(argument, Compare.MASKED, bit, bit)
                yield Refused(call, errno.EPERM, condition)


def confine(lines: Mapping[str, str]) -> None:
    """This process and its children make no call any more that the unit refuses."""
    library = ctypes.CDLL(LIBRARY)
    library.seccomp_init.restype = ctypes.c_void_p
    number = getattr(errno, lines["SystemCallErrorNumber"])
    listed = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(_REFUSE | number)))
    for name in {*calls("@default"), *calls(lines["SystemCallFilter"])}:
        call = library.seccomp_syscall_resolve_name(name.encode())
        if call >= 0:  # others are of other architectures
            _check(library.seccomp_rule_add_array(listed, ctypes.c_uint32(_ALLOW), call, 0, None))
    restricted = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(_ALLOW)))
    for each in refused(lines):
        call = library.seccomp_syscall_resolve_name(each.call.encode())
        conditions = (Condition * 1)(*([] if each.condition is None else [each.condition]))
        action, count = ctypes.c_uint32(_REFUSE | each.error), int(each.condition is not None)
        _check(library.seccomp_rule_add_array(restricted, action, call, count, conditions))
    # The list last, which may take seccomp(2) away.
    for made in (restricted, listed):
        _check(library.seccomp_load(made))


def _check(result: int) -> None:
    if result < 0:
        raise OSError(-result, os.strerror(-result), "seccomp")


def words(unit: str) -> tuple[str, ...]:
    """What begins the command line of a program that is to run so."""
    names = directives(unit)["CapabilityBoundingSet"].lower().replace("cap_", "+").split()
    bounds = ",".join(("-all", *names))
    itself = (sys.executable, "-m", "tests.under_unit", unit)
    return ("setpriv", f"--bounding-set={bounds}", "--no-new-privs", *itself)


def main() -> None:
    confine(directives(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
