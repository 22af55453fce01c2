"""The host's own address in a subnet of a network with `host-access`: given, or the first free one.

In: a request, a pool and the Ground. Out: the pool with the address among its auxiliary ones. As
for a sandbox's address, the neighbours on the parent are asked for it first (`taken.Unprobed`).
"""

from collections.abc import Iterator
from dataclasses import replace

from sdd import errors
from sdd.alloc import addresses
from sdd.control import options, taken
from sdd.control.ground import Ground
from sdd.model import child, network, request
from sdd.model.network import IPAddress


def with_host(ground: Ground, asked: request.NetworkCreate, pool: network.Pool) -> network.Pool:
    """`pool` with the host's address. Refused: SDD-NET-AUX (no room), SDD-IPAM-DUPLICATE."""
    wanted = options.child_of(asked)
    if wanted is None or not wanted.host_access:
        return pool
    given = pool.aux.get(child.HOST_ACCESS)
    if given is not None:
        _check_given(ground, asked, wanted.wire, given)
        return pool
    candidates = tuple(_candidates(ground, pool))
    if not candidates:
        raise _no_room(ground, asked, pool)
    if wanted.wire and candidates[0] not in ground.strangers:
        raise taken.Unprobed(wanted.wire, candidates)
    return replace(pool, aux={**pool.aux, child.HOST_ACCESS: candidates[0]})


def _candidates(ground: Ground, pool: network.Pool) -> Iterator[IPAddress]:
    """The next free addresses: more of them, the more of the earlier ones strangers had."""
    strange = {ip for ip, who in ground.strangers.items() if who}
    held = {*pool.aux.values(), *((pool.gateway,) if pool.gateway else ()), *strange}
    for _ in range(min(taken.MOST_PROBED, 1 + len(strange))):
        found = addresses.next_free(pool, frozenset(held), None)
        if found is None:
            return
        yield found
        held.add(found)


def _check_given(ground: Ground, asked: request.NetworkCreate, wire: str, given: IPAddress) -> None:
    if wire and given not in ground.strangers:
        raise taken.Unprobed(wire, [given])
    if who := ground.strangers.get(given):
        raise errors.Conflict(
            f"network {asked.name!r}: the host's address {given} is already in use on the parent:"
            f" by {who}",
            hint="choose another one, or leave --aux-address host-access=… out to get a free one;"
            " -o duplicate-probe=false does not ask",
            code="SDD-IPAM-DUPLICATE",
        )


def _no_room(ground: Ground, asked: request.NetworkCreate, pool: network.Pool) -> errors.Invalid:
    strange = sum(bool(who) and ip in pool.subnet for ip, who in ground.strangers.items())
    others = f": {strange} are in use by others" if strange else ""
    return errors.Invalid(
        f"network {asked.name!r}: {pool.subnet} has no address left for the host{others}",
        hint="choose a larger subnet or fewer auxiliary addresses",
        code="SDD-NET-AUX",
    )
