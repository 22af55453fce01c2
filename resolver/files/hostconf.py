"""Reads the host's resolv.conf: the one that its own programs use, and the one behind a stub.

In: files of the host. Out: parsed values. A file that is absent or unreadable, and
what is no plain file, says nothing.
"""

from pathlib import Path
from typing import Final

from resolver.files import resolvconf, upstreams
from sdd import lacks, plain
from sdd.model.nameserver import Nameserver

HOST: Final = Path("/etc/resolv.conf")
RESOLVED: Final = Path("/run/systemd/resolve/resolv.conf")
STUB: Final = "127.0.0.53"
FILES: Final = (HOST, RESOLVED)  # what is read, and followed
MOST_BYTES: Final = 1 << 16


def daemon_dns(
    *,
    servers: tuple[Nameserver, ...] = (),
    search: tuple[str, ...] = (),
    options: tuple[str, ...] = (),
    ttl: int = 5,
    rate: int = 2000,
    ca: str = "",
    bind: upstreams.Bind = upstreams.Bind.NAT,
    forwarded: tuple[str, ...] = (),
    host: Path = HOST,
    resolved: Path = RESOLVED,
) -> upstreams.DaemonDns:
    """The daemon's settings with what the host's files say now.

    Our worker asks from the host's namespace, where the stub answers; a sandbox without a server
    of ours needs the servers behind the stub (docker.md R1).
    """
    found = read(host)
    only_stub = [str(each) for each in found.servers] == [STUB]
    return upstreams.DaemonDns(
        servers=servers,
        search=search,
        options=options,
        host=found,
        direct=read(resolved) if only_stub else found,
        ttl=ttl,
        rate=rate,
        ca=ca,
        bind=bind,
        forwarded=forwarded,
    )


def read(path: Path) -> resolvconf.Host:
    """What the file says, of its first 64 KiB.

    Raises `OSError` where nobody can tell for now, as without a descriptor left: that a host has no
    servers is another thing.
    """
    try:
        data = plain.read(path, MOST_BYTES)
    except OSError as exc:
        if lacks.told(exc) is not None:
            raise
        data = b""
    return resolvconf.parse(data.decode("utf-8", errors="replace"), str(path))
