"""A DNS worker that can open nothing more from SIGUSR1 on, and as much as before from SIGUSR2 on."""

import os
import resource
import signal

from resolver.worker import process

SOFT, HARD = resource.getrlimit(resource.RLIMIT_NOFILE)


def narrow(*_: object) -> None:
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, HARD))


def widen(*_: object) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (SOFT, HARD))


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, narrow)
    signal.signal(signal.SIGUSR2, widen)
    process.main()
