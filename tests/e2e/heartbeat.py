"""How long this process stood still though it had a processor: the machine, or its share of it, was stopped."""

import os
import threading
import time
from pathlib import Path
from typing import Final

BEAT_S: Final = 0.01
STOP_S: Final = 0.05  # less is a timer that was not quite in time


class Heartbeat:
    """A thread that only sleeps, and so oversleeps only when it cannot go on."""

    def __init__(self) -> None:
        self._beats = threading.Condition()
        self._number = 0
        self._stopped_s = 0.0
        thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        thread.start()
        self.schedstat = Path(f"/proc/{os.getpid()}/task/{thread.native_id}/schedstat")

    def stopped_s(self) -> float:
        """All stops up to now, one that has just ended included."""
        with self._beats:
            # The beat that is under way may have begun after a stop or before it: the next counts.
            due = self._number + 1
            self._beats.wait_for(lambda: self._number >= due)
            return self._stopped_s

    def _beat(self) -> None:
        own = Path("/proc/thread-self/schedstat")
        at, waited_s = time.monotonic(), kept_waiting_s(own)
        while True:
            time.sleep(BEAT_S)
            now, waits_s = time.monotonic(), kept_waiting_s(own)
            late_s = now - at - BEAT_S - (waits_s - waited_s)
            at, waited_s = now, waits_s
            with self._beats:
                self._number += 1
                self._stopped_s += late_s if late_s > STOP_S else 0.0
                self._beats.notify_all()


def kept_waiting_s(schedstat: Path) -> float:
    """How long a thread was ready to run and others had the processors."""
    return int(schedstat.read_text().split()[1]) / 1e9
