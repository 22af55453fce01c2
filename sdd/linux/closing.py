"""Closes netfilter sockets a little later, so that nobody waits for it.

After a transaction that deletes, whoever next closes a netfilter socket in that namespace waits for
an RCU grace period, 10 ms and more (net/netfilter/nf_tables_api.c, nf_tables_rcv_nl_event). A
moment later it is over, and closing is free.
"""

import queue
import threading
import time
from collections.abc import Callable

LATER_S = 0.05  # some grace periods
MOST = 128  # waiting at a time: each is an open descriptor, and libnftables needs low ones
Close = Callable[[], object]


class Closer:
    """One thread, made when it is first needed; what is left at the process's end ends with it.

    While `MOST` wait, whoever comes waits for its own: changes that never pause are made no faster
    than the kernel forgets them.
    """

    def __init__(self, later_s: float = LATER_S) -> None:
        self._later_s = later_s
        self._due: queue.SimpleQueue[tuple[float, Close]] = queue.SimpleQueue()
        self._once = threading.Lock()
        self._thread: threading.Thread | None = None

    def later(self, close: Close) -> None:
        """`close` is called soon, in another thread; it must not raise."""
        if self._due.qsize() >= MOST:
            close()
            return
        self._due.put((time.monotonic() + self._later_s, close))
        if self._thread is None:
            with self._once:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="closing", daemon=True)
                    self._thread.start()

    def _run(self) -> None:
        while True:
            due, close = self._due.get()
            time.sleep(max(0.0, due - time.monotonic()))
            close()


later = Closer().later
