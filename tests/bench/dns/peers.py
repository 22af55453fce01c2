"""Other people's DNS servers for the benchmarks, from Debian's packages, with the same names."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from tests.bench.dns.lab import CLIENT, HOST, Server, inside, ready, run

NOTHING: Mapping[str, str] = MappingProxyType({})
BARE = "a bare Python loop"
AARDVARK = "/usr/lib/podman/aardvark-dns"


@contextlib.contextmanager
def peer(space: str, name: str, port: int, command: list[str], asked: str) -> Iterator[Server]:
    """Another server, started inside the namespace; `asked` is a name that it knows."""
    process = subprocess.Popen(
        ["nsenter", f"--net=/run/netns/{space}", *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield ready(Server(name, process.pid, port, inside(space)), asked)
    finally:
        process.terminate()
        process.wait(10)


@contextlib.contextmanager
def dnsmasq(
    space: str, folder: Path, asked: str, names: Mapping[str, str] = NOTHING, upstream: int = 0
) -> Iterator[Server]:
    """Debian's dnsmasq with `names` as host records; other names go to the port `upstream`."""
    config = folder / "dnsmasq.conf"
    lines = ["no-resolv", "no-hosts", "local-ttl=5", "bind-interfaces", f"listen-address={HOST}"]
    lines += ["port=5311", "keep-in-foreground", "user=nobody", "pid-file=", "cache-size=10000"]
    lines += [f"host-record={name},{address}" for name, address in names.items()]
    lines += [f"server={HOST}#{upstream}"] if upstream else []
    config.write_text("\n".join(lines) + "\n")
    with peer(space, "dnsmasq", 5311, ["dnsmasq", "-C", str(config)], asked) as one:
        yield one


@contextlib.contextmanager
def unbound(
    space: str,
    folder: Path,
    asked: str,
    names: Mapping[str, str] = NOTHING,
    *,
    wild: str = "",
    upstream: int = 0,
    port: int = 5312,
    ttl: int = 5,
) -> Iterator[Server]:
    """Debian's unbound, one thread, with `names` as local data, else forwarding to `upstream`.

    Everything below `wild` is one address that may not be remembered.
    """
    config = folder / f"unbound-{port}.conf"
    lines = ["server:", f"  interface: {HOST}@{port}", "  num-threads: 1", "  do-daemonize: no"]
    lines += ['  username: ""', '  chroot: ""', '  pidfile: ""', "  use-syslog: no"]
    lines += ["  access-control: 127.0.0.0/8 allow", "  do-ip6: no", "  module-config: iterator"]
    lines += ["  do-not-query-localhost: no"]
    for name, address in names.items():
        lines += [f'  local-zone: "{name}." static']
        lines += [f'  local-data: "{name}. {ttl} IN A {address}"']
    if wild:
        lines += [f'  local-zone: "{wild}." redirect', f'  local-data: "{wild}. 0 IN A 192.0.2.1"']
    if upstream:
        lines += ["forward-zone:", '  name: "."', f"  forward-addr: {HOST}@{upstream}"]
    config.write_text("\n".join(lines) + "\n")
    with peer(space, "unbound", port, ["unbound", "-d", "-c", str(config)], asked) as one:
        yield one


@contextlib.contextmanager
def bare(space: str, names: Iterable[str]) -> Iterator[Server]:
    """A loop in Python that does nothing but answer (`bare`)."""
    command = [sys.executable, "-m", "tests.bench.dns.bare", HOST, "5314", *names]
    with peer(space, BARE, 5314, command, next(iter(names))) as one:
        yield one


@contextlib.contextmanager
def aardvark(space: str, folder: Path, asked: str, names: Mapping[str, str]) -> Iterator[Server]:
    """Debian's aardvark-dns, the server of Podman's networks, with `names` as containers."""
    config = folder / "aardvark"
    config.mkdir()
    lines = [HOST, f"client {CLIENT}  client"]
    lines += [f"id{n} {address}  {name}" for n, (name, address) in enumerate(names.items())]
    (config / "lab").write_text("\n".join(lines) + "\n")
    # It goes into the background and writes down who it is there.
    run(*inside(space), AARDVARK, "--config", str(config), "--port", "5313", "run")
    pid = int((config / "aardvark.pid").read_text())
    process = os.pidfd_open(pid)
    try:
        yield ready(Server("aardvark-dns", pid, 5313, inside(space)), asked)
    finally:
        signal.pidfd_send_signal(process, signal.SIGTERM)
        os.close(process)
