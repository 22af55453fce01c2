"""Hears who refuses on the wire: a handshake answered with a reset, a datagram with "unreachable".

In: what passes the bridges of a host, or is forwarded or translated by it. Out: one call with the
address that refused, within milliseconds: counters tell the same, but only when they are read. Two
small tables send the kernel's log of such packets to one socket. They are owned by this process:
nobody else can change them, and they go with it. Whoever refuses often is told 4 times a second.
Layout: include/uapi/linux/netfilter/nfnetlink_log.h.
"""

import asyncio
import contextlib
import ipaddress
import socket
import struct
from collections.abc import Callable, Iterator
from typing import Never

from lb.kernel import ears
from sdd import errors
from sdd.linux import namespaces, netlink, netlink_own, nft
from sdd.model.network import IPAddress

GROUP = 0x5D5D  # of the kernel's log: one reader each
TABLE = "sdd-signs"
_LOG = 4 << 8  # NFNL_SUBSYS_ULOG
_PACKET, _CONFIG = _LOG, _LOG | 1
_COMMAND, _MODE, _THRESHOLD = 1, 2, 5  # NFULA_CFG_*
_BIND, _COPY_PACKET = 1, 2
_PAYLOAD = 9  # NFULA_PAYLOAD
_COPIED = 64  # bytes of a packet: its addresses are among them
_HEADER = 4  # struct nfgenmsg
_RECEIVE = 1 << 16
_ADDRESSES = {4: slice(12, 16), 6: slice(8, 24)}  # IP version → where the sender stands

# A port that nobody listens on answers a handshake with this number; a connection that ends does
# not. What a bridge carries never comes to the hooks of routing.
_REFUSED = "tcp flags & (fin | syn | rst | ack) == (rst | ack) tcp sequence 0"
_UNREACHABLE = tuple(
    f"{icmp} type destination-unreachable {icmp} code port-unreachable"
    for icmp in ("icmp", "icmpv6")
)


async def follow(
    doors: namespaces.Namespaces,
    told: Callable[[IPAddress], None],
    lost: Callable[[str], None],
    host: str = "",
) -> Never:
    """Tells of every refusal; ends by cancellation. `host` is a namespace's file.

    `lost` hears why when the kernel gives no such signs: counters and checks tell all the same.
    """
    loop = asyncio.get_running_loop()
    with contextlib.ExitStack() as held:
        try:
            heard = await doors.run(host, lambda: _open(held))
        except (errors.SddError, OSError) as exc:
            lost(str(exc))
        else:
            loop.add_reader(heard, ears.drain, heard, refusing, told)
            held.callback(loop.remove_reader, heard)
        await asyncio.Event().wait()
    raise AssertionError("nobody sets the event")


def refusing(datagram: bytes) -> Iterator[IPAddress]:
    """The senders of the packets in a datagram of the log; what is no such thing has none."""
    for kind, _, _, body in netlink.frames(datagram):
        if kind == _PACKET:
            found = netlink.attributes(body[_HEADER:])
            if (sender := _sender(found.get(_PAYLOAD, b""))) is not None:
                yield sender


def _sender(packet: bytes) -> IPAddress | None:
    where = _ADDRESSES.get(packet[0] >> 4) if packet else None
    if where is None or len(packet) < where.stop:
        return None
    return ipaddress.ip_address(packet[where])


def _open(held: contextlib.ExitStack) -> socket.socket:
    """The ear, then the tables; all of it is closed with `held`."""
    heard = ear()
    held.callback(heard.close)
    rules = nft.Nft()
    held.callback(rules.close)
    rules.run(_table("inet", {"forward": "", "input": "ct status dnat "}))
    with contextlib.suppress(errors.KernelRefused):  # a kernel that filters on no bridge
        bridges = nft.Nft()
        held.callback(bridges.close)
        bridges.run(_table("bridge", {"forward": ""}))
    return heard


def ear() -> socket.socket:
    """The one reader of the log group in the calling thread's namespace. Raises OSError."""
    made = socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, netlink.NETFILTER
    )
    try:
        netlink_own.bind(made)
        _listen(made)
        made.setblocking(False)
    except BaseException:
        made.close()
        raise
    return made


def _listen(ear: socket.socket) -> None:
    """Raises OSError when somebody else has the group."""
    body = b"".join(
        (
            struct.pack(">BBH", socket.AF_UNSPEC, 0, GROUP),
            netlink.attribute(_COMMAND, bytes((_BIND,))),
            netlink.attribute(_MODE, struct.pack(">IBx", _COPIED, _COPY_PACKET)),
            netlink.attribute(_THRESHOLD, struct.pack(">I", 1)),  # tell each at once
        )
    )
    flags = netlink.REQUEST | netlink.ACK
    ear.send(struct.pack("=IHHII", 16 + len(body), _CONFIG, flags, 1, 0) + body)
    (code,) = struct.unpack_from("=i", ear.recv(_RECEIVE), 16)
    if code:
        raise OSError(-code, "the kernel's log group is not to be had")


def _table(family: str, chains: dict[str, str]) -> str:
    sets = (
        f"set told{version} {{ type ipv{version}_addr; size 4096; flags dynamic,timeout;"
        " timeout 10s; }"
        for version in (4, 6)
    )
    limited = (
        f"update @told{version} {{ {ip} saddr limit rate 4/second burst 4 packets }}"
        f" log group {GROUP} snaplen {_COPIED}"
        for version, ip in ((4, "ip"), (6, "ip6"))
    )
    hooked = (
        f"chain {hook} {{ type filter hook {hook} priority 0; policy accept;\n"
        + "\n".join(f"{first}{sign} goto told" for sign in (_REFUSED, *_UNREACHABLE))
        + "\n}"
        for hook, first in chains.items()
    )
    told = "chain told {\n" + "\n".join(limited) + "\n}"
    return "\n".join((f"table {family} {TABLE} {{", "flags owner;", *sets, told, *hooked, "}"))


# The same in the namespace of whoever refuses: what it says to itself aside, and of its own only.
INSIDE = "\n".join(
    (
        f"table inet {TABLE} {{",
        "chain output { type filter hook output priority 0; policy accept;",
        *(
            f'oifname != "lo" {sign} limit rate 4/second burst 4 packets'
            f" log group {GROUP} snaplen {_COPIED}"
            for sign in (_REFUSED, *_UNREACHABLE)
        ),
        "}",
        "}",
    )
)
