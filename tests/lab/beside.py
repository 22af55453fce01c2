"""A command that runs beside others: what it prints is kept and shown when it is waited for."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


class Beside:
    """`start` once, then `wait` once."""

    def __init__(self, words: Sequence[str], log: Path) -> None:
        self._words = words
        self._log = log
        self._running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """It runs from now on."""
        with self._log.open("wb") as log:
            self._running = subprocess.Popen(
                self._words,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait(self) -> int:
        """Its exit status; all it printed is printed now. Raises LookupError if it never began."""
        if self._running is None:
            raise LookupError("it was never started")
        status = self._running.wait()
        sys.stdout.write(self._log.read_text(errors="replace"))
        sys.stdout.flush()
        return status

    def end(self) -> None:
        """Ends it now if it still runs, with all that it began."""
        if self._running is not None and self._running.poll() is None:
            os.killpg(self._running.pid, signal.SIGTERM)
            self._running.wait()
