"""Docker Engine as a peer: Debian's, in namespaces of its own that vanish with it.

It is unpacked by tools/unpacked and never installed. Its only image is one static program.
"""

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
BUSYBOX = "/usr/bin/busybox"  # Debian's busybox-static
START_S = 60
OWN = ("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")


class Engine:
    """A running dockerd; commands run where it runs."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self._folder = folder
        self._programs = programs
        self.socket = folder / "docker.sock"
        self._log = (folder / "log").open("wb")
        command = ["dockerd", "--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec"]
        command += ["--host", f"unix://{self.socket}", "--pidfile", f"{folder}/pid"]
        self._process = subprocess.Popen(
            [*OWN, "sh", "-c", 'ip link set lo up; exec "$@"', "sh"]  # noqa: RUF005 - as it is read
            + [str(programs / "run"), *command, "--storage-driver", "vfs"],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )
        self.pid = 0

    def ready(self) -> None:
        """Returns once it answers; raises AssertionError with the end of its log."""
        end = time.monotonic() + START_S
        while not self.socket.exists() or self._docker("version", check=False).returncode:
            assert time.monotonic() < end, self.said()
            assert self._process.poll() is None, self.said()
            time.sleep(0.1)
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        self.pid = int(children.read_text())

    def said(self) -> str:
        """The end of its log."""
        return (self._folder / "log").read_text(errors="replace")[-2000:]

    def docker(self, *words: str) -> str:
        """What a docker command prints; it must succeed."""
        return self._docker(*words, check=True).stdout.strip()

    def _docker(self, *words: str, check: bool) -> subprocess.CompletedProcess[str]:
        command = [str(self._programs / "run"), "docker", "-H", f"unix://{self.socket}", *words]
        return subprocess.run(command, check=check, capture_output=True, text=True)

    def image(self, name: str) -> None:
        """An image of busybox alone."""
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "bin").mkdir()
            shutil.copy(BUSYBOX, Path(folder) / "bin" / "busybox")
            subprocess.run(["tar", "-C", folder, "-cf", f"{folder}.tar", "bin"], check=True)
            self.docker("import", f"{folder}.tar", name)
            os.unlink(f"{folder}.tar")  # noqa: PTH108 - a path beside the folder

    def beside(self) -> tuple[str, ...]:
        """The words that run a command in the engine's own namespaces."""
        return ("nsenter", f"--target={self.pid}", "--mount", "--net")

    def inside(self, container: str) -> tuple[str, ...]:
        """The words that run a command in a container's network namespace."""
        key = self.docker("inspect", "-f", "{{.NetworkSettings.SandboxKey}}", container)
        return (*self.beside(), "nsenter", f"--net={key}")

    def close(self) -> None:
        """Ends it and everything that it started: all of them live in its process namespace."""
        self._process.kill()
        self._process.wait(20)
        self._log.close()


@contextlib.contextmanager
def engine() -> Iterator[Engine | None]:
    """A running engine; None, said with the reason, where it cannot be had or does not run."""
    found = subprocess.run(
        [ROOT / "tools" / "unpacked", "docker"], capture_output=True, text=True, check=False
    )
    if found.returncode:
        print(f"without Docker Engine: {found.stderr.strip()}")
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="sdd-docker-") as folder:
        one = Engine(Path(folder), Path(found.stdout.strip()))
        try:
            one.ready()
        except AssertionError as exc:
            print(f"without Docker Engine, which does not run here: {exc}")
            yield None
        else:
            yield one
        finally:
            one.close()
