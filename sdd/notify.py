"""What systemd wants to hear (sd_notify(3)), and the sockets it may have opened (sd_listen_fds(3)).

In: the environment. Out: datagrams to `NOTIFY_SOCKET`, also with sockets that it is to keep over a
restart; sockets by name. Without systemd every verb
does nothing, so callers need no condition.
"""

import os
import select
import socket
from collections.abc import Collection, Mapping, MutableMapping

FIRST_FD = 3  # SD_LISTEN_FDS_START
USEC = 1_000_000
PATIENCE_S = 2.0  # the manager is the first process and answers at once, or something is wrong


class Notifier:
    """Speaks to the service manager at `address`; an empty address means there is none."""

    def __init__(self, address: str) -> None:
        # A leading @ is an abstract socket, written with a NUL in the kernel's form.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address

    def ready(self, status: str) -> None:
        """The daemon serves; also ends a reload."""
        self._send("READY=1", f"STATUS={status}")

    def reloading(self, monotonic_s: float) -> None:
        """A reload began at `monotonic_s` on CLOCK_MONOTONIC."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={int(monotonic_s * USEC)}")

    def stopping(self) -> None:
        """The daemon ends on purpose."""
        self._send("STOPPING=1", "STATUS=stopping")

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._send(f"STATUS={text}")

    def watchdog(self) -> None:
        """Still alive."""
        self._send("WATCHDOG=1")

    def keep(self, name: str, descriptor: int) -> None:
        """The manager keeps a copy, and passes it to the next process under that name."""
        self._send("FDSTORE=1", f"FDNAME={name}", "FDPOLL=0", descriptors=[descriptor])

    def drop(self, names: Collection[str]) -> None:
        """The manager closes the copies of these names; returns when it has, or after 2 s."""
        for name in names:
            self._send("FDSTOREREMOVE=1", f"FDNAME={name}")
        if not (self._address and names):
            return
        reading, writing = os.pipe()
        try:
            self._send("BARRIER=1", descriptors=[writing])
        finally:
            os.close(writing)
        with open(reading, "rb", buffering=0) as pipe:  # noqa: PTH123 - a descriptor
            # It closes its end when all that was said before is done (sd_notify_barrier(3)).
            waiting = select.poll()  # select() knows no descriptor from 1024 on
            waiting.register(pipe, 0)
            waiting.poll(PATIENCE_S * 1000)

    def _send(self, *lines: str, descriptors: Collection[int] = ()) -> None:
        if not self._address:
            return
        text = "\n".join(line.replace("\n", " ") for line in lines)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as link:
                link.settimeout(PATIENCE_S)
                link.connect(self._address)
                if descriptors:
                    socket.send_fds(link, [text.encode()], list(descriptors))
                else:
                    link.send(text.encode())
        except OSError:
            # A manager that is gone must not stop the daemon; the watchdog is its own remedy.
            return


def take_address(environment: MutableMapping[str, str]) -> str:
    """`NOTIFY_SOCKET`, removed from the environment so that no child speaks in our name."""
    return environment.pop("NOTIFY_SOCKET", "")


def watchdog_interval_s(environment: Mapping[str, str], pid: int) -> float | None:
    """Seconds between two `watchdog` calls (half of the limit), None when nobody watches us."""
    if environment.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    usec = environment.get("WATCHDOG_USEC", "")
    if not (usec.isascii() and usec.isdigit() and int(usec)):
        return None
    return int(usec) / USEC / 2


def take_sockets(
    environment: MutableMapping[str, str], pid: int, first: int = FIRST_FD
) -> tuple[tuple[str, socket.socket], ...]:
    """The (name, listening socket) pairs of socket activation; the variables are removed.

    Empty when there are none or they are meant for another process.
    """
    meant_for = environment.pop("LISTEN_PID", "")
    count = environment.pop("LISTEN_FDS", "")
    names = environment.pop("LISTEN_FDNAMES", "").split(":")
    if meant_for != str(pid) or not (count.isascii() and count.isdigit()):
        return ()
    found = []
    for index in range(int(count)):
        listening = socket.socket(fileno=first + index)
        listening.set_inheritable(False)
        found.append((names[index] if index < len(names) else "unknown", listening))
    return tuple(found)
