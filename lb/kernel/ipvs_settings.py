"""How IPVS behaves in a sandbox: the per-namespace sysctls and timeouts that make it dependable.

Each value answers a failure seen with the kernel's default (balancing.md §4): clients hanging on a
removed backend, UDP stuck to a dead one for five minutes, reused ports reaching drained backends,
connections reset after a long silence, SYNs lost at a backend behind two virtual addresses. Call
from a thread inside the namespace.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from lb import table
from lb.kernel import ipvs_codec
from sdd import fence
from sdd.model.service import Scheduler

DIRECTORY = Path("/proc/sys/net/ipv4")
TIMEOUTS = ipvs_codec.Timeouts(tcp_s=900, tcp_fin_s=120, udp_s=30)
HASHING = (Scheduler.MH, Scheduler.SH)  # no set: thousands are looked up, by identity
_ALWAYS = MappingProxyType(
    {
        "vs/conntrack": "1",  # a sandbox's own firewall knows a reply: `ct state established`
        "vs/conn_reuse_mode": "1",  # a reused client port is scheduled anew
        "vs/expire_nodest_conn": "1",  # a removed backend's connections end with a reset
        "vs/expire_quiescent_template": "1",  # affinity does not hold on to a drained backend
        "vs/nat_icmp_send": "1",  # errors reach the other side
    }
)


# The same source port towards two virtual addresses is the same connection to a backend that serves
# both, and IPVS gives it no other one. A backend takes a SYN for what it holds in TIME_WAIT only if
# its timestamp is later; 1 gives each destination an offset of its own, 2 none, 0 no timestamps.
_STAMPS, _BY_DESTINATION, _PLAIN = "tcp_timestamps", "1", "2"


def wanted(services: Iterable[table.VirtualService], *, is_ours: bool = False) -> Mapping[str, str]:
    """Name → value; `is_ours`: the namespace is one that sdd made, how it does TCP is its to say.

    With a hashing scheduler a connection that was silent for longer than the timeout finds its
    backend again (sloppy_tcp); with the others it would go to any and be reset anyway.
    """
    sloppy = any(service.scheduler in HASHING for service in services)
    own = {_STAMPS: _PLAIN} if is_ours else {}
    return {**_ALWAYS, "vs/sloppy_tcp": "1" if sloppy else "0", **own}


def differing(want: Mapping[str, str], directory: Path = DIRECTORY) -> Iterator[tuple[str, str]]:
    """(name, value found) of every setting that the kernel has and that is not as wanted."""
    for name, value in want.items():
        try:
            found = (directory / name).read_text().strip()
        except FileNotFoundError:
            continue
        if found != value and (name != _STAMPS or found == _BY_DESTINATION):
            yield name, found


def write(want: Mapping[str, str], directory: Path = DIRECTORY) -> None:
    """Set what differs; raises OSError when the kernel refuses."""
    for name, _ in tuple(differing(want, directory)):
        with fence.writing():
            (directory / name).write_text(want[name])
