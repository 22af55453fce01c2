"""Who on a link's wire has which address: asked twice, for a fifth of a second in all.

RFC 5227 waits for seconds because its hosts boot; a neighbour that is up answers within
milliseconds, and a container waits for us.
"""

import asyncio
import contextlib
import ctypes
import socket
import struct
from collections.abc import Collection, Mapping

from netns.kernel import probe_frames
from netns.netlink import address
from sdd.linux import namespaces, netlink
from sdd.model.network import IPAddress

WAIT_S = 0.1  # after each of the rounds
ROUNDS = 2
_FRAME = 256  # bytes: an answer is shorter
_AT_ONCE = 64  # frames per wake-up, so that a flood does not hold the loop
_KINDS = {4: probe_frames.ARP, 6: probe_frames.IPV6}
_MEMBERSHIP = struct.Struct("@iHH8s")  # struct packet_mreq
_SOL_PACKET, _ADD_MEMBERSHIP, _MULTICAST = 263, 1, 0
_ATTACH_FILTER = 26
_INSTRUCTION = struct.Struct("=HBBI")  # struct sock_filter
_PROGRAM = struct.Struct("@HP")  # struct sock_fprog
_LOAD_BYTE, _JUMP_EQUAL, _RETURN = 0x30, 0x15, 0x06  # include/uapi/linux/bpf_common.h
_FILTER = (
    (_LOAD_BYTE, 0, 0, 20),  # IPv6's next header, behind Ethernet's
    (_JUMP_EQUAL, 0, 3, 58),  # ICMPv6
    (_LOAD_BYTE, 0, 0, 54),  # its type
    (_JUMP_EQUAL, 0, 1, 136),  # neighbour advertisement
    (_RETURN, 0, 0, _FRAME),
    (_RETURN, 0, 0, 0),
)

Ears = tuple[socket.socket, ...]


async def ask(
    doors: namespaces.Namespaces, link: str, asked: Collection[IPAddress]
) -> Mapping[IPAddress, str]:
    """Of each of `asked` who has it, in words; empty when nobody answered.

    On a link that is not there or down there is nobody. Ends early when all were answered for.
    """
    try:
        own, ears = await doors.run("", lambda: (_own(), _open(link, asked)))
    except OSError:
        return dict.fromkeys(asked, "")
    hearing = _Hearing(asked, own)
    loop = asyncio.get_running_loop()
    try:
        for ear in ears:
            loop.add_reader(ear, hearing.drain, ear)
        for _ in range(ROUNDS):
            with contextlib.suppress(OSError):  # down, or without room: nobody hears us
                _send(ears, hearing.open())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(WAIT_S):
                    await hearing.complete.wait()
                    break
    finally:
        for ear in ears:
            loop.remove_reader(ear)
            ear.close()
    return hearing.found


class _Hearing:
    """What was answered so far."""

    def __init__(self, asked: Collection[IPAddress], own: Collection[IPAddress]) -> None:
        self.found = {ip: "this host itself" if ip in own else "" for ip in asked}
        self.complete = asyncio.Event()

    def open(self) -> list[IPAddress]:
        """The addresses for which nobody answered yet."""
        return [ip for ip, who in self.found.items() if not who]

    def drain(self, ear: socket.socket) -> None:
        with contextlib.suppress(OSError):  # nothing left to read, or the link went down
            for _ in range(_AT_ONCE):
                self._note(ear.recv(_FRAME))

    def _note(self, frame: bytes) -> None:
        heard = probe_frames.answer(frame)
        if heard is not None and heard[0] in self.found:
            ip, mac = heard
            self.found[ip] = f"another machine, {mac.hex(':')}"
        if not self.open():
            self.complete.set()


def _own() -> frozenset[IPAddress]:
    """The addresses of the calling thread's namespace: no host answers itself."""
    with netlink.Connection(netlink.ROUTE) as connection:
        reports = map(address.of, connection.dump(*address.listing()))
        return frozenset(each.interface.ip for each in reports)


def _open(link: str, asked: Collection[IPAddress]) -> Ears:
    kinds = {_KINDS[ip.version] for ip in asked}
    with contextlib.ExitStack() as stack:
        ears = tuple(stack.enter_context(_ear(link, kind)) for kind in sorted(kinds))
        stack.pop_all()
    return ears


def _ear(link: str, kind: int) -> socket.socket:
    ear = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
    ear.setblocking(False)
    try:
        if kind == probe_frames.IPV6:
            _hear_answers_only(ear, link)
        ear.bind((link, kind))
    except OSError:
        ear.close()
        raise
    return ear


def _hear_answers_only(ear: socket.socket, link: str) -> None:
    """Of all IPv6 on the link neighbour advertisements only, those to everybody included."""
    group = probe_frames.ALL_NODES  # where answers to a question without sender go
    index = socket.if_nametoindex(link)
    wanted = _MEMBERSHIP.pack(index, _MULTICAST, len(group), group)
    ear.setsockopt(_SOL_PACKET, _ADD_MEMBERSHIP, wanted)
    code = ctypes.create_string_buffer(b"".join(_INSTRUCTION.pack(*each) for each in _FILTER))
    program = _PROGRAM.pack(len(_FILTER), ctypes.addressof(code))
    ear.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, program)


def _send(ears: Ears, asked: Collection[IPAddress]) -> None:
    for ear in ears:
        _, kind, _, _, mac = ear.getsockname()
        for ip in asked:
            if _KINDS[ip.version] == kind:
                ear.send(probe_frames.probe(ip, mac))
