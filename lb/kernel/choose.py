"""Which kernel balancer this host gets, and why: asked once, at the start of the daemon."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from lb import trace, world
from lb.kernel import host_flows, leftovers
from lb.kernel.ingress import IngressKernel
from lb.kernel.ipvs import IpvsKernel, available
from lb.kernel.nftables import NftablesKernel
from sdd import errors
from sdd.linux import namespaces
from sdd.state import ClusterState

Wanted = Literal["auto", "ipvs", "nftables"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """`name` is what `lb-backend` would name it; `why` is a sentence for `sdctl status`."""

    kernel: world.Kernel
    name: str
    why: str


async def choose(spaces: namespaces.Namespaces, wanted: Wanted) -> Choice:
    """The balancer to use; raises `errors.Unavailable` when `ipvs` is wanted and there is none."""
    found = await _found(spaces, wanted)
    return replace(found, kernel=IngressKernel(spaces, found.kernel))


async def _found(spaces: namespaces.Namespaces, wanted: Wanted) -> Choice:
    if wanted == "nftables":
        former = await spaces.run("", leftovers.family)
        plain = NftablesKernel(spaces, former)
        return Choice(kernel=plain, name=wanted, why="lb-backend says so")
    found = await spaces.run("", available)
    if found is not None:
        family, version = found
        why = "lb-backend says so" if wanted == "ipvs" else f"the kernel has IPVS {version}"
        kernel = IpvsKernel(spaces, family)
        with contextlib.suppress(errors.SddError):  # each sandbox will tell why it cannot be
            await kernel.prepare()
        return Choice(kernel=kernel, name="ipvs", why=why)
    if wanted == "ipvs":
        raise errors.Unavailable(
            "lb-backend is 'ipvs', but the kernel has no IPVS",
            hint="load the module ip_vs, or set lb-backend to auto or nftables",
            code="SDD-LB-NOIPVS",
        )
    why = "the kernel has no IPVS and loads no module ip_vs"
    return Choice(kernel=NftablesKernel(spaces), name="nftables", why=why)


def tracer(
    balancer: Choice, doors: namespaces.Namespaces, state: Callable[[], ClusterState]
) -> trace.Tracer:
    """What tells how connections go that `balancer` balances or the host leads."""
    passed = host_flows.through(doors)
    return trace.Tracer(balancer.kernel, doors, state, balancer.name, passed=passed)
