"""A cable that is pulled: the link `eth0` of a namespace is set down, again and again.

sdd sets the link of a sandbox up at once, so setting it down once would be a matter of luck. A
process of its own does it, started before the time counts; run as a program it waits for a line.
"""

import fcntl
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LINK = b"eth0"
PAUSE_S = 0.01
_GET_FLAGS, _SET_FLAGS = 0x8913, 0x8914  # SIOCGIFFLAGS, SIOCSIFFLAGS
_UP = 1  # IFF_UP
_REQUEST = struct.Struct("16sH22x")  # struct ifreq


@contextmanager
def ready(space: str, pause_s: float = PAUSE_S) -> Iterator[Callable[[], None]]:
    """Gives what pulls the cable of the namespace with this file; it is mended at the end."""
    words = ["nsenter", f"--net={space}", sys.executable, "-m", __name__, str(pause_s)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.read(1) == b"."
        process.stdout.close()
        try:
            yield lambda: _say(process)
        finally:
            process.kill()
    mend = ["nsenter", f"--net={space}", "ip", "link", "set", LINK.decode(), "up"]
    subprocess.run(mend, check=True)


def _say(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.write(b"\n")
    process.stdin.flush()


def main() -> None:
    pause_s = float(sys.argv[1])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
        sys.stdout.write(".")
        sys.stdout.flush()
        sys.stdin.readline()
        while True:
            _, flags = _REQUEST.unpack(fcntl.ioctl(door, _GET_FLAGS, _REQUEST.pack(LINK, 0)))
            fcntl.ioctl(door, _SET_FLAGS, _REQUEST.pack(LINK, flags & ~_UP))
            time.sleep(pause_s)  # the pace of the load: nothing is awaited


if __name__ == "__main__":
    main()
