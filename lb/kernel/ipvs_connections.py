"""IPVS's table of connections, as /proc shows it in a network namespace.

Format: net/netfilter/ipvs/ip_vs_conn.c, ip_vs_conn_seq_show: hexadecimal, IPv6 with colons.
"""

from collections.abc import Collection, Iterable
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from sdd.model.network import IPAddress
from sdd.model.port import Protocol

# One side has said its last; the other may send for as long as it likes (RFC 9293 §3.6).
_HALF_CLOSED = frozenset(
    ("FIN_WAIT", "CLOSE_WAIT", "SHUTDOWN_SENT", "SHUTDOWN_RECEIVED", "SHUTDOWN_ACK_SENT")
)
FILE = Path("/proc/thread-self/net/ip_vs_conn")
_COLUMNS = 8  # protocol, client, port, virtual address, port, backend, port, state


def backend_of(
    lines: Iterable[str],
    vip: IPAddress,
    source_port: int,
    protocol: Protocol = Protocol.TCP,
    client: IPAddress | None = None,
) -> IPAddress | None:
    """The backend of the connection from `source_port` (of `client`) to `vip`, if there is one."""
    for line in lines:
        words = line.split()
        if len(words) < _COLUMNS or words[0] != protocol.upper():
            continue
        if client is not None and _address(words[1]) != client:
            continue
        if _address(words[3]) == vip and int(words[2], 16) == source_port:
            return _address(words[5])
    return None


def half_closed(lines: Iterable[str]) -> Collection[tuple[IPAddress, IPAddress]]:
    """Virtual address and backend of connections that are open in one direction only."""
    found = set()
    for line in lines:
        words = line.split()
        if len(words) >= _COLUMNS and words[7] in _HALF_CLOSED:
            found.add((words[3], words[5]))
    return {(_address(vip), _address(backend)) for vip, backend in found}


def _address(text: str) -> IPAddress:
    plain = text.strip("[]")
    return IPv6Address(plain) if ":" in plain else IPv4Address(int(plain, 16))
