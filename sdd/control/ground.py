"""What every plan stands on, and what it comes to: values in, one transaction out.

A plan is a pure function of a Ground. It checks a request against the state, chooses what has to
be chosen, and collects writes and compares in a Draft. It never waits and never writes itself.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Generic, TypeVar

from sdd.alloc.pools import PoolTemplate
from sdd.control import keys
from sdd.control.claims import Claims
from sdd.model import health, ids, network, service
from sdd.model.host_link import HostLink
from sdd.model.host_route import HostRoute
from sdd.model.nameserver import Transport
from sdd.model.network import IPAddress, IPNetwork
from sdd.state import ClusterState
from sdd.store import codec
from sdd.store.contract import Compare, Delete, EmptyRange, Operation, Transaction, Unchanged, Write

T = TypeVar("T")
_NONE: AbstractSet[IPAddress] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """The state and everything else a plan may depend on.

    `claims` are as of `now`; `at` is seconds since the epoch; `entropy` gives that many random
    bytes; `transports` are those over which this node can ask name servers; `ipv6`: its kernel
    knows it; `host_prefixes` are its own routes; `strangers` says of the addresses that were asked
    for on the wire who has them, in words (nobody: empty), and `askers` is how many commands are
    asking just now; `links` are those of the host that were
    looked at, None for one that is not there.
    """

    now: ClusterState
    claims: Claims
    node: ids.NodeId
    at: float
    entropy: Callable[[int], bytes]
    exec_root: Path
    pools: tuple[PoolTemplate, ...]
    transports: frozenset[Transport]
    ipv6: bool = True
    host_prefixes: tuple[HostRoute, ...] = ()
    strangers: Mapping[IPAddress, str] = field(default_factory=dict)
    askers: int = 0
    links: Mapping[str, HostLink | None] = field(default_factory=dict)

    def new_id(self) -> str:
        """64 hex characters that nobody has."""
        return ids.from_random(self.entropy(ids.ID_BYTES))


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan(Generic[T]):
    """A transaction, what the caller gets for it, and whose failures concern the caller."""

    transaction: Transaction
    result: T
    subjects: frozenset[str]


class Draft:
    """Collects one transaction. The last word on a key counts, so a touch may follow a put."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self.made: set[str] = set()  # the ids of what it creates
        self._compares: dict[str, Compare] = {}
        self._operations: dict[str, Operation] = {}
        self._addresses: defaultdict[ids.NetworkId, set[IPAddress]] = defaultdict(set)

    def hold(self, value: codec.Object) -> None:
        """The plan is void when `value` changes or goes meanwhile."""
        self._unchanged(codec.key(value))

    def touch(self, value: codec.Object) -> None:
        """Hold `value` and give it a new revision: it guards a set that this plan changes."""
        self.hold(value)
        self.put(value)

    def create(self, value: codec.Object) -> None:
        """Write an object that must not exist yet."""
        self._unchanged(codec.key(value))
        self.put(value)
        if not isinstance(value, service.Member | health.Verdict):
            self.made.add(value.id)

    def replace(self, old: codec.Object, new: codec.Object) -> None:
        """Write `new` over `old`, which must still be as it was."""
        self.hold(old)
        self.put(new)

    def put(self, value: codec.Object) -> None:
        """Write an object."""
        self._operations[codec.key(value)] = Write(codec.key(value), codec.encode(value))

    def remove(self, value: codec.Object) -> None:
        """Remove an object that must still be as it was."""
        self.hold(value)
        self.delete(codec.key(value))

    def delete(self, key: str) -> None:
        """Remove whatever is at `key`."""
        self._operations[key] = Delete(key)

    def claim(self, key: str, holder: str) -> None:
        """Take `key` for `holder`; the plan is lost when somebody has it who keeps it."""
        if isinstance(self._operations.get(key), Delete):
            self._unchanged(key)  # the holder of now goes with this plan
        else:
            self._compares[key] = Unchanged(key, ids.NEVER)
        self._operations[key] = Write(key, holder.encode())

    def note(self, key: str, text: str) -> None:
        """Write without a compare."""
        self._operations[key] = Write(key, text.encode())

    def guard(self, key: str) -> None:
        """Hold `key` and give it a new revision: plans that guard it exclude each other."""
        self._unchanged(key)
        self.note(key, "")

    def rewrite(self, key: str, text: str) -> None:
        """Hold `key` and write `text` there; without text it goes."""
        self._unchanged(key)
        if text:
            self.note(key, text)
        else:
            self.delete(key)

    def empty(self, prefix: str) -> None:
        """The plan is lost when something is below `prefix`."""
        self._compares[prefix] = EmptyRange(prefix)

    def claim_address(self, net: network.Network, ip: IPAddress, holder: str) -> None:
        """Take one address of a network."""
        self.claim(keys.address(net.id, ip), holder)
        self._addresses[net.id].add(ip)

    def addresses_of(self, net: ids.NetworkId) -> AbstractSet[IPAddress]:
        """Those of the network that this draft has taken so far."""
        return self._addresses.get(net, _NONE)

    def cursor_of(self, net: ids.NetworkId, subnet: IPNetwork) -> IPAddress | None:
        """The last address given automatically, this draft's own included."""
        noted = self._operations.get(keys.cursor(net, subnet))
        if isinstance(noted, Write):
            return ip_address(noted.value.decode())
        return self._ground.claims.cursor_of(net, subnet)

    def plan(
        self, result: T, subjects: Collection[str], *, begins_removal: bool = False
    ) -> Plan[T]:
        """The finished plan; `begins_removal` as of a Transaction."""
        return Plan(
            transaction=Transaction(
                compares=tuple(self._compares.values()),
                operations=tuple(self._operations.values()),
                begins_removal=begins_removal,
            ),
            result=result,
            subjects=frozenset(subjects),
        )

    def _unchanged(self, key: str) -> None:
        self._compares[key] = Unchanged(key, self._ground.claims.revision_of(key))
