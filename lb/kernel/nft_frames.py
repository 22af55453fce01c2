"""What all services of a table share, as requests: translated by nft once for a kind of place."""

import asyncio
from collections.abc import Callable, Sequence

from lb.kernel import nft_frame
from sdd.linux import namespaces, netlink, nft_compile


class Frames:
    """`text_of` an uplink is nft's text of the table without its virtual addresses."""

    def __init__(self, spaces: namespaces.Namespaces, text_of: Callable[[str], str]) -> None:
        self._spaces = spaces
        self._text_of = text_of
        self._known: dict[str, Sequence[netlink.Message]] = {}
        self._translating = asyncio.Lock()  # however many sandboxes begin at once

    async def of(self, uplink: str) -> Sequence[netlink.Message]:
        """What makes the table of a place with that uplink. Raises `errors.KernelRefused`."""
        async with self._translating:
            if uplink not in self._known:
                text = self._text_of(uplink)
                self._known[uplink] = await self._spaces.scratch(
                    lambda: nft_compile.messages(text, nft_frame.TABLE)
                )
            return self._known[uplink]
