"""The first files of the guest: a static busybox, the modules for sharing folders, and /init."""

import shutil
import subprocess
from pathlib import Path

BUSYBOX = Path("/usr/bin/busybox")
MODULES = ("virtio_pci", "virtio_rng", "9pnet_virtio", "9p", "overlay")
INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
while read -r module; do insmod "/modules/$module"; done </modules/order
mount -t 9p -o ro,trans=virtio,version=9p2000.L,cache=loose,msize=1048576 host /lower
mount -t tmpfs -o mode=755 memory /upper
mkdir /upper/files /upper/work
mount -t overlay -o lowerdir=/lower,upperdir=/upper/files,workdir=/upper/work root /new
rm -rf /new/var/lib/sdd /new/etc/sdd
rm -rf /new/etc/systemd/system/sdd* /new/usr/bin/sdd /new/usr/bin/sdctl /new/usr/bin/sdd-dns
mkdir /checkout
mount --bind "/new@checkout@" /checkout
mount -t tmpfs memory /new/tmp
mount -t tmpfs -o mode=755 memory /new/run
mkdir -p "/new@checkout@"
mount --move /checkout "/new@checkout@"
mount -t proc proc /new/proc
mount -t sysfs sysfs /new/sys
mount -t cgroup2 cgroup2 /new/sys/fs/cgroup
mount -t devtmpfs dev /new/dev
mkdir -p /new/dev/pts /new/dev/shm /new/run/out /new/run/netns /new/run/lock
mount -t devpts devpts /new/dev/pts
mount -t tmpfs memory /new/dev/shm
ln -sf /proc/self/fd /new/dev/fd
mount -t 9p -o trans=virtio,version=9p2000.L,msize=1048576 out /new/run/out
umount /sys
exec switch_root /new /bin/sh -c '/bin/bash /run/out/run; sync; echo o >/proc/sysrq-trigger; sleep 60'
"""


def build(archive: Path, kernel: Path, work: Path, checkout: Path) -> None:
    """Writes `archive` (cpio "newc", which the kernel unpacks) from `kernel`'s modules.

    `checkout` is where it was, also when that is below a folder of which the guest has its own.
    """
    shutil.rmtree(work, ignore_errors=True)
    for name in ("bin", "modules", "proc", "sys", "dev", "lower", "upper", "new"):
        (work / name).mkdir(parents=True)
    shutil.copy(BUSYBOX, work / "bin" / "busybox")
    order = _modules(kernel)
    for module in order:
        shutil.copy(module, work / "modules" / module.name)
    (work / "modules" / "order").write_text("".join(f"{module.name}\n" for module in order))
    (work / "init").write_text(INIT.replace("@checkout@", str(checkout)))
    (work / "init").chmod(0o755)
    names = "".join(f"{path.relative_to(work)}\0" for path in sorted(work.rglob("*")))
    with archive.open("wb") as file:
        subprocess.run(
            ["cpio", "--null", "--create", "--format=newc", "--quiet"],
            input=names.encode(),
            cwd=work,
            stdout=file,
            check=True,
        )
    shutil.rmtree(work)


def _modules(kernel: Path) -> list[Path]:
    """MODULES and what they need, in the order to load them; built-in ones have no file."""
    command = ["modprobe", "-d", str(kernel), "-S", kernel.name, "--show-depends", "-a", *MODULES]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    lines = (line.split() for line in done.stdout.splitlines())
    files = [Path(words[1]) for words in lines if words and words[0] == "insmod"]
    return list(dict.fromkeys(files))
