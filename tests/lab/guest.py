"""One boot of the lab kernel: tests of tests/vm or benchmarks run in the guest, reports come back.

The guest's root is the host's files, read-only under a memory overlay (so a test there may write
anywhere and changes nothing here), with /tmp and /run of its own and without what an sdd that is
installed here has: its store, its configuration, its units and commands. Its console is shown from
the moment the tests start. QEMU emulates the processor: no host is asked for virtualisation.
"""

import os
import shlex
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from tests.lab import initramfs

DEADLINE_S = 3600  # all of them take a quarter of an hour, or more where others are at work
TAIL = 40
BEGIN, END = "--- guest: tests begin ---", "--- guest: tests end ---"
SCRATCH = "/var/sdd-lab-tests"  # in the guest alone
PYTHON = f"{sys.prefix}/bin/python"
PACKAGES = ("sdd", "lb", "netns", "resolver", "metrics", "tests")
NO_RESULT = 70  # the guest said no exit status


def run(root: Path, out: Path, words: Sequence[str], deadline_s: float = DEADLINE_S) -> int:
    """Exit status of the guest's pytest, which wrote `out`/vm.xml; NO_RESULT if it did not end."""
    pytest = [PYTHON, "-m", "pytest", "tests/vm", "-m", "vm", "-q"]
    pytest += ["-p", "no:cacheprovider", "-o", "timeout=600", "--color=no"]
    # A systemd that boots in the guest clears /tmp, in whatever order the tests come.
    pytest += [f"--basetemp={SCRATCH}", "--junit-xml=/run/out/vm.xml", *words]
    (out / "vm.xml").unlink(missing_ok=True)
    return boot(root, out, shlex.join(pytest), deadline_s)


def bench(root: Path, out: Path, module: str) -> int:
    """Exit status of one benchmark in the guest; its rows are added to `out`/bench.jsonl there."""
    command = f"BENCH_JSON=/run/out/bench.jsonl {PYTHON} -m {shlex.quote(module)}"
    return boot(root, out, command, DEADLINE_S)


def boot(root: Path, out: Path, command: str, deadline_s: float) -> int:
    """Exit status of a shell command in the guest, in `root`; `out` is its /run/out."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "status").unlink(missing_ok=True)
    kernel = _kernel(root)
    if kernel is None:
        return NO_RESULT
    _compiled(root)
    archive = out / "initramfs"
    initramfs.build(archive, kernel, out / "files", root)
    (out / "run").write_text(_script(root, kernel, command))
    _boot(_qemu(kernel, archive, out), out / "console.log", deadline_s)
    status = out / "status"
    if not status.exists():
        tail = (out / "console.log").read_text(errors="replace").splitlines()[-TAIL:]
        print(f"vm: the guest did not finish within {deadline_s} s; the end of its console:")
        print(*tail, sep="\n")
        return NO_RESULT
    return int(status.read_text())


def _kernel(root: Path) -> Path | None:
    done = subprocess.run(
        [root / "tools" / "lab-kernel"], stdout=subprocess.PIPE, text=True, check=False
    )
    return Path(done.stdout.strip()) if done.returncode == 0 else None


def _compiled(root: Path) -> None:
    """Python's own files of what the guest runs.

    It writes none, and without them each process there would translate all that it imports.
    """
    words = [PYTHON, "-m", "compileall", "-q", *PACKAGES]
    subprocess.run(words, cwd=root, stdin=subprocess.DEVNULL, check=False)


def _script(root: Path, kernel: Path, command: str) -> str:
    """What the guest's first process does after it switched to the shared root."""
    return f"""
    export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
    export SDD_LAB_KERNEL=1 PYTHONDONTWRITEBYTECODE=1
    mkdir -p /usr/lib/modules
    mount --bind {shlex.quote(str(kernel / "lib" / "modules"))} /usr/lib/modules
    ip link set lo up
    hostname lab
    cd {shlex.quote(str(root))}
    echo; echo "{BEGIN}"
    {command} </dev/null
    echo $? >/run/out/status
    echo "{END}"
    """


def _qemu(kernel: Path, archive: Path, out: Path) -> list[str]:
    share = "local,security_model=none,multidevs=remap"
    return [
        *("qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max"),
        *("-smp", str(min(os.cpu_count() or 1, 4)), "-m", "2048"),
        *("-display", "none", "-serial", "stdio", "-monitor", "none", "-no-reboot", "-nic", "none"),
        *("-kernel", str(kernel / "vmlinuz"), "-initrd", str(archive)),
        *("-append", "console=ttyS0 quiet panic=-1 mitigations=off"),
        *("-virtfs", f"{share},path=/,mount_tag=host,readonly=on"),
        *("-virtfs", f"{share},path={out},mount_tag=out"),
    ]


def _boot(command: list[str], console: Path, deadline_s: float) -> None:
    """Returns when the guest is off, or ended at the deadline."""
    with (
        console.open("w") as log,
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as qemu,
    ):
        timer = threading.Timer(deadline_s, qemu.kill)
        timer.start()
        try:
            shown = False
            assert qemu.stdout is not None
            for line in qemu.stdout:
                log.write(line)
                log.flush()
                shown = (shown or BEGIN in line) and END not in line
                if shown and BEGIN not in line:
                    print(line.rstrip(), flush=True)
        finally:
            timer.cancel()  # else whoever ends us waits for it, for an hour
