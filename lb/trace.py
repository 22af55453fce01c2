"""How a connection from a sandbox to a virtual address goes: explained, then tried.

In: a sandbox and what a person wants to reach. Out: the decisions in order and, with a port, what
became of one real TCP connection, which is closed with a reset before a byte is sent.
"""

import asyncio
import os
import socket
import struct
import time
from collections.abc import Callable
from ipaddress import ip_address

from lb import desired, explain, table, world
from lb.explain import Step, Target
from sdd import errors
from sdd.linux import namespaces
from sdd.model import sandbox
from sdd.model.network import IPAddress
from sdd.state import ClusterState

TRY_S = 2.0
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with a reset


class Tracer:
    """`backend` is the name of what balances here: ipvs or nftables."""

    def __init__(
        self,
        kernel: world.Kernel,
        spaces: namespaces.Namespaces,
        state: Callable[[], ClusterState],
        backend: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._kernel = kernel
        self._spaces = spaces
        self._state = state
        self._backend = backend

    async def __call__(self, box: sandbox.Sandbox, to: str, port: int, /) -> tuple[Step, ...]:
        """The steps; `to` is a virtual address or a service, port 0 tries nothing.

        Raises NotFound `SDD-LB-VIP` for what is no virtual address to this sandbox.
        """
        state = self._state()
        target = _target(state, box, to)
        place = desired.place_of(state, box)
        loads = await self._kernel.loads(place)
        steps = [*explain.decided(state, target, loads, self._backend, self._clock())]
        if port:
            steps += await self._tried(state, target, place, port)
        return tuple(steps)

    async def _tried(
        self, state: ClusterState, target: Target, place: table.Place, port: int
    ) -> list[Step]:
        link = await self._spaces.run(place.netns, lambda: _opened(target.vip))
        with link:
            begun = time.monotonic()
            said = await _connected(link, target.vip, port)
            spent_ms = (time.monotonic() - begun) * 1000
            own = int(link.getsockname()[1])
            led = await self._kernel.led_to(place, target.vip, own)
        whom = explain.led(state, target, led)
        step = Step(
            "tried", f"port {port}/tcp from port {own}: {said} in {spent_ms:.1f} ms, {whom}"
        )
        if led is None or led == target.vip:
            return [step]
        return [step, explain.way(state, target, led)]


def _target(state: ClusterState, box: sandbox.Sandbox, to: str) -> Target:
    seen = tuple(explain.targets(state, box))
    address = _parsed(to)
    found = [each for each in seen if (each.vip == address if address else each.service.name == to)]
    if found:
        return found[0]
    known = ", ".join(f"{each.service.name} ({each.vip})" for each in seen[:_LISTED])
    raise errors.NotFound(
        f"{errors.quoted(to)} is no virtual address that sandbox {box.name} sees",
        hint=f"it sees: {known}"
        if known
        else "no service with a virtual address is on its networks",
        code="SDD-LB-VIP",
    )


_LISTED = 8


def _parsed(text: str) -> IPAddress | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _opened(vip: IPAddress) -> socket.socket:
    family = socket.AF_INET if vip.version == 4 else socket.AF_INET6  # noqa: PLR2004 - IP
    link = socket.socket(family, socket.SOCK_STREAM)
    link.setblocking(False)
    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    return link


async def _connected(link: socket.socket, vip: IPAddress, port: int) -> str:
    try:
        async with asyncio.timeout(TRY_S):
            await asyncio.get_running_loop().sock_connect(link, (str(vip), port))
    except TimeoutError:
        return "no answer"
    except OSError as exc:
        return os.strerror(exc.errno).lower() if exc.errno else str(exc)
    return "connected"
