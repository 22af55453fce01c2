"""A sandbox whose upstreams are of both families, asked by turns through the same sockets."""

import dataclasses
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from resolver.files import upstreams
from resolver.space import outward
from sdd.model import nameserver
from sdd.model.forwardzone import ForwardZone
from sdd.state import Object
from tests import resolver_states as states
from tests.kernel.resolver.town import Town
from tests.scenario import certificates

HOSTS = {"four.test": "10.44.9.9", "six.test": "fd44::9"}
SAYS = "192.0.2.77"
TRANSPORTS = ("udp", "tcp", "tls")
ROUND = max(outward.COUNTS) + 1  # so many questions one after the other meet every socket
# Answers over UDP, TCP and TLS on each address; a connection ends with its answer.
SERVER = """
import socket, ssl, sys, threading
import dns.message, dns.rrset

chain, key, says, *hosts = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(chain, key)

def reply(data):
    query = dns.message.from_wire(data)
    reply = dns.message.make_response(query)
    reply.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", "A", says))
    return reply.to_wire()

def datagrams(link):
    while True:
        data, peer = link.recvfrom(4096)
        link.sendto(reply(data), peer)

def streams(link, wrap):
    while True:
        peer, _ = link.accept()
        try:
            with wrap(peer) as open_one:
                size = int.from_bytes(open_one.recv(2), "big")
                said = reply(open_one.recv(size))
                open_one.sendall(len(said).to_bytes(2, "big") + said)
        except OSError:
            pass

def plain(peer):
    return peer

def encrypted(peer):
    peer.settimeout(20)
    return context.wrap_socket(peer, server_side=True)

def bound(host, kind, port):
    link = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind)
    link.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    link.bind((host, port))
    if kind == socket.SOCK_STREAM:
        link.listen()
    return link

for host in hosts:
    for work, *args in (
        (datagrams, bound(host, socket.SOCK_DGRAM, 53)),
        (streams, bound(host, socket.SOCK_STREAM, 53), plain),
        (streams, bound(host, socket.SOCK_STREAM, 853), encrypted),
    ):
        threading.Thread(target=work, args=args, daemon=True).start()
print("up", flush=True)
sys.stdin.read()
"""


@contextmanager
def serving(town: Town, trusted: certificates.Certificates) -> Iterator[None]:
    """A server on each address, a link away from `ann`: over `lo` the kernel is kinder."""
    for host in HOSTS.values():
        add(town, "far", host, "lo")
    files = (str(trusted.chain), str(trusted.key))
    process = subprocess.Popen(
        [
            *("nsenter", f"--net={town.path('far')}", sys.executable, "-c", SERVER),
            *(*files, SAYS, *HOSTS.values()),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        link(town, process.pid)
        yield
    finally:
        process.kill()
        process.communicate()


def link(town: Town, far: int) -> None:
    """Between `ann` and the namespace of the process, which is `far`, with ways over it."""
    peer = ("peer", "name", "near", "netns", str(far))
    town.inside("ann", "ip", "link", "add", "far", "type", "veth", *peer)
    for name, device, number in (("ann", "far", 1), ("far", "near", 2)):
        town.inside(name, "ip", "link", "set", device, "up")
        add(town, name, f"10.44.8.{number}/24", device)
        add(town, name, f"fd44:8::{number}/64", device)
    for host, gateway in zip(HOSTS.values(), ("10.44.8.2", "fd44:8::2"), strict=True):
        town.inside("ann", "ip", *family(host), "route", "add", host, "via", gateway)


def add(town: Town, name: str, address: str, device: str) -> None:
    nodad = ("nodad",) if family(address) else ()
    town.inside(name, "ip", *family(address), "address", "add", address, "dev", device, *nodad)


def family(address: str) -> tuple[str, ...]:
    return ("-6",) if ":" in address else ()


def world(town: Town, transport: str) -> list[Object]:
    """`ann`, who asks another server for each zone."""
    name = f"#{certificates.NAME}" if transport == "tls" else ""

    def zone(name_of: str, host: str) -> ForwardZone:
        literal = f"[{host}]" if ":" in host else host
        return ForwardZone(zone=name_of, server=nameserver.parse(f"{transport}://{literal}{name}"))

    red = dataclasses.replace(
        states.net("red"), dns_zones=tuple(zone(*each) for each in HOSTS.items())
    )
    box = states.box("ann", town.path("ann"))
    return [red, box, states.plug("ann", "red", "10.44.1.2/24")]


def answers(town: Town, zone: str, label: str) -> list[str]:
    """To a round of questions for the zone's server that nobody has asked before."""
    names = (f"{label}-{each}.{zone}" for each in range(ROUND))
    return town.dig("ann", *names).split()


async def by_turns(town: Town, *transports: str) -> list[str]:
    """Who is not heard when v4, v6, v4, v6 are asked, each as often as there are sockets."""
    for name in ("ann", "far"):
        await town.make(name)
    deaf: list[str] = []
    with certificates.made() as trusted, serving(town, trusted):
        daemon = town.daemon(upstreams.DaemonDns(ca=str(trusted.authority)))
        for transport in transports:
            await town.settle(daemon, *world(town, transport))
            for number, zone in enumerate((*HOSTS, *HOSTS)):
                said = answers(town, zone, f"{transport}{number}")
                if said != [SAYS] * ROUND:
                    deaf.append(f"{zone} over {transport} in turn {number}: {said}")
    return deaf
