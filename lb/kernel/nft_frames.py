"""What all services of a table share, as requests: translated by nft once for a kind of place."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lb.kernel import nft_frame, nft_netlink, nft_prints
from lb.kernel.nft_prints import Prints
from sdd.linux import namespaces, netlink, nft_compile


@dataclass(frozen=True, slots=True)
class Frame:
    """What makes the table of a place without its virtual addresses, and the prints of that."""

    messages: Sequence[netlink.Message]
    prints: Prints


class Frames:
    """`text_of` an uplink is nft's text of the table without its virtual addresses.

    `sets` of it have elements that never change.
    """

    def __init__(
        self,
        spaces: namespaces.Namespaces,
        text_of: Callable[[str], str],
        sets: Sequence[str] = (),
    ) -> None:
        self._spaces = spaces
        self._text_of = text_of
        self._sets = sets
        self._known: dict[str, Frame] = {}
        self._translating = asyncio.Lock()  # however many sandboxes begin at once

    async def of(self, uplink: str) -> Sequence[netlink.Message]:
        """What makes the table of a place with that uplink. Raises `errors.KernelRefused`."""
        return (await self._frame(uplink)).messages

    async def prints(self, uplink: str) -> Prints:
        """What its rules and sets must be. Raises `errors.KernelRefused`."""
        return (await self._frame(uplink)).prints

    async def _frame(self, uplink: str) -> Frame:
        async with self._translating:
            if uplink not in self._known:
                text = self._text_of(uplink)
                self._known[uplink] = await self._spaces.scratch(lambda: _made(text, self._sets))
            return self._known[uplink]


def _made(text: str, sets: Sequence[str]) -> Frame:
    messages = nft_compile.messages(text, nft_frame.TABLE)
    with netlink.Connection(netlink.NETFILTER) as connection:
        rules = nft_netlink.rules(connection)
        return Frame(
            messages, nft_prints.of_chains(connection, rules) | nft_prints.of_sets(connection, sets)
        )
