"""A reading of `inet sdd-ports` whose rules may do something else than their comments say.

Hands keep comments, and names of chains, so rules are compared with what nft makes of ours in an
empty namespace. Nothing there, or what is damaged in any case, needs no comparing.
"""

from collections.abc import Collection
from dataclasses import dataclass

from lb.kernel import nft_netlink, nft_prints
from lb.kernel.nft_prints import Prints
from lb.kernel.ports import text
from lb.kernel.ports.frame import FRAME, TABLE
from lb.ports.image import CHAIN, Element, Image
from sdd.linux import netlink, nft


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """`look` is another one when a rule is (`nft_prints.outside`); at a `generation` of tables."""

    image: Image
    look: bytes
    prints: Prints
    generation: int

    def chains(self, likely: Collection[Element]) -> Collection[Element]:
        """Those of `likely` that are there: they know what their rules should be."""
        return [each for each in likely if each.set == CHAIN and each in self.image]

    def is_as(self, wanted: Prints) -> bool:
        """Whether rules do what they should; chains of which nobody knows are let go anyway."""
        return all(wanted.get(name, each) == each for name, each in self.prints.items())


def wanted(chains: Collection[Element]) -> Prints:
    """Of the frame and of `chains`. Call it in an empty namespace."""
    with nft.Nft() as rules:
        rules.run("\n".join((FRAME, text.changes((), chains))))
    with netlink.Connection(netlink.NETFILTER) as connection:
        return nft_prints.of_chains(connection, nft_netlink.rules(connection, of=TABLE), TABLE)
