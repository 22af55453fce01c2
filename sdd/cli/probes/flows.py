"""What only packets can show: connections on the loopback of a scratch namespace.

Each raises `errors.KernelRefused` or OSError when the kernel does not do it.
"""

import socket
import struct

from sdd import errors
from sdd.linux import netlink

_NEWLINK = 16
_LINK = struct.Struct("=BxHiII")  # struct ifinfomsg
_UP = 1  # IFF_UP
_LOOPBACK = 1  # its index, in every namespace
_LIST = 1 << 8 | 1  # NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_GET
_ANY = struct.pack(">BBH", socket.AF_INET, 0, 0)  # struct nfgenmsg
_ASKED, _GIVEN = 10001, 10002  # ports: nobody else is in the namespace
_PATIENCE_S = 2.0
_HOST = "127.0.0.1"
_TRACK = """
table inet sdd-probe-track {
  chain out {
    type filter hook output priority 0
    ct state new accept
  }
}
"""
_LEAD = f"""
table ip sdd-probe-sctp {{
  chain out {{
    type nat hook output priority -100
    sctp dport {_ASKED} dnat to {_HOST}:{_GIVEN}
  }}
}}
"""


def conntrack() -> None:
    """A datagram is found in the kernel's list of connections (ctnetlink)."""
    _loopback_up()
    _run(_TRACK)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.sendto(b"", (_HOST, _ASKED))
    with netlink.Connection(netlink.NETFILTER) as connection:
        if not connection.dump(_LIST, _ANY):
            raise errors.KernelRefused("it lists no connections")


def sctp() -> None:
    """An SCTP connection to one port arrives at another, where a rule leads it."""
    _loopback_up()
    kind = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP)
    with socket.socket(*kind) as server, socket.socket(*kind) as client:
        server.bind((_HOST, _GIVEN))
        server.listen(1)
        _run(_LEAD)
        client.settimeout(_PATIENCE_S)
        try:
            client.connect((_HOST, _ASKED))
        except OSError as exc:
            why = (exc.strerror or str(exc)).lower()
            raise errors.KernelRefused(f"its packets are not translated: {why}") from exc


def _run(rules: str) -> None:
    from sdd.linux.nft import Nft  # as kernel.py does: it takes time to load

    with Nft() as nft:
        nft.run(rules)


def _loopback_up() -> None:
    body = _LINK.pack(0, 0, _LOOPBACK, _UP, _UP)
    with netlink.Connection(netlink.ROUTE) as connection:
        (result,) = connection.request((netlink.Message(_NEWLINK, 0, body),))
    if result.error:
        raise errors.KernelRefused(f"loopback cannot be switched on: {result}")
