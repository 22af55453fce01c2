"""A neighbour of the pretended host, and processes that listen, for tests of what may cross."""

import contextlib
import subprocess
from collections.abc import Iterator
from ipaddress import ip_address

from tests import support
from tests.kernel.netns.conftest import Host, run_in
from tests.kernel.spaces import forward_nothing

HOST4, HOST6 = "192.0.2.1", "2001:db8::1"
THERE4, THERE6 = "192.0.2.9", "2001:db8::9"
PATIENCE_S = 30  # what is sent first may be lost, and the machine may be busy
SILENCE_S = 3  # who is not answered until then is not answered


@contextlib.contextmanager
def neighbour(host: Host, link: str = "up0") -> Iterator[str]:
    """The path of a namespace joined to the host's link `link`; it knows no way to any sandbox."""
    path = str(host.root / f"t-netns-outside-{link}")
    host.doors.create_sync(path)
    forward_nothing(path)
    host.run("ip", "link", "add", link, "type", "veth", "peer", "eth0", "netns", path)
    for where, name, addresses in (
        (host.path, link, (f"{HOST4}/24", f"{HOST6}/64")),
        (path, "eth0", (f"{THERE4}/24", f"{THERE6}/64")),
    ):
        # Without a check for duplicates the first packet finds its neighbour at once.
        run_in(where, "sysctl", "-qw", f"net.ipv6.conf.{name}.accept_dad=0")
        run_in(where, "ip", "link", "set", name, "up")
        for address in addresses:
            nodad = ("nodad",) if ":" in address else ()
            run_in(where, "ip", "addr", "add", address, "dev", name, *nodad)
    try:
        yield path
    finally:
        host.doors.delete_sync(path)


def route(path: str, *subnets: str) -> None:
    """Makes the neighbour know that the subnets are behind the host."""
    for subnet in subnets:
        run_in(path, "ip", "route", "add", subnet, "via", HOST6 if ":" in subnet else HOST4)


@contextlib.contextmanager
def listening(path: str, port: int = 80) -> Iterator[None]:
    """A TCP server in the namespace that says the address of whoever connects."""
    socket = f"TCP6-LISTEN:{port},fork,reuseaddr,ipv6only=0"
    server = subprocess.Popen(
        ["nsenter", f"--net={path}", "socat", socket, "SYSTEM:echo $SOCAT_PEERADDR"],
        stderr=subprocess.DEVNULL,
    )
    try:
        support.eventually(
            lambda: f":{port}" in run_in(path, "ss", "-Hltn"),
            PATIENCE_S,
            f"somebody listens on {port}",
        )
        yield
    finally:
        server.terminate()
        server.wait(10)


def fetch(path: str, address: str, port: int = 80, within_s: int = PATIENCE_S) -> str:
    """The address that the server saw us under; empty when nobody answers in time."""
    target = f"[{address}]" if ":" in address else address
    said = run_in(
        path,
        "socat",
        "-u",
        f"TCP:{target}:{port},connect-timeout={within_s}",
        "STDOUT",
        check=False,
    )
    if " E " in said:
        return ""
    seen = ip_address(said.strip().strip("[]"))
    return str(getattr(seen, "ipv4_mapped", None) or seen)


def pings(path: str, target: str, within_s: int = PATIENCE_S) -> bool:
    """Whether a request is answered in time: one is sent each second, and the first answer ends it."""
    return "bytes from" in run_in(path, "ping", "-c1", f"-w{within_s}", target, check=False)


def limit_s(is_answered: bool) -> int:
    """How long to wait for an answer that is expected, or is not."""
    return PATIENCE_S if is_answered else SILENCE_S
