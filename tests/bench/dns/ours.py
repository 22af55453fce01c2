"""Our DNS worker for the benchmarks: the real process, taught as sdd would teach it.

It gets sockets that were opened inside the namespace, one table and its upstreams.
"""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from resolver import alike, protocol
from resolver.message import wire
from sdd.linux import namespaces
from tests.bench.dns.lab import HOST, OURS, Server, inside


@contextlib.contextmanager
def worker(
    space: str,
    names: Mapping[str, str],
    upstreams: tuple[protocol.Upstream, ...] = (),
) -> Iterator[Server]:
    """Our worker, serving `names` (name → IPv4 address) in the namespace."""
    doors = namespaces.Namespaces()
    udp, tcp = doors.run_sync(f"/run/netns/{space}", _listeners)
    with tempfile.TemporaryDirectory(dir="/run") as folder:
        Path(folder).chmod(0o755)
        door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        door.bind(f"{folder}/dns.sock")
        door.listen(4)
        process = subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{space}", sys.executable, "-m", "resolver.worker"],
            preexec_fn=lambda: os.dup2(door.fileno(), 3),  # noqa: PLW1509 - one thread here
            pass_fds=(3, door.fileno()),
        )
        try:
            link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            link.connect(f"{folder}/dns.sock")
            protocol.decode_from_worker(link.recv(protocol.MOST_BYTES))
            _teach(link, udp, tcp, names, upstreams)
            yield Server(OURS, process.pid, udp.getsockname()[1], inside(space))
        finally:
            process.terminate()
            process.wait(10)
            doors.close()


def _listeners() -> tuple[socket.socket, socket.socket]:
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    for each in (udp, tcp):
        each.bind((HOST, 0))
    tcp.listen(64)
    return udp, tcp


def _teach(
    link: socket.socket,
    udp: socket.socket,
    tcp: socket.socket,
    names: Mapping[str, str],
    upstreams: tuple[protocol.Upstream, ...],
) -> None:
    table: protocol.Names = {
        wire.to_wire(name): {wire.A: [wire.record(wire.A, 5, socket.inet_aton(address))]}
        for name, address in names.items()
    }
    listening = protocol.Listening(0, udp.getsockname()[1], tcp.getsockname()[1])
    view = protocol.View("box", "v", ["net"], [], {}, list(upstreams))
    link.send(protocol.encode(protocol.TablePart("net", list(alike.groups(table)))))
    link.send(protocol.encode(protocol.TableEnd("net", "t")))
    link.send(protocol.encode(view))
    message = protocol.encode(protocol.Listen("box", listening))
    socket.send_fds(link, [message], [udp.fileno(), tcp.fileno()])
    link.send(protocol.encode(protocol.Apply(1)))
    applied = protocol.decode_from_worker(link.recv(protocol.MOST_BYTES))
    assert isinstance(applied, protocol.Applied), applied
    assert not applied.problems, applied
