"""What the store's keys say besides the objects: revisions, who took what, where to go on.

In: every key that the feed sees. Out: answers without a walk over the state, so that one more
endpoint costs the same on a network of ten and of ten thousand.
"""

from collections import defaultdict
from collections.abc import Set as AbstractSet
from ipaddress import ip_address

from sdd.control import keys
from sdd.model import ids
from sdd.model.network import IPAddress, IPNetwork

NONE: AbstractSet[IPAddress] = frozenset()


class Claims:
    """As of the feed's state: the feed changes both in one step."""

    def __init__(self) -> None:
        self._revisions: dict[str, ids.Revision] = {}
        self._cursors: dict[str, IPAddress] = {}
        self._addresses: defaultdict[str, set[IPAddress]] = defaultdict(set)
        self._ports: dict[str, str] = {}

    def wrote(self, key: str, value: bytes, revision: ids.Revision) -> None:
        """`key` was written."""
        self._revisions[key] = revision
        if key.startswith(keys.CURSORS):
            self._cursors[key] = ip_address(value.decode())
        elif key.startswith(keys.ADDRESSES):
            net, ip = keys.address_of(key)
            self._addresses[net].add(ip)
        elif key.startswith(keys.PORTS):
            self._ports[key] = value.decode()

    def deleted(self, key: str) -> None:
        """`key` is gone."""
        self._revisions.pop(key, None)
        self._cursors.pop(key, None)
        self._ports.pop(key, None)
        if key.startswith(keys.ADDRESSES):
            net, ip = keys.address_of(key)
            self._addresses[net].discard(ip)
            if not self._addresses[net]:
                del self._addresses[net]

    def ports_at(self, key: str) -> str:
        """What was written about a published port; empty when nobody publishes it."""
        return self._ports.get(key, "")

    def revision_of(self, key: str) -> ids.Revision:
        """The revision that wrote `key` last; 0 when it is absent."""
        return self._revisions.get(key, ids.NEVER)

    def holds(self, key: str) -> bool:
        """Whether `key` is there."""
        return key in self._revisions

    def cursor_of(self, net: ids.NetworkId, subnet: IPNetwork) -> IPAddress | None:
        """The last address given automatically in the subnet of the network."""
        return self._cursors.get(keys.cursor(net, subnet))

    def addresses_of(self, net: ids.NetworkId) -> AbstractSet[IPAddress]:
        """The addresses of the network that endpoints and services hold."""
        return self._addresses.get(net, NONE)
