"""A world for ports that every node opens: a client behind a router, services of many kinds.

The router drops what comes from where it should not (strict reverse path filters), and so do the
members' own namespaces.
"""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tests.e2e import appliance
from tests.e2e.appliance import RUN, Appliance, run, until
from tests.e2e.test_ports import ECHO

CLIENT, ROUTER = f"t-{RUN}-client", f"t-{RUN}-router"
HOST, HOST6 = "192.0.2.1", "2001:db8:7::1"
HERE, HERE6 = "198.51.100.9", "2001:db8:9::9"
MASKED = "172.18.0.1"  # the host towards the ingress sandbox: the gateway of the second pool

# service → its network, its port (TCP to 80; UDP to 53 has the number after it), its members
SERVICES: Mapping[str, tuple[str, int, tuple[str, ...]]] = {
    "shop": ("front", 8440, ("shop1", "shop2")),
    "safe": ("vault", 8450, ("safe1",)),
    "mac": ("phys", 8460, ("mac1",)),
    "away": ("front", 8470, ("away1",)),
    "plain": ("front", 8480, ("plain1",)),
    "six": ("dual", 8490, ("six1",)),
}
OPTIONS: dict[str, tuple[str, ...]] = {
    "plain": ("--endpoint-mode", "dnsrr"),
    "shop": ("--scheduler", "rr"),
}


ASK = """
import socket, sys
link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
link.settimeout(20)
link.connect((sys.argv[1], int(sys.argv[2])))
link.send(b"hello\\n")
print(link.recv(2048).decode())
"""
# As a server whose socket is connected to whoever asked, while another one goes on listening.
CONNECTED = """
import socket, sys
def made():
    link = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    link.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    link.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    link.bind(("::", int(sys.argv[1])))
    return link
first = made()
while True:
    _, peer = first.recvfrom(2048)
    with made() as link:
        link.connect(peer)
        link.send(f"{sys.argv[2]} [{socket.inet_pton(socket.AF_INET6, peer[0]).hex(':', 2)}]".encode())
"""
PATIENCE_S = "10"  # of curl: what takes longer is lost


@contextmanager
def served(daemon: Appliance, *names: str) -> Iterator[None]:
    """A client, a router, networks of many kinds, and those of SERVICES."""
    with outside(daemon):
        for name, *how in (
            ("front", "--subnet", "10.77.0.0/24"),
            ("vault", "--internal", "--subnet", "10.78.0.0/24"),
            ("phys", "-d", "macvlan", "--subnet", "10.79.0.0/24"),
            ("back", "--subnet", "10.80.0.0/24"),
            ("dual", "--subnet", "10.81.0.0/24", "--ipv6"),
        ):
            daemon.sdctl("network", "create", name, *how)
        for service in names:
            network, number, members = SERVICES[service]
            ports = (f"{number}:80", f"{number + 1}:53/udp", f"{number + 2}:54/udp")
            publish = [word for port in ports for word in ("--publish", port)]
            options = OPTIONS.get(service, ())
            daemon.sdctl("service", "create", service, "--network", network, *publish, *options)
            for name in members:
                more = ("--network", "back,gw-priority=9") if name == "away1" else ()
                daemon.sandbox(name, "--network", network, *more, "--service", service)
                serve(daemon, name)
        daemon.sandbox("near", "--network", "front")
        daemon.sandbox("far", "--network", "back")
        yield


@contextmanager
def outside(daemon: Appliance) -> Iterator[None]:
    """The client's addresses are HERE and HERE6; the host answers by way of the router alone."""
    for name in (CLIENT, ROUTER):
        run("ip", "netns", "add", name)
    try:
        ends = ((daemon.host, "up0", ROUTER, "h0"), (CLIENT, "eth0", ROUTER, "c0"))
        for one, link, other, far in ends:
            peer = ("peer", "name", far, "netns", other)
            run("ip", "-n", one, "link", "add", link, "type", "veth", *peer)
        switches = [f"net.ipv4.conf.{each}.rp_filter=1" for each in ("all", "c0", "h0")]
        switches += ["net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"]
        run("ip", "netns", "exec", ROUTER, "sysctl", "-qw", *switches)
        for where, link, *addresses in (
            (daemon.host, "up0", f"{HOST}/24", f"{HOST6}/64"),
            (ROUTER, "h0", "192.0.2.254/24", "2001:db8:7::fe/64"),
            (ROUTER, "c0", "198.51.100.1/24", "2001:db8:9::1/64"),
            (CLIENT, "eth0", f"{HERE}/24", f"{HERE6}/64"),
        ):
            run("ip", "-n", where, "link", "set", link, "up")
            for each in addresses:
                nodad = ("nodad",) if ":" in each else ()
                run("ip", "-n", where, "addr", "add", each, "dev", link, *nodad)
        for where, via, via6 in (
            (daemon.host, "192.0.2.254", "2001:db8:7::fe"),
            (CLIENT, "198.51.100.1", "2001:db8:9::1"),
        ):
            run("ip", "-n", where, "route", "add", "default", "via", via)
            run("ip", "-n", where, "-6", "route", "add", "default", "via", via6)
        yield
    finally:
        for name in (CLIENT, ROUTER):
            run("ip", "netns", "del", name)


def serve(daemon: Appliance, name: str) -> subprocess.Popen[bytes]:
    """TCP 80; UDP 53 by a socket that belongs to no address, UDP 54 by one that is connected."""
    strict(daemon, name)
    for program, port in ((ECHO, 53), (CONNECTED, 54)):
        daemon.program(name, sys.executable, "-c", program, str(port), name)
        until(lambda: listens(daemon, name, port), appliance.PATIENCE_S, f"{port} listens")  # noqa: B023 - asked at once
    return daemon.serve(name)


def listens(daemon: Appliance, name: str, port: int) -> bool:
    return f":{port} " in daemon.inside(name, "ss", "-Hlun").stdout


def strict(daemon: Appliance, name: str) -> None:
    """Packets that the sandbox would not answer over the same link are dropped in it."""
    links = daemon.inside(name, "ls", "/proc/sys/net/ipv4/conf").stdout.split()
    switches = [f"net.ipv4.conf.{each}.rp_filter=1" for each in links]
    daemon.inside(name, "sysctl", "-qw", *switches)


def get(url: str, where: str = CLIENT) -> str:
    command = ("ip", "netns", "exec", where, "curl", "-s", "-g", "--max-time", PATIENCE_S, url)
    done = run(*command, check=False)
    return done.stdout.strip() if done.returncode == 0 else f"curl ends {done.returncode}"


def on_host(daemon: Appliance, url: str) -> str:
    done = daemon.on_host("curl", "-s", "-g", "--max-time", PATIENCE_S, url, check=False)
    return done.stdout.strip() if done.returncode == 0 else f"curl ends {done.returncode}"


def visits(number: int, count: int = 4) -> set[str]:
    return {get(f"http://{HOST}:{number}/") for _ in range(count)}


def ask(number: int, where: str = CLIENT) -> str:
    """One datagram and its answer, from a socket that takes answers from the right one alone."""
    command = ("ip", "netns", "exec", where, sys.executable, "-c", ASK, HOST, str(number))
    found = run(*command, check=False).stdout.strip()
    return found.replace("[0000:0000:0000:0000:0000:ffff:", "[::ffff:")
