"""What the rules of a table must do, as the kernel itself tells it: the prints to compare with.

In: services, and prints of what was found. Out: what differs. The same rules are written into an
empty namespace and listed there: a kernel adds to what it was told, each version something else.
Costs 0.5 ms a service, once for all sandboxes.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from lb import table
from lb.kernel import nft_frames, nft_netlink, nft_prints, nft_rules, nft_text
from lb.kernel.nft_prints import Prints
from sdd import errors
from sdd.linux import namespaces, netlink, nft_compile
from sdd.model.network import IPAddress

_MOST_KNOWN = 1 << 14
Services = Mapping[str, table.VirtualService]  # by chain


class Patterns:
    """Of all sandboxes; `frames` know what all services of a table share."""

    def __init__(self, spaces: namespaces.Namespaces, frames: nft_frames.Frames) -> None:
        self._spaces = spaces
        self._frames = frames
        self._known: dict[str, bytes] = {}  # by the digest of a service
        self._learning = asyncio.Lock()  # however many sandboxes have the same

    async def flaws(
        self, uplink: str, services: Mapping[IPAddress, table.VirtualService], found: Prints
    ) -> Sequence[table.Flaw]:
        """What is not as we write it of `found`, chains of `services` and what they share.

        Raises `errors.KernelRefused` where it cannot be known.
        """
        chains = {nft_text.chain(vip): each for vip, each in services.items()}
        doubtful = {name: each for name, each in chains.items() if name in found}
        wanted = {**await self._frames.prints(uplink), **await self._of(uplink, doubtful)}
        return tuple(_flaws(found, wanted, doubtful))

    async def _of(self, uplink: str, services: Services) -> Prints:
        digests = {name: nft_text.digest(each) for name, each in services.items()}
        async with self._learning:
            if len(self._known) > _MOST_KNOWN:
                self._known.clear()
            new = {
                name: each for name, each in services.items() if digests[name] not in self._known
            }
            if new:
                frame = await self._frames.of(uplink)
                learnt = await self._spaces.scratch(lambda: _learnt(frame, new))
                self._known.update((digests[name], each) for name, each in learnt.items())
            return {name: self._known[digest] for name, digest in digests.items()}


def _learnt(frame: Sequence[netlink.Message], services: Services) -> Prints:
    after = table.Table(services=MappingProxyType({each.vip: each for each in services.values()}))
    requests = nft_rules.Rules(table.EMPTY, after).rebuild(frame, is_there=False)
    with netlink.Connection(netlink.NETFILTER) as connection:
        result = connection.transaction(nft_compile.SUBSYSTEM, requests)
        if result.error:
            raise errors.KernelRefused(f"nftables refuses: {result}")
        rules = nft_netlink.rules(connection)
        return nft_prints.of_chains(connection, {name: rules[name] for name in services})


def _flaws(found: Prints, wanted: Prints, services: Services) -> Iterator[table.Flaw]:
    for name, each in services.items():
        if found[name] != wanted[name]:
            yield table.Flaw(vip=each.vip, what=f"the rules of {each.vip} do not do what they say")
    shared = {name: each for name, each in found.items() if name not in services}
    yield from (table.Flaw(what=what) for what in nft_prints.differences(shared, wanted))
