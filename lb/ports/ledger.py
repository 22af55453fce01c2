"""Which entries are served, and how many of them need each element. Pure but for remembering.

One change costs what it touches, however many ports there are.
"""

from collections import Counter
from collections.abc import Iterable

from lb.ports import image
from lb.ports.table import Bind, Entry

_IPV4 = 4


class Ledger:
    """Starts empty."""

    def __init__(self) -> None:
        self._entries: dict[Bind, Entry] = {}
        self._uses: Counter[image.Element] = Counter()
        self._devices: Counter[str] = Counter()

    def replace(
        self, gone: Iterable[Bind], come: Iterable[Entry]
    ) -> tuple[image.Image, image.Image]:
        """The elements that nobody needs any more, and those that somebody needs now."""
        delta: Counter[image.Element] = Counter()
        for bind in gone:
            self._take(self._entries.pop(bind, None), delta)
        for entry in come:
            self._take(self._entries.get(entry.bind), delta)
            self._entries[entry.bind] = entry
            delta.update(image.of(entry))
            self._devices.update(_loopback_devices(entry))
        return self._counted(delta)

    def __len__(self) -> int:
        """How many elements somebody needs."""
        return len(self._uses)

    def everything(self) -> image.Image:
        """Everything that somebody needs."""
        return frozenset(self._uses)

    def devices(self) -> frozenset[str]:
        """The bridges behind ports that 127.0.0.1 answers."""
        return frozenset(+self._devices)

    def subjects(self, device: str) -> frozenset[str]:
        """Who has backends behind a bridge."""
        return frozenset(each.subject for each in self._entries.values() if device in each.devices)

    def _take(self, old: Entry | None, delta: Counter[image.Element]) -> None:
        if old is not None:
            delta.subtract(image.of(old))
            self._devices.subtract(_loopback_devices(old))

    def _counted(self, delta: Counter[image.Element]) -> tuple[image.Image, image.Image]:
        out, into = set(), set()
        for element, more in delta.items():
            had = self._uses[element]
            if had + more:
                self._uses[element] = had + more
            else:
                del self._uses[element]
            if had and not had + more:
                out.add(element)
            elif more and not had:
                into.add(element)
        return frozenset(out), frozenset(into)


def _loopback_devices(entry: Entry) -> frozenset[str]:
    is_asked = entry.bind.version == _IPV4 and not entry.is_outward
    return entry.devices if is_asked else frozenset()
