"""The table `inet sdd-dns` of one sandbox: port 53 of 127.0.0.11 leads to the real ports, and back.

In: ports. Out: nft text, and what a listing of it looks like. Stateless, without connection
tracking, in the raw output hook: everything passes it, the server's replies too (design.md §5).
So port 53 itself stays free for a server of the sandbox's own. A server that holds port 53 itself
needs no table, and one that is there would lead its clients astray.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from resolver import protocol
from resolver.files import resolvconf
from sdd import errors
from sdd.linux import netlink, nft

NAME: Final = "inet sdd-dns"
PORT: Final = resolvconf.PORT
CHAIN: Final = "output"
_PRISTINE: Final = 1  # the generation of a new namespace (net/netfilter/nf_tables_api.c)
_TRIES: Final = 3  # somebody else's transaction may come between our write and our reading
_GONE: Final = f"table {NAME}\ndelete table {NAME}\n"  # the first line lets the second succeed


class Redirects:
    """Writes the tables of many sandboxes; each method runs inside the sandbox's namespace.

    One caller at a time per namespace; remembers by `inode` what it saw to be right: of a listing
    only its digest, for a parsed one takes 12 KiB.
    """

    def __init__(self) -> None:
        self._seen: dict[int, tuple[protocol.Listening, int, bytes]] = {}

    def is_right(self, want: protocol.Listening) -> bool:
        """Whether the kernel has what is wanted; reads a mere number if no rule changed."""
        seen = self._seen.get(want.inode)
        now = _generation()
        if seen is not None and seen[0] == want and seen[1] == now:
            return True
        if now == _PRISTINE:
            return is_direct(want)
        listing = _listing()
        digest = _digest(listing)
        is_known = seen is not None and seen[0] == want and seen[2] == digest
        if not is_known and listing != _expected(want):
            return False
        self._seen[want.inode] = (want, now, digest)
        return True

    def write(self, want: protocol.Listening) -> None:
        """Make it the table in one transaction; raises `errors.KernelRefused`."""
        self._seen.pop(want.inode, None)
        if is_direct(want):
            self.remove(want.inode)
            return
        with nft.Nft() as rules, netlink.Connection(netlink.NETFILTER) as asked:
            is_new = nft.generation(asked) == _PRISTINE
            rules.run(text(want) if is_new else _GONE + text(want))
            for _ in range(_TRIES):
                before = nft.generation(asked)
                listing = _listed(rules)
                if nft.generation(asked) == before:
                    # nft of another version may list it in other words than `_expected`.
                    self._seen[want.inode] = (want, before, _digest(listing))
                    return

    def remove(self, inode: int) -> bool:
        """No table of ours is left; whether there was one."""
        self._seen.pop(inode, None)
        if _listing() is None:
            return False
        with nft.Nft() as rules:
            rules.run(_GONE)
        return True

    def forget(self, inode: int) -> None:
        """The namespace is gone; its number will be used again."""
        self._seen.pop(inode, None)


def is_direct(want: protocol.Listening) -> bool:
    """Whether the server holds port 53 itself."""
    return want.udp_port == PORT


def text(want: protocol.Listening) -> str:
    """The transaction that makes the table where there is none.

    A transaction that deletes makes whoever next closes a netfilter socket in the namespace wait
    for an RCU grace period, 10 ms and more (net/netfilter/nf_tables_api.c, nft_rcv_nl_event).
    """
    rules = "\n".join(
        f"    ip {way}addr {resolvconf.EMBEDDED} {protocol_} {way}port {old} notrack"
        f" {protocol_} {way}port set {new}"
        for way, protocol_, old, new in _rewrites(want)
    )
    return (
        f"table {NAME} {{\n  chain {CHAIN} {{\n"
        f"    type filter hook output priority raw; policy accept;\n{rules}\n  }}\n}}\n"
    )


def _rewrites(want: protocol.Listening) -> Sequence[tuple[str, str, int, int]]:
    """(d or s, transport, port before, port after)."""
    ports = (("udp", want.udp_port), ("tcp", want.tcp_port))
    there = [("d", transport, PORT, port) for transport, port in ports]
    back = [("s", transport, port, PORT) for transport, port in ports]
    return (*there, *back)


def _expected(want: protocol.Listening) -> object:
    """The table as nft 1.0 lists it, without handles; None where there shall be none."""
    if is_direct(want):
        return None
    family, table = NAME.split()
    chain = {
        "family": family,
        "table": table,
        "name": CHAIN,
        "type": "filter",
        "hook": "output",
        "prio": -300,
        "policy": "accept",
    }
    rules = [
        {
            "family": family,
            "table": table,
            "chain": CHAIN,
            "expr": [
                _match("ip", f"{way}addr", str(resolvconf.EMBEDDED)),
                _match(transport, f"{way}port", old),
                {"notrack": None},
                {"mangle": {"key": _field(transport, f"{way}port"), "value": new}},
            ],
        }
        for way, transport, old, new in _rewrites(want)
    ]
    return [
        {"table": {"family": family, "name": table}},
        {"chain": chain},
        *({"rule": rule} for rule in rules),
    ]


def _field(header: str, field: str) -> Mapping[str, Any]:
    return {"payload": {"protocol": header, "field": field}}


def _match(header: str, field: str, value: str | int) -> Mapping[str, Any]:
    return {"match": {"op": "==", "left": _field(header, field), "right": value}}


def _generation() -> int:
    with netlink.Connection(netlink.NETFILTER) as connection:
        return nft.generation(connection)


def _listing() -> object:
    """Our table without handles; None when there is none."""
    with nft.Nft() as rules:
        return _listed(rules)


def _digest(listing: object) -> bytes:
    return hashlib.blake2b(json.dumps(listing).encode(), digest_size=16).digest()


def _listed(rules: nft.Nft) -> object:
    try:
        printed = rules.json(f"list table {NAME}")
    except errors.KernelRefused:
        return None
    for each in printed["nftables"]:
        for value in each.values():
            value.pop("handle", None)
    return printed["nftables"][1:]
