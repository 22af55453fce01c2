"""What every balancing kernel counts of real traffic; nftables and IPVS run this suite."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

import pytest

from lb import world
from sdd.model.network import IPAddress
from tests.kernel.lb_town import VIP, Town
from tests.kernel.lb_traffic import BOTH, empty, put, service


async def _falls(count: Callable[[], Awaitable[int]], to: int) -> None:
    """Until it is so low again."""
    if await count() > to:
        await asyncio.sleep(0.1)
        await _falls(count, to)


class Counted(NamedTuple):
    """All backends of one virtual address together, both directions."""

    connections: int
    packets: int
    octets: int

    def __sub__(self, other: "Counted") -> "Counted":
        return Counted(*(now - was for now, was in zip(self, other, strict=True)))


def _counted(loads: Sequence[world.Load], vip: IPAddress) -> dict[str, Counted]:
    found = dict.fromkeys(("tcp", "udp"), Counted(0, 0, 0))
    for each in loads:
        if each.vip == vip:
            one = found[each.protocol]
            found[each.protocol] = Counted(
                one.connections + (each.connections or 0),
                one.packets + (each.in_packets or 0) + (each.out_packets or 0),
                one.octets + (each.in_bytes or 0) + (each.out_bytes or 0),
            )
    return found


class LbCounts:
    """Subclasses give `town` and `kernel`; each test starts from an empty client."""

    lag_s = 0.0  # how much later the kernel's counters tell of a packet

    @pytest.mark.parametrize("vip", BOTH)
    async def test_B9_52_connections_packets_and_bytes_are_counted_both_ways(
        self, kernel: world.Kernel, town: Town, vip: IPAddress
    ) -> None:
        async def counted() -> dict[str, Counted]:
            await asyncio.sleep(self.lag_s)  # what earlier tests sent is counted late as well
            return _counted(await kernel.loads(town.place()), vip)

        await put(kernel, town, service(town, vip))
        before = await counted()
        for _ in range(10):
            town.ask(to=vip)
            town.ask_udp(to=vip)
        now = await counted()
        tcp, udp = (now[each] - before[each] for each in ("tcp", "udp"))
        assert (tcp.connections, udp.connections) == (10, 10)
        assert tcp.packets >= 10 * 8  # SYN, ACK, data, FIN, each way
        assert udp.packets == 20
        assert udp.octets > udp.packets * 28
        assert tcp.octets > tcp.packets * 40
        await put(kernel, town, service(town, vip, b1=5, b2=5, b3=5, b4=1))
        assert await counted() == now, "another weight and another backend reset nothing"

    @pytest.mark.parametrize("vip", BOTH)
    @pytest.mark.parametrize("who", ["client", "server"])
    async def test_U6_who_has_only_said_its_last_is_connected_still(
        self, kernel: world.Kernel, town: Town, vip: IPAddress, who: str
    ) -> None:
        async def open_ones() -> int:
            await asyncio.sleep(self.lag_s)
            found = await kernel.connections(town.place(), (vip,))
            return sum(each.active for each in found if each.protocol == "tcp")

        vip += 7  # what other tests left open is none of it
        await put(kernel, town, service(town, vip, b1=1))
        with (
            contextlib.closing(town.opened("b1", socket.SOCK_STREAM, vip.version, 8181)) as server,
            contextlib.closing(town.opened("client", socket.SOCK_STREAM, vip.version)) as client,
        ):
            server.listen()
            before = await open_ones()
            client.connect((str(vip), 8181))
            accepted, _ = server.accept()
            with accepted:
                {"client": client, "server": accepted}[who].shutdown(socket.SHUT_WR)
                other = {"client": accepted, "server": client}[who]
                assert other.recv(1) == b""
                await put(kernel, town, service(town, vip, b1=0, b2=1))  # it leaves
                assert await open_ones() > before
                other.sendall(b"x")
        async with asyncio.timeout(60 + 3 * self.lag_s):
            await _falls(open_ones, before)

    async def test_what_was_refused_counts_for_no_backend(
        self, kernel: world.Kernel, town: Town
    ) -> None:
        await put(kernel, town, service(town, b1=1))
        await asyncio.sleep(self.lag_s)  # what earlier tests sent is counted late as well
        before = _counted(await kernel.loads(town.place()), VIP)
        await put(kernel, town, empty())
        with pytest.raises(ConnectionRefusedError):
            town.ask()
        (tcp, udp) = await kernel.loads(town.place())
        assert (tcp.address, udp.address) == (None, None)
        await put(kernel, town, service(town, b1=1))
        after = _counted(await kernel.loads(town.place()), VIP)
        # IPVS remembers what a backend that comes back had counted.
        assert all(after[each].connections <= before[each].connections for each in after)
