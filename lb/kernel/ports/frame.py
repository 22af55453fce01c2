"""The table `inet sdd-ports` without its elements: a fixed set of rules over sets and maps.

The number of rules does not depend on the number of ports. A table of its own, because ports come
and go one by one while the fences of networks (`inet sdd`) are written as a whole.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from lb.kernel import nft_frame

TABLE = "sdd-ports"
_ADDRESS = {4: "ipv4_addr", 6: "ipv6_addr"}
_IP = {4: "ip", 6: "ip6"}
_FAMILY = {4: "ipv4", 6: "ipv6"}
_RAW, _DNAT, _FILTER = -300, -100, 0
_BEFORE_SNAT = 99  # before `inet sdd` lets packets between a network and its own gateway be
_PORTS = "meta l4proto { tcp, udp, sctp }"
_PORT = "meta l4proto . th dport"
# The number that the client asked for; nft knows its type only behind a match of a port.
_HAS_PORT = f"{_PORTS} th dport != 0"
_ASKED = "meta l4proto . ct original proto-dst"
VERDICT = "verdict"


def _types() -> Iterator[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    for version, address in _ADDRESS.items():
        for kind, where in (("at", (address,)), ("any", ())):
            key = (*where, "inet_proto", "inet_service")
            yield f"to_{kind}{version}", key, (address, "inet_service")
            yield f"pool_{kind}{version}", key, (VERDICT,)
            yield f"own_{kind}{version}", key, ()
            yield f"masked_{kind}{version}", (*key, address), ()
        yield f"self{version}", (address, address), ()
    yield "bridges", ("ifname", "ifname"), ()
    yield "outward", ("inet_proto", "inet_service"), ()


# name → the types of the key and of the data; without data it is a set
SETS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = MappingProxyType(
    {name: (key, data) for name, key, data in _types()}
)


def _declared(name: str) -> str:
    key, data = SETS[name]
    if not data:
        return f"set {name} {{ type {' . '.join(key)}; }}"
    return f"map {name} {{ type {' . '.join(key)} : {' . '.join(data)}; }}"


def _leading() -> Iterator[str]:
    """The narrower first: what is published on one address is not what is on all."""
    for kind in ("at", "any"):
        for version, ip in _IP.items():
            first = "" if kind == "at" else f"meta nfproto {_FAMILY[version]} "
            key = f"{ip} daddr . {_PORT}" if kind == "at" else _PORT
            yield f"{first}{_PORTS} dnat {ip} to {key} map @to_{kind}{version}"
            yield f"{first}{key} vmap @pool_{kind}{version}"


def _refusing() -> Iterator[str]:
    for version, ip in _IP.items():
        yield f"ct state new {ip} daddr . {_PORT} @own_at{version} goto refused"
        yield f"ct state new meta nfproto {_FAMILY[version]} {_PORT} @own_any{version} goto refused"


def _masking() -> Iterator[str]:
    """A neighbour would answer its neighbour directly, and 127.0.0.1 is nobody outside."""
    yield "ct status dnat iifname . oifname @bridges masquerade"
    yield "ct status dnat ip saddr 127.0.0.0/8 masquerade"
    for version, ip in _IP.items():
        # With br_netfilter such a packet has no link that it came by.
        yield f"ct status dnat {ip} saddr . {ip} daddr @self{version} masquerade"
        at = f"ct original {ip} daddr . {_ASKED} . {ip} daddr"
        yield f"ct status dnat {_HAS_PORT} {at} @masked_at{version} masquerade"
        any_ = f"{_ASKED} . {ip} daddr"
        yield f"ct status dnat {_HAS_PORT} {any_} @masked_any{version} masquerade"


CHAINS = (
    nft_frame.Chain(
        "guard",
        ("filter", "prerouting", _RAW),
        (
            # Bridges with published ports take 127.0.0.1 for an address like any other
            # (route_localnet): nobody outside may use that (CVE-2020-8558).
            'iifname != "lo" ip daddr 127.0.0.0/8 drop',
            'iifname != "lo" ip saddr 127.0.0.0/8 drop',
        ),
    ),
    nft_frame.Chain("lead", None, tuple(_leading())),
    nft_frame.Chain("arriving", ("nat", "prerouting", _DNAT), ("fib daddr type local jump lead",)),
    nft_frame.Chain(
        "leaving",
        ("nat", "output", _DNAT),
        # No packet from ::1 gets out of the host: it is refused, and clients try 127.0.0.1.
        (
            "ip6 daddr ::1 return",
            f"ip daddr 127.0.0.0/8 {_PORT} @outward return",
            "fib daddr type local jump lead",
        ),
        version=2,
    ),
    nft_frame.Chain("refused", None, nft_frame.REJECT),
    # The sockets that hold the ports drop what they get: say no instead.
    nft_frame.Chain("refuse", ("filter", "input", _FILTER), tuple(_refusing())),
    nft_frame.Chain("mask", ("nat", "postrouting", _BEFORE_SNAT), tuple(_masking()), version=2),
)
REMOVE = f"add table inet {TABLE}\ndelete table inet {TABLE}"  # adding first: it may be absent
FRAME = nft_frame.frame(tuple(map(_declared, SETS)), CHAINS, TABLE)
