"""How a connection from a sandbox to a virtual address goes: explained, then tried.

In: a sandbox and what a person wants to reach. Out: the decisions in order and, with a port, what
became of one real connection, which is closed with a reset before a byte is sent, or of one empty
datagram.
"""

import asyncio
import os
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import NamedTuple

from lb import desired, explain, explain_port, explain_unknown, table, world
from lb.explain import Step, Target
from lb.passage import Client, Follow, Passed
from sdd import errors
from sdd.linux import namespaces, own_addresses
from sdd.model import sandbox
from sdd.model.address import Zoned, parse
from sdd.model.network import IPAddress
from sdd.model.port import Protocol
from sdd.state import ClusterState

NO_TRY = 0  # of a port
TRY_S = 2.0
DATAGRAM_S = 0.3
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with a reset


class Tracer:
    """`backend` is the name of what balances here: ipvs or nftables.

    `passed` tells what the host made of a connection to one of its addresses.
    """

    def __init__(
        self,
        kernel: world.Kernel,
        spaces: namespaces.Namespaces,
        state: Callable[[], ClusterState],
        backend: str,
        clock: Callable[[], float] = time.time,
        *,
        passed: Follow,
    ) -> None:
        self._passed = passed
        self._clock = clock
        self._kernel = kernel
        self._spaces = spaces
        self._state = state
        self._backend = backend

    async def __call__(
        self, box: sandbox.Sandbox, to: str, port: int, protocol: Protocol, /
    ) -> tuple[Step, ...]:
        """The steps; `to` is a virtual address, a service or, with a published port, the host's.

        Port 0 tries nothing. Raises NotFound `SDD-LB-VIP` for what is nothing of this, Invalid
        for an address with a zone.
        """
        state = self._state()
        asked = _Asked(to, port, protocol)
        if (found := await self._published(state, box, asked)) is not None:
            return tuple(await self._through(state, box, found, asked))
        target = await self._target(state, box, asked)
        return tuple(await self._inside(state, box, target, asked))

    async def _target(self, state: ClusterState, box: sandbox.Sandbox, asked: "_Asked") -> Target:
        """The virtual address that the sandbox sees; raises NotFound with what to ask instead."""
        address = _parsed(asked.to)
        for each in explain.targets(state, box):
            if each.vip == address if address else each.service.name == asked.to:
                return each
        wrong = explain_unknown.Asked(asked.to, address, asked.port, asked.protocol)
        if address is None:
            raise explain_unknown.of_sandbox(state, box, wrong)
        if address.is_loopback:
            raise explain_unknown.of_loopback(wrong)
        if await self._is_hosts(address):
            raise explain_unknown.of_host(state, wrong)
        raise explain_unknown.of_sandbox(state, box, wrong)

    async def _is_hosts(self, address: IPAddress) -> bool:
        return await self._spaces.run("", lambda: own_addresses.has(address))

    async def _inside(
        self, state: ClusterState, box: sandbox.Sandbox, target: Target, asked: "_Asked"
    ) -> list[Step]:
        """What the sandbox itself balances."""
        place = desired.place_of(state, box)
        loads = await self._kernel.loads(place)
        now = self._clock()
        steps = [
            *explain.decided(state, target, loads, self._backend, now, protocol=asked.protocol)
        ]
        if asked.port:
            steps += await self._tried(state, target, place, asked)
        return steps

    async def _published(
        self, state: ClusterState, box: sandbox.Sandbox, asked: "_Asked"
    ) -> explain_port.Published | None:
        address = _parsed(asked.to)
        if address is None or address.is_loopback or not asked.port:
            return None
        if any(each.vip == address for each in explain.targets(state, box)):
            return None
        found = explain_port.published(state, box.node, address, asked.port, asked.protocol)
        return found if found is not None and await self._is_hosts(address) else None

    async def _through(
        self,
        state: ClusterState,
        box: sandbox.Sandbox,
        one: explain_port.Published,
        asked: "_Asked",
    ) -> list[Step]:
        """The host's steps, those of the ingress sandbox behind it, and the client's own try."""
        address = ip_address(asked.to)
        steps = [*explain_port.on_host(state, one, address)]
        here = (each for each in state.ingress_sandboxes if each.node == box.node)
        sbox = next(here, None) if one.is_ingress else None
        target = explain_port.onward(state, one, sbox) if sbox is not None else None
        if sbox is not None and target is not None:
            further = _Asked(str(target.vip), NO_TRY, asked.protocol)
            steps += [
                Step(f"{sbox.name}: {each.stage}", each.text)
                for each in await self._inside(state, sbox, target, further)
            ]
        led: list[Passed] = []

        async def look(own: Client) -> None:
            found = await self._passed(address, own, asked.protocol)
            if found is not None and sbox is not None and target is not None:
                found = await self._chosen(desired.place_of(state, sbox), found, own[1], asked)
            led.extend((found,) if found is not None else ())

        said, spent_ms, own = await self._try(box.netns, address, asked, look)
        whence = f"{asked.port}/{asked.protocol} from {box.name}, port {own}"
        if led:
            whom = explain_port.led(state, led[0])
        elif target is not None:
            whom = explain.led(state, target, None, self._clock(), said)
        else:
            whom = explain_port.unknown(one, said)
        return [*steps, Step("tried", f"{whence}: {said} in {spent_ms:.1f} ms, {whom}")]

    async def _chosen(
        self, place: table.Place, found: Passed, own: int, asked: "_Asked"
    ) -> Passed | None:
        """Whom the ingress sandbox at `place` chose for what the host led to `found.backend`."""
        vip = found.backend
        to = await self._kernel.led_to(place, vip, own, asked.protocol, found.client)
        return found._replace(backend=to) if to is not None and to != vip else None

    async def _tried(
        self, state: ClusterState, target: Target, place: table.Place, asked: "_Asked"
    ) -> list[Step]:
        led: list[IPAddress | None] = []

        async def look(own: Client) -> None:
            led.append(await self._kernel.led_to(place, target.vip, own[1], asked.protocol))

        said, spent_ms, own = await self._try(place.netns, target.vip, asked, look)
        whom = explain.led(state, target, led[0], self._clock(), said)
        whence = f"port {asked.port}/{asked.protocol} from port {own}"
        step = Step("tried", f"{whence}: {said} in {spent_ms:.1f} ms, {whom}")
        if led[0] is None or led[0] == target.vip:
            return [step]
        return [step, explain.way(state, target, led[0])]

    async def _try(
        self,
        netns: str,
        address: IPAddress,
        asked: "_Asked",
        look: Callable[[Client], Awaitable[None]],
    ) -> tuple[str, float, int]:
        """What one real try from there came to, its milliseconds and its own port.

        `look` is called with that port and the address while the connection lives.
        """
        link = await self._spaces.run(netns, lambda: _opened(address, asked.protocol))
        with link:
            begun = time.monotonic()
            said = await _attempt(link, address, asked)
            spent_ms = (time.monotonic() - begun) * 1000
            source, own = link.getsockname()[:2]
            await look((ip_address(source), own))
        return said, spent_ms, own


class _Asked(NamedTuple):
    """What a person wants to reach."""

    to: str
    port: int
    protocol: Protocol


def _parsed(text: str) -> IPAddress | None:
    try:
        return parse(text)
    except Zoned as exc:
        raise errors.Invalid(
            f"{errors.quoted(text)} is no virtual address: {exc}",
            hint="give the address as `sdctl service ls` shows it",
            code="SDD-LB-VIP",
        ) from None
    except ValueError:
        return None


_KINDS = {
    Protocol.TCP: (socket.SOCK_STREAM, socket.IPPROTO_TCP),
    Protocol.UDP: (socket.SOCK_DGRAM, socket.IPPROTO_UDP),
    Protocol.SCTP: (socket.SOCK_STREAM, socket.IPPROTO_SCTP),
}


def _opened(address: IPAddress, protocol: Protocol) -> socket.socket:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6  # noqa: PLR2004 - IP
    try:
        link = socket.socket(family, *_KINDS[protocol])
    except OSError as exc:
        raise errors.Unavailable(
            f"this kernel opens no {protocol} socket: {os.strerror(exc.errno or 0).lower()}",
            hint="leave the port away to see the decisions alone",
            code="SDD-LB-SOCKET",
        ) from exc
    link.setblocking(False)
    if protocol is not Protocol.UDP:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    return link


async def _attempt(link: socket.socket, address: IPAddress, asked: _Asked) -> str:
    """A connection, or an empty datagram and what comes back."""
    loop = asyncio.get_running_loop()
    is_datagram = asked.protocol is Protocol.UDP
    try:
        async with asyncio.timeout(DATAGRAM_S if is_datagram else TRY_S):
            await loop.sock_connect(link, (str(address), asked.port))
            if not is_datagram:
                return "connected"
            link.send(b"")
            await loop.sock_recv(link, 1)
    except TimeoutError:
        return (
            "sent, no answer (many programs give none to an empty datagram)"
            if is_datagram
            else "no answer"
        )
    except OSError as exc:
        return os.strerror(exc.errno).lower() if exc.errno else str(exc)
    return "answered"
