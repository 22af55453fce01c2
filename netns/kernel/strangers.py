"""Who on a link's wire has which address: asked twice, for a fifth of a second in all.

RFC 5227 waits for seconds because its hosts boot; a neighbour that is up answers within
milliseconds, and a container waits for us. The wire of a VLAN link that is yet to be made
(`eth0.100`) is its parent's: the frames carry the tag, and only those with the tag are heard.
"""

import asyncio
import contextlib
import ctypes
import socket
import struct
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from netns import world
from netns.kernel import marks, probe_frames
from netns.netlink import address
from netns.netlink import link as links
from sdd.linux import namespaces, netlink
from sdd.model import child
from sdd.model.network import IPAddress

WAIT_S = 0.1  # after each of the rounds
ROUNDS = 2
_FRAME = 256  # bytes: an answer is shorter
_AT_ONCE = 64  # frames per wake-up, so that a flood does not hold the loop
_KINDS = {4: probe_frames.ARP, 6: probe_frames.IPV6}
_MEMBERSHIP = struct.Struct("@iHH8s")  # struct packet_mreq
_SOL_PACKET, _ADD_MEMBERSHIP, _MULTICAST = 263, 1, 0
_PROMISCUOUS = 1  # PACKET_MR_PROMISC: hardware drops tags for which there is no link
_ATTACH_FILTER = 26
_INSTRUCTION = struct.Struct("=HBBI")  # struct sock_filter
_PROGRAM = struct.Struct("@HP")  # struct sock_fprog
# include/uapi/linux/bpf_common.h; the tag lies beside the frame (SKF_AD_VLAN_TAG of filter.h)
_LOAD_WORD, _LOAD_HALF, _LOAD_BYTE, _AND = 0x20, 0x28, 0x30, 0x54
_JUMP_EQUAL, _RETURN = 0x15, 0x06
_BESIDE_TAG = 0xFFFFF000 + 44
_ETH_P_ALL = 0x0003

Instruction = tuple[int, int, int, int]
_ADVERTISEMENTS = (
    (_LOAD_BYTE, 0, 0, 20),  # IPv6's next header, behind Ethernet's
    (_JUMP_EQUAL, 0, 3, 58),  # ICMPv6
    (_LOAD_BYTE, 0, 0, 54),  # its type
    (_JUMP_EQUAL, 0, 1, 136),  # neighbour advertisement
    (_RETURN, 0, 0, _FRAME),
    (_RETURN, 0, 0, 0),
)


@dataclass(frozen=True, slots=True)
class Ear:
    """Sends and hears frames of one kind (an EtherType), or of both kinds with a tag."""

    socket: socket.socket
    kind: int = 0
    tag: int = 0


async def ask(
    doors: namespaces.Namespaces, link: str, asked: Collection[IPAddress]
) -> Mapping[IPAddress, str]:
    """Of each of `asked` who has it, in words; empty when nobody answered.

    On a link that is not there or down there is nobody, and on a bridge that has only ports of
    ours; without a link only the host is asked. Ends early when all were answered for.
    """
    try:
        own, ears = await doors.run("", lambda: (_own(), _ears(link, asked) if link else ()))
    except OSError:
        return dict.fromkeys(asked, "")
    if not ears:
        return _Hearing(asked, own).found
    hearing = _Hearing(asked, own)
    loop = asyncio.get_running_loop()
    try:
        for ear in ears:
            loop.add_reader(ear.socket, hearing.drain, ear.socket)
        for _ in range(ROUNDS):
            with contextlib.suppress(OSError):  # down, or without room: nobody hears us
                _send(ears, hearing.open())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(WAIT_S):
                    await hearing.complete.wait()
                    break
    finally:
        for ear in ears:
            loop.remove_reader(ear.socket)
            ear.socket.close()
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


def _ears(link: str, asked: Collection[IPAddress]) -> tuple[Ear, ...]:
    """None where nobody can be."""
    return () if _is_lonely(link) else _open(link, asked)


def _is_lonely(name: str) -> bool:
    """Whether it is a bridge, and all its ports are ours."""
    with netlink.Connection(netlink.ROUTE) as connection:
        (result,) = connection.request((links.ask(name),))
        found = [links.of(each) for each in result.replies]
        if not found or found[0].kind != world.Kind.BRIDGE.value:
            return False
        every = map(links.of, connection.dump(*links.listing()))
        ports = [each for each in every if each.master == found[0].index]
    return all(marks.of_link(each.alias, each.group) for each in ports)


def _open(link: str, asked: Collection[IPAddress]) -> tuple[Ear, ...]:
    kinds = {_KINDS[ip.version] for ip in asked}
    vlan = child.to_vlan(link)
    with contextlib.ExitStack() as stack:
        if vlan is not None and not _is_there(link):
            ears: tuple[Ear, ...] = (_tagged(stack, vlan),)
        else:
            ears = tuple(_plain(stack, link, kind) for kind in sorted(kinds))
        stack.pop_all()
    return ears


def _is_there(link: str) -> bool:
    try:
        return bool(socket.if_nametoindex(link))
    except OSError:
        return False


def _plain(stack: contextlib.ExitStack, link: str, kind: int) -> Ear:
    one = stack.enter_context(_opened())
    if kind == probe_frames.IPV6:  # of all IPv6 on the link neighbour advertisements only
        _join(one, link)
        _hear_only(one, _ADVERTISEMENTS)
    one.bind((link, kind))
    return Ear(one, kind)


def _tagged(stack: contextlib.ExitStack, vlan: child.Vlan) -> Ear:
    one = stack.enter_context(_opened())
    _join(one, vlan.parent)
    _member(one, vlan.parent, _PROMISCUOUS)
    with_tag = (
        (_LOAD_WORD, 0, 0, _BESIDE_TAG),
        (_AND, 0, 0, child.TAG_MASK),
        (_JUMP_EQUAL, 0, 8, vlan.tag),
        (_LOAD_HALF, 0, 0, 12),  # the EtherType
        (_JUMP_EQUAL, 5, 0, probe_frames.ARP),
        (_JUMP_EQUAL, 0, 5, probe_frames.IPV6),
    )
    _hear_only(one, (*with_tag, *_ADVERTISEMENTS))
    one.bind((vlan.parent, _ETH_P_ALL))
    return Ear(one, tag=vlan.tag)


def _opened() -> socket.socket:
    one = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
    one.setblocking(False)
    return one


def _join(one: socket.socket, link: str) -> None:
    """Hear what is said to everybody: answers to a question without sender go there."""
    _member(one, link, _MULTICAST, probe_frames.ALL_NODES)


def _member(one: socket.socket, link: str, what: int, group: bytes = b"") -> None:
    wanted = _MEMBERSHIP.pack(socket.if_nametoindex(link), what, len(group), group)
    one.setsockopt(_SOL_PACKET, _ADD_MEMBERSHIP, wanted)


def _hear_only(one: socket.socket, program: Sequence[Instruction]) -> None:
    code = ctypes.create_string_buffer(b"".join(_INSTRUCTION.pack(*each) for each in program))
    packed = _PROGRAM.pack(len(program), ctypes.addressof(code))
    one.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, packed)


def _send(ears: Iterable[Ear], asked: Collection[IPAddress]) -> None:
    for ear in ears:
        mac = ear.socket.getsockname()[4]
        for ip in asked:
            if ear.tag:
                ear.socket.send(probe_frames.tagged(probe_frames.probe(ip, mac), ear.tag))
            elif _KINDS[ip.version] == ear.kind:
                ear.socket.send(probe_frames.probe(ip, mac))
