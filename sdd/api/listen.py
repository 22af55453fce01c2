"""URL → a listening unix socket that only the right people can open."""

import os
import socket
from pathlib import Path

from sdd import errors
from sdd.api import peercred
from sdd.model import listener

MODE = 0o660  # root and the group `sdd`; others are refused by the kernel
BACKLOG = 128


def unix(url: str) -> socket.socket:
    """Listens at `unix:///PATH`; a socket file that nobody serves any more is replaced.

    Raises Conflict when another daemon answers there, Invalid for a path that cannot be.
    """
    path = Path(url.removeprefix("unix://"))
    if why := listener.too_long(str(path)):
        raise errors.Invalid(
            f"cannot listen at {path}: {why}", hint="choose a shorter one", code="SDD-API-SOCKET"
        )
    _clear(path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        listening.bind(str(path))
        # Between bind and listen nobody can connect, so there is no moment of wrong permissions.
        group = peercred.group()
        os.chown(path, -1, -1 if group is None else group)
        path.chmod(MODE)
        listening.listen(BACKLOG)
    except OSError as exc:
        listening.close()
        raise errors.Invalid(
            f"cannot listen at {path}: {exc.strerror}", code="SDD-API-SOCKET"
        ) from None
    listening.setblocking(False)
    return listening


def _clear(path: Path) -> None:
    if not path.is_socket():
        if path.exists():
            raise errors.Invalid(f"{path} exists and is no socket", code="SDD-API-SOCKET")
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except OSError as exc:
            raise errors.Invalid(
                f"cannot tell who serves {path}: {exc.strerror}", code="SDD-API-SOCKET"
            ) from None
    raise errors.Conflict(
        f"another sdd already answers at {path}",
        hint="stop it first, or give this one --host, --data-root and --exec-root of its own",
        code="SDD-API-TAKEN",
    )
