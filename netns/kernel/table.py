"""The host's nft table: written when it differs, read only when somebody changed rules.

In: a `firewall.Table`. Out: the same, as long as the kernel still holds what was written. The
kernel's generation number tells cheaply whether anybody touched any rule; then our table is
listed and compared with the listing made right after our own write.
"""

import json
import threading
from typing import Any

from netns import firewall, ruleset
from sdd import errors
from sdd.linux import netlink, nft

_TRIES = 3  # somebody else's transaction may come between our write and our reading


class HostTable:
    """Our table in the namespace in which the methods are called.

    Each method alone: somebody may look while a pass writes.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._written: firewall.Table | None = None
        self._listing = ""
        self._generation = -1

    def read(self) -> firewall.Table | None:
        """What was written, when it is still there and unchanged; None when unknown or changed."""
        with self._lock:
            if self._written is None:
                return None
            now = _generation()
            if now != self._generation:
                if _listing() != self._listing:
                    return None
                self._generation = now
            return self._written

    def write(self, table: firewall.Table) -> None:
        """Makes the table `table` in one transaction; raises `errors.KernelRefused`."""
        with self._lock:
            self._write(table)

    def _write(self, table: firewall.Table) -> None:
        self._written = None
        with nft.Nft() as rules:
            rules.run(ruleset.text(table))
        for _ in range(_TRIES):
            before = _generation()
            self._listing = _listing()
            if _generation() == before:
                self._generation = before
                self._written = table
                return


def _generation() -> int:
    with netlink.Connection(netlink.NETFILTER) as connection:
        return nft.generation(connection)


def _listing() -> str:
    """Our table in a canonical form: no handles, elements in order; empty when there is none."""
    with nft.Nft() as rules:
        try:
            printed = rules.json(f"list table {ruleset.NAME}")
        except errors.KernelRefused:
            return ""
    return json.dumps(_canonical(printed["nftables"][1:]), sort_keys=True)


def _canonical(value: Any) -> Any:
    if isinstance(value, dict):
        plain = {key: _canonical(each) for key, each in value.items() if key != "handle"}
        if isinstance(plain.get("elem"), list):
            plain["elem"].sort(key=lambda each: json.dumps(each, sort_keys=True))
        return plain
    return [_canonical(each) for each in value] if isinstance(value, list) else value
