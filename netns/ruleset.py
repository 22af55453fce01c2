"""The host's table as nft text: a fixed set of rules over sets that hold all networks.

In: a `firewall.Table`. Out: one buffer, which libnftables applies as one transaction. The number
of rules does not depend on the number of networks or endpoints.
"""

from collections.abc import Iterable, Sequence

from netns import firewall

NAME = "inet sdd"
# Adding before deleting makes the deletion succeed when there is no table yet.
DROP = f"add table {NAME}\ndelete table {NAME}\n"

_RULES = """\
    chain forward {
        type filter hook forward priority filter; policy accept;
        iifname . oifname @same accept comment "frames of one bridge, seen with br_netfilter"
        iifname @internal drop
        oifname @internal drop
        ct state established,related accept
        iifname . oifname @trusted accept
        ct status dnat accept comment "published ports: only the host itself leads packets here"
        meta nfproto . oifname @open accept
        meta nfproto . oifname @routed meta l4proto { icmp, ipv6-icmp } accept
        meta l4proto { tcp, udp, sctp } ip daddr . meta l4proto . th dport @openings4 accept
        meta l4proto { tcp, udp, sctp } ip6 daddr . meta l4proto . th dport @openings6 accept
        oifname @networks drop
        iifname @networks accept
        meta nfproto @guarded drop
    }
    chain postrouting {
        type nat hook postrouting priority srcnat; policy accept;
        oifname @internal return comment "frames of one bridge, seen with br_netfilter"
        ip saddr . oifname @home4 return
        ip6 saddr . oifname @home6 return
        ct status dnat oifname @networks return comment "published ports: the client stays itself"
        snat ip to ip saddr map @source4
        snat ip6 to ip6 saddr map @source6
        ip saddr @nat4 masquerade
        ip6 saddr @nat6 masquerade
    }
"""
_PROTOCOL = {4: "ipv4", 6: "ipv6"}  # nft's names of nf_proto
_KIND = {4: "ipv4_addr", 6: "ipv6_addr"}
_Pair = tuple[firewall.Fence, firewall.Side]


def text(table: firewall.Table) -> str:
    """What makes the table exactly `table`; without fences it only goes."""
    if not table.fences:
        return DROP
    return f"{DROP}table {NAME} {{\n{''.join(_sets(table))}{_RULES}}}\n"


def _sets(table: firewall.Table) -> Iterable[str]:
    fences = sorted(table.fences, key=lambda fence: fence.device)
    crossed = [
        (fence, side)
        for fence in fences
        if not fence.internal
        for side in sorted(fence.sides, key=lambda side: str(side.subnet))
    ]
    yield _set("networks", "ifname", map(_name, fences))
    yield _set("internal", "ifname", (_name(fence) for fence in fences if fence.internal))
    social = (_name(fence) for fence in fences if fence.is_social)
    yield _set("same", "ifname . ifname", (f"{name} . {name}" for name in social))
    yield _set("trusted", "ifname . ifname", _trusted(fences))
    yield _set("open", "nf_proto . ifname", _ways(crossed, firewall.Way.OPEN))
    yield _set("routed", "nf_proto . ifname", _ways(crossed, firewall.Way.ROUTED))
    yield _set("guarded", "nf_proto", (_PROTOCOL[each] for each in sorted(table.guarded)))
    for version, kind in _KIND.items():
        yield _set(
            f"openings{version}", f"{kind} . inet_proto . inet_service", _openings(fences, version)
        )
    for version in _KIND:
        pairs = [pair for pair in crossed if pair[1].subnet.version == version and pair[1].masked]
        yield from _masks(version, pairs)


def _openings(fences: Iterable[firewall.Fence], version: int) -> Iterable[str]:
    found = (each for fence in fences for each in fence.openings)
    lines = (
        f"{each.address} . {each.protocol} . {each.port}"
        for each in found
        if each.address.version == version
    )
    return sorted(lines)


def _masks(version: int, pairs: Sequence[_Pair]) -> Iterable[str]:
    kind = _KIND[version]
    homes = (f"{side.subnet} . {_name(fence)}" for fence, side in pairs)
    yield _set(f"home{version}", f"{kind} . ifname", homes, flags="interval")
    plain = (str(side.subnet) for _, side in pairs if side.source is None)
    yield _set(f"nat{version}", kind, plain, flags="interval")
    sources = (f"{side.subnet} : {side.source}" for _, side in pairs if side.source is not None)
    yield _set(f"source{version}", f"{kind} : {kind}", sources, flags="interval", what="map")


def _ways(pairs: Iterable[_Pair], way: firewall.Way) -> Iterable[str]:
    found = {(side.subnet.version, _name(fence)) for fence, side in pairs if side.way is way}
    return (f"{_PROTOCOL[version]} . {name}" for version, name in sorted(found))


def _trusted(fences: Iterable[firewall.Fence]) -> Iterable[str]:
    for fence in fences:
        for link in sorted(fence.trusted):
            yield f'"{link}" . {_name(fence)}'


def _name(fence: firewall.Fence) -> str:
    return f'"{fence.device}"'


def _set(
    name: str, kind: str, elements: Iterable[str], *, flags: str = "", what: str = "set"
) -> str:
    listed = ", ".join(elements)
    lines = [
        f"    {what} {name} {{",
        f"        type {kind}",
        *([f"        flags {flags}"] if flags else []),
        *([f"        elements = {{ {listed} }}"] if listed else []),
        "    }\n",
    ]
    return "\n".join(lines)
