"""Which kernel balancer this host gets, and why: asked once, at the start of the daemon."""

from dataclasses import dataclass
from typing import Literal

from lb import world
from lb.kernel.nftables import NftablesKernel
from sdd import errors
from sdd.linux import namespaces

Wanted = Literal["auto", "ipvs", "nftables"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """`name` is what `lb-backend` would name it; `why` is a sentence for `sdctl status`."""

    kernel: world.Kernel
    name: str
    why: str


async def choose(spaces: namespaces.Namespaces, wanted: Wanted) -> Choice:
    """The balancer to use; raises `errors.Unavailable` when `ipvs` is wanted and there is none."""
    if wanted == "ipvs":
        raise errors.Unavailable(
            "this build balances with nftables only, but lb-backend is 'ipvs'",
            hint="set lb-backend to auto or nftables",
            code="SDD-LB-NOIPVS",
        )
    why = "lb-backend says so" if wanted == "nftables" else "the only balancer of this build"
    return Choice(kernel=NftablesKernel(spaces), name="nftables", why=why)
