"""Launchers on one exec-root and the workers that they started."""

import os
from pathlib import Path

from resolver.control import launch


class Bench:
    """Launchers on one exec-root and the workers that they started."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.made: list[launch.Launcher] = []
        self.told: list[launch.Change] = []

    def speak(self, release: str) -> None:
        """Which release of the protocol odd workers are of."""
        self.root.mkdir(parents=True, exist_ok=True)
        self.root.joinpath("release").write_text(release)

    def steps(self) -> list[tuple[launch.Step, int]]:
        return [(each.step, each.pid) for each in self.told]

    def launcher(
        self,
        module: str = launch.MODULE,
        *,
        quic: bool = False,
        user: str = "nobody",
        manager: int = launch.MANAGER,
    ) -> launch.Launcher:
        one = launch.Launcher(self.root, user, module=module, quic=quic, manager=manager)
        one.subscribe(self.told.append)
        self.made.append(one)
        return one

    def workers(self) -> set[int]:
        """Living workers of this test: each says whose it is."""
        mark = str(self.root).encode()
        found = set()
        for path in Path("/proc").glob("[0-9]*"):
            try:
                alive = path.joinpath("stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
                if alive and mark in path.joinpath("cmdline").read_bytes().split(b"\0"):
                    found.add(int(path.name))
            except OSError:
                continue
        return found - {os.getpid()}
