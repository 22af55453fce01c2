"""A kernel in memory that publishes ports, held to what the real one does by their suite."""

from collections.abc import Collection, Mapping

from lb.ports.image import NONE, Element, Image
from lb.ports.table import Bind, Entry, Hindrance
from lb.ports.way import Way
from sdd.model.network import IPAddress
from sdd.model.port import Protocol


class FakeKernel:
    """`taken` are the ports that other programs have; `links` those that the host has.

    `absent` are addresses that it has not.
    """

    def __init__(self) -> None:
        self.taken: set[tuple[str, int]] = set()
        self.holder: str = Hindrance.TAKEN  # in words
        self.links: set[str] = set()
        self.absent: set[IPAddress] = set()
        self.held: set[Bind] = set()
        self.image: Image | None = NONE
        self.writes: list[int] = []  # how many elements each touched
        self.forgotten: list[Entry] = []
        self.lost: set[IPAddress] = set()
        self.connected: set[Way] = set()
        self.loose: set[str] = set()

    async def hold(self, binds: Collection[Bind]) -> Mapping[Bind, str]:
        """Keeps every other program from these ports."""
        refused: dict[Bind, str] = {
            each: self.holder
            for each in binds
            if each not in self.held
            and ((each.protocol, each.number) in self.taken or any(map(each.clashes, self.held)))
        }
        refused |= {each: Hindrance.ABSENT for each in binds if each.address in self.absent}
        self.held |= set(binds) - refused.keys()
        return refused

    async def release(self, binds: Collection[Bind]) -> None:
        """Anybody may have these ports again."""
        self.held -= set(binds)

    async def read(self, likely: Image = NONE) -> Image | None:
        """What `write` and the tests have put there."""
        del likely  # a chain does what its name says
        return self.image

    async def write(
        self,
        gone: Collection[Element],
        come: Collection[Element],
        after: Collection[Element] | None,
    ) -> None:
        """One transaction."""
        self.writes.append(len(gone) + len(come) if after is None else len(after))
        if after is not None:
            self.image = frozenset(after)
        else:
            assert self.image is not None
            assert self.image >= set(gone)
            self.image = (self.image - set(gone)) | set(come)

    async def forget(
        self,
        now: Collection[Entry],
        lost: Collection[IPAddress] = (),
        ended: Collection[Way] = (),
    ) -> None:
        """Remembers what was asked; who is connected by what ended is not any more."""
        self.forgotten.extend(now)
        self.lost.update(lost)
        self.connected = {
            way for way in self.connected if way not in ended and way.backend not in lost
        }

    async def busy(self, those: Collection[Way]) -> Collection[Way]:
        """What the tests say."""
        return {
            way
            for way in self.connected.intersection(those)
            if way.bind.protocol is not Protocol.UDP
        }

    async def open_loopback(self, on: Collection[str], off: Collection[str]) -> Collection[str]:
        """Links that are there take it."""
        self.loose = (self.loose | (set(on) & self.links)) - set(off)
        return set(on) - self.links
