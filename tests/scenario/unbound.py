"""A real unbound on loopback, with the settings that a test gives it."""

import contextlib
import secrets
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

READY_S = 60.0
FEW_PORTS = 4096
# Begins all settings: it stays in the foreground, as whoever starts it, and out of other folders.
ALONE = """
server:
  username: ""
  chroot: ""
  directory: "{folder}"
  pidfile: ""
  use-syslog: no
  do-daemonize: no
  do-not-query-localhost: no
"""


@contextmanager
def running(settings: str, folder: Path, *ports: int) -> Iterator[None]:
    """It listens on `ports` of 127.0.0.1, as `settings` say, which begin with `ALONE`."""
    file = folder / "unbound.conf"
    file.write_text(settings)
    with (folder / "unbound.log").open("w") as log:
        server = subprocess.Popen(
            ["/usr/sbin/unbound", "-d", "-c", str(file)], stdout=log, stderr=log
        )
        try:
            for each in ports:
                listens(server, each)
            yield
        finally:
            server.terminate()
            server.wait(READY_S)


def listens(server: "subprocess.Popen[bytes]", port: int) -> None:
    """Returns when somebody listens there."""
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        assert server.poll() is None, "unbound ended"
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            threading.Event().wait(0.05)
        else:
            return
    raise AssertionError(f"nobody listens on port {port}")


def free_port() -> int:
    """A port that is free for both transports now, and that the kernel gives nobody by itself."""
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = secrets.choice(range(1024, first)) if first > FEW_PORTS else 0
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
            contextlib.suppress(OSError),
        ):
            udp.bind(("127.0.0.1", port))
            tcp.bind(udp.getsockname())
            return int(udp.getsockname()[1])
