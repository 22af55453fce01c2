"""How IPVS behaves in a sandbox: the per-namespace sysctls and timeouts that make it dependable.

Each value answers a failure seen with the kernel's default (balancing.md §4): clients hanging on a
removed backend, UDP stuck to a dead one for five minutes, reused ports reaching drained backends,
connections reset after a long silence. Call from a thread inside the namespace.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from lb import table
from lb.kernel import ipvs_codec
from sdd.model.service import Scheduler

DIRECTORY = Path("/proc/sys/net/ipv4/vs")
TIMEOUTS = ipvs_codec.Timeouts(tcp_s=900, tcp_fin_s=120, udp_s=30)
HASHING = frozenset({Scheduler.MH, Scheduler.SH})
_ALWAYS = MappingProxyType(
    {
        "conntrack": "0",  # the client's source stays; nothing else translates these packets
        "conn_reuse_mode": "1",  # a reused client port is scheduled anew
        "expire_nodest_conn": "1",  # a removed backend's connections end with a reset
        "expire_quiescent_template": "1",  # affinity does not hold on to a drained backend
        "nat_icmp_send": "1",  # errors reach the other side
    }
)


def wanted(services: Iterable[table.VirtualService]) -> Mapping[str, str]:
    """Name → value.

    With a hashing scheduler a connection that was silent for longer than the timeout finds its
    backend again (sloppy_tcp); with the others it would go to any and be reset anyway.
    """
    sloppy = any(service.scheduler in HASHING for service in services)
    return {**_ALWAYS, "sloppy_tcp": "1" if sloppy else "0"}


def differing(want: Mapping[str, str], directory: Path = DIRECTORY) -> Iterator[tuple[str, str]]:
    """(name, value found) of every setting that the kernel has and that is not as wanted."""
    for name, value in want.items():
        try:
            found = (directory / name).read_text().strip()
        except FileNotFoundError:
            continue
        if found != value:
            yield name, found


def write(want: Mapping[str, str], directory: Path = DIRECTORY) -> None:
    """Set what differs; raises OSError when the kernel refuses."""
    for name, _ in tuple(differing(want, directory)):
        (directory / name).write_text(want[name])
