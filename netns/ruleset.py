"""The host's table as nft text: a fixed set of rules over sets that hold all networks.

In: a `firewall.Table`. Out: one buffer, which libnftables applies as one transaction. The number
of rules does not depend on the number of networks or endpoints.
"""

from collections.abc import Iterable

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
        oifname @networks drop
    }
    chain postrouting {
        type nat hook postrouting priority srcnat; policy accept;
        ip saddr . oifname @home4 return
        ip6 saddr . oifname @home6 return
        ip saddr @nat4 masquerade
        ip6 saddr @nat6 masquerade
    }
"""


def text(table: firewall.Table) -> str:
    """What makes the table exactly `table`; without fences it only goes."""
    if not table.fences:
        return DROP
    return f"{DROP}table {NAME} {{\n{''.join(_sets(table))}{_RULES}}}\n"


def _sets(table: firewall.Table) -> Iterable[str]:
    fences = sorted(table.fences, key=lambda fence: fence.device)
    names = [_quoted(fence) for fence in fences]
    yield _set("networks", "ifname", "", names)
    yield _set("internal", "ifname", "", [_quoted(fence) for fence in fences if fence.internal])
    yield _set("same", "ifname . ifname", "", [f"{name} . {name}" for name in names])
    for version, kind in ((4, "ipv4_addr"), (6, "ipv6_addr")):
        inside = [
            (str(subnet), _quoted(fence))
            for fence in fences
            if not fence.internal
            for subnet in sorted(fence.subnets, key=str)
            if subnet.version == version
        ]
        yield _set(f"nat{version}", kind, "interval", [subnet for subnet, _ in inside])
        homes = [f"{subnet} . {name}" for subnet, name in inside]
        yield _set(f"home{version}", f"{kind} . ifname", "interval", homes)


def _quoted(fence: firewall.Fence) -> str:
    return f'"{fence.device}"'


def _set(name: str, kind: str, flags: str, elements: Iterable[str]) -> str:
    listed = ", ".join(elements)
    lines = [
        f"    set {name} {{",
        f"        type {kind}",
        *([f"        flags {flags}"] if flags else []),
        *([f"        elements = {{ {listed} }}"] if listed else []),
        "    }\n",
    ]
    return "\n".join(lines)
