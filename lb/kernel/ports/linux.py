"""Published ports on the running kernel, in the host's namespace. Never forks, never decides."""

import time
from collections.abc import Collection, Iterator, Mapping

from lb.growth import Growth
from lb.kernel import conntrack, host_counts, nft_netlink, nft_prints
from lb.kernel.ports import holders, loopback, read, reading, sockets, text
from lb.kernel.ports.frame import TABLE
from lb.kernel.ports.reading import Reading
from lb.ports.image import NONE, Element, Image
from lb.ports.table import Bind, Entry
from lb.ports.way import Way
from lb.world import PortKey
from sdd import fence
from sdd.linux import namespaces, netlink, nft, own_addresses
from sdd.model.network import IPAddress
from sdd.model.port import Protocol

_PROTOCOLS = {
    conntrack.TCP: Protocol.TCP,
    conntrack.UDP: Protocol.UDP,
    conntrack.SCTP: Protocol.SCTP,
}
_UNKNOWN = -1
_PORTS = "the sockets that hold ports"


class PortsKernel:
    """Passes tests/contract/ports_kernel.py."""

    def __init__(self, doors: namespaces.Namespaces, held: sockets.Sockets | None = None) -> None:
        self._doors = doors
        self._straight = host_counts.HostCounts(doors)
        self._sockets = held or sockets.Sockets()
        self._holders = holders.Holders(time.monotonic)
        self._is_new = True
        self._image: Image | None = NONE
        self._generation = _UNKNOWN
        self._look = b""  # of rules that were seen to be right

    def close(self) -> None:
        """Frees every port that nobody keeps for us; the rules stay, and connections live on."""
        self._sockets.close()
        self._straight.close()

    async def counts(self) -> Mapping[PortKey, Growth]:
        """What was led straight to members, counted from the first port on that is led anywhere."""
        return await self._straight.counts() if self._image != NONE else {}

    async def hold(self, binds: Collection[Bind]) -> Mapping[Bind, str]:
        """Keeps every other program from these ports."""
        return await self._doors.run("", lambda: self._hold(binds))

    async def release(self, binds: Collection[Bind]) -> None:
        """Anybody may have these ports again."""
        await self._doors.run("", lambda: self._release(binds))

    async def read(self, likely: Image = NONE) -> Image | None:
        """What is there; what was read is believed until somebody changes a rule."""
        found = await self._doors.run("", self._read)
        if isinstance(found, Reading):
            return await self._compared(found, likely)
        return found

    async def _compared(self, found: Reading, likely: Image) -> Image | None:
        chains = found.chains(likely)
        is_right = found.is_as(await self._doors.scratch(lambda: reading.wanted(chains)))
        return await self._doors.run("", lambda: self._saw(found, is_right=is_right))

    def _saw(self, found: Reading, *, is_right: bool) -> Image | None:
        self._image = found.image if is_right else None
        self._generation, self._look = found.generation, found.look
        return self._image

    async def write(
        self,
        gone: Collection[Element],
        come: Collection[Element],
        after: Collection[Element] | None,
    ) -> None:
        """One transaction."""
        await self._doors.run("", lambda: self._write(gone, come, after))

    async def forget(
        self,
        now: Collection[Entry],
        lost: Collection[IPAddress] = (),
        ended: Collection[Way] = (),
    ) -> None:
        """Ends the UDP flows that lead to the wrong place, and what was led to who is no more."""
        await self._doors.run("", lambda: _forget(now, lost, frozenset(ended)))

    async def busy(self, those: Collection[Way]) -> Collection[Way]:
        """As conntrack has them; what only one end has closed is not over."""
        return await self._doors.run("", lambda: _busy(frozenset(those)))

    async def open_loopback(self, on: Collection[str], off: Collection[str]) -> Collection[str]:
        """Sets `route_localnet`."""
        return await self._doors.run("", lambda: loopback.switch(on, off))

    def _write(
        self,
        gone: Collection[Element],
        come: Collection[Element],
        after: Collection[Element] | None,
    ) -> None:
        if come:
            self._straight.begin()
        words = text.changes(gone, come) if after is None else text.rebuild(after)
        with netlink.Connection(netlink.NETFILTER) as connection, nft.Nft() as rules:
            before = nft.generation(connection)
            rules.run(words)
            now = nft.generation(connection)
        # A transaction counts one: nobody else's came between, so what is there is known.
        is_known = before == self._generation or after is not None
        self._generation = now if is_known and now == before + 1 else _UNKNOWN
        self._look = b""
        if after is not None:
            self._image = frozenset(after)
        elif self._image is not None:
            self._image = (self._image - set(gone)) | set(come)
        if self._image == NONE:
            self._straight.close()

    def _hold(self, binds: Collection[Bind]) -> Mapping[Bind, str]:
        if self._is_new:  # the first are all that there should be
            self._sockets.claim(binds)
            self._is_new = False
        reasons = ((each, self._held(each)) for each in binds)
        return self._holders.named({each: reason for each, reason in reasons if reason})

    def _held(self, bind: Bind) -> str:
        with fence.writing(_PORTS):
            return self._sockets.hold(bind)

    def _release(self, binds: Collection[Bind]) -> None:
        with fence.writing(_PORTS):
            self._sockets.release(binds)

    def _read(self) -> Image | Reading | None:
        """What is there, or what has yet to be compared."""
        with netlink.Connection(netlink.NETFILTER) as connection:
            before = nft.generation(connection)
            is_known = before == self._generation
            if is_known and (self._look or not self._image):
                return self._image
            rules = nft_netlink.rules(connection, of=TABLE)
            look = nft_prints.outside(connection, rules, TABLE)
            if is_known:
                self._look = look if nft.generation(connection) == before else b""
                return self._image
            image = read.read(connection, rules)
            is_doubtful = bool(image) and look != self._look
            prints = nft_prints.of_chains(connection, rules, TABLE) if is_doubtful else {}
            # What changed while we were reading is seen at the next look.
            generation = before if nft.generation(connection) == before else _UNKNOWN
        if is_doubtful and image is not None:
            return Reading(image=image, look=look, prints=prints, generation=generation)
        self._image, self._generation = image, generation
        return image


def _busy(those: frozenset[Way]) -> frozenset[Way]:
    wanted = {way for way in those if way.bind.protocol is not Protocol.UDP}
    with netlink.Connection(netlink.NETFILTER) as connection:
        flows = conntrack.behind(connection, {way.backend for way in wanted})
    return frozenset(way for flow in flows if flow.is_open for way in _ways(flow) if way in wanted)


def _ways(flow: conntrack.Flow) -> Iterator[Way]:
    """Those that a connection may have been led by: of the address it came for, and of all."""
    protocol = _PROTOCOLS.get(flow.protocol)
    if protocol is None:
        return
    for address in (flow.vip, None):
        bind = Bind(version=flow.vip.version, protocol=protocol, number=flow.port, address=address)
        yield Way(bind, flow.backend, flow.backend_port)


def _forget(now: Collection[Entry], lost: Collection[IPAddress], ended: frozenset[Way]) -> None:
    by_number: dict[tuple[int, int], list[Entry]] = {}
    for each in now:
        by_number.setdefault((each.bind.version, each.bind.number), []).append(each)
    with netlink.Connection(netlink.NETFILTER) as connection:
        flows = conntrack.datagrams(connection, {number for _, number in by_number})
        stuck = [
            flow
            for flow in flows
            for entry in by_number.get((flow.vip.version, flow.port), ())
            if _is_stuck(flow, entry)
        ]
        gone = frozenset(lost)
        led = conntrack.behind(connection, gone | {way.backend for way in ended})
        over = (flow for flow in led if flow.backend in gone or not ended.isdisjoint(_ways(flow)))
        conntrack.forget(connection, (*stuck, *over))


def _is_stuck(flow: conntrack.Flow, entry: Entry) -> bool:
    """Whether it came for this port and its backend is none of the port's.

    Flows that only pass through the host are not ours to end.
    """
    if entry.bind.address not in (None, flow.vip) or not own_addresses.has(flow.vip):
        return False
    ready = {each.address for each in entry.backends if each.weight}
    return flow.backend not in ready or flow.backend_port != entry.port
