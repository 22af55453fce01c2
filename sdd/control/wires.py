"""Who has which address on the wires of this node: asked once for all commands that want to know.

In: links and addresses. Out: who has them, in words. Commands that run beside each other share
questions and fresh answers; how many of them ask says how far ahead each of them had better ask.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping

from sdd.model.network import IPAddress

FRESH_S = 1.0  # within that a question is not repeated: a plan and its commit take 0.05 s

Strangers = Callable[[str, Collection[IPAddress]], Awaitable[Mapping[IPAddress, str]]]
Key = tuple[str, IPAddress]


class Wires:
    """`ask` asks a link for addresses and takes its time; `clock` is in seconds."""

    def __init__(self, ask: Strangers, clock: Callable[[], float]) -> None:
        self._ask = ask
        self._clock = clock
        self._heard: dict[Key, tuple[str, float]] = {}
        self._asking: dict[Key, asyncio.Future[None]] = {}
        self.askers = 0  # commands that wait for answers

    async def strangers(self, link: str, asked: Collection[IPAddress]) -> Mapping[IPAddress, str]:
        """Of each address who has it, empty: nobody; and whatever else is known of the link."""
        self.askers += 1
        try:
            await self._heard_of(link, asked)
        finally:
            self.askers -= 1
        return self._fresh(link)

    async def _heard_of(self, link: str, asked: Collection[IPAddress]) -> None:
        while open_ := [ip for ip in asked if ip not in self._fresh(link)]:
            mine = [ip for ip in open_ if (link, ip) not in self._asking]
            if mine:
                await self._asked(link, mine)
            else:  # others have asked: one of them may be called off, so look again
                await asyncio.wait([self._asking[link, ip] for ip in open_])

    async def _asked(self, link: str, mine: Collection[IPAddress]) -> None:
        done = asyncio.get_running_loop().create_future()
        self._asking |= {(link, ip): done for ip in mine}
        try:
            found = await self._ask(link, mine)
            now = self._clock()
            self._heard |= {(link, ip): (found.get(ip, ""), now) for ip in mine}
        finally:
            for ip in mine:
                del self._asking[link, ip]
            done.set_result(None)

    def _fresh(self, link: str) -> dict[IPAddress, str]:
        limit = self._clock() - FRESH_S
        self._heard = {key: said for key, said in self._heard.items() if said[1] >= limit}
        return {ip: who for (on, ip), (who, _) in self._heard.items() if on == link}
