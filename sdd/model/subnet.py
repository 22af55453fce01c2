"""Text → a subnet; the one check of its form and of its use, wherever a subnet comes from."""

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from sdd import errors
from sdd.model import address

CODE = "SDD-NET-SUBNET"

# What no link of a network can have as its subnet (RFC 6890), with the words for it.
_UNUSABLE = (
    (ip_network("0.0.0.0/8"), 'addresses of "this network"'),
    (ip_network("127.0.0.0/8"), "loopback addresses"),
    (ip_network("224.0.0.0/4"), "multicast addresses"),
    (ip_network("255.255.255.255/32"), "the broadcast address"),
    (ip_network("240.0.0.0/4"), "reserved addresses (class E), which many systems refuse"),
    (ip_network("169.254.0.0/16"), "link-local addresses, which hosts give themselves"),
    (ip_network("::/127"), "the unspecified and the loopback address"),
    (ip_network("::ffff:0:0/96"), "IPv4 addresses written as IPv6, which no wire carries"),
    (ip_network("fe80::/10"), "link-local addresses, which every link has"),
    (ip_network("ff00::/8"), "multicast addresses"),
)


def unusable(subnet: IPv4Network | IPv6Network) -> str:
    """Why no network can have `subnet`, as the end of a sentence; empty when one can."""
    for reserved, words in _UNUSABLE:
        if overlaps(subnet, reserved):
            return f"holds {words} ({reserved})"
    return ""


def overlaps(one: IPv4Network | IPv6Network, other: IPv4Network | IPv6Network) -> bool:
    """Whether they share an address; never over two families."""
    match one, other:
        case (IPv4Network(), IPv4Network()) | (IPv6Network(), IPv6Network()):
            return one.overlaps(other)
        case _:
            return False


def loose(text: str) -> IPv4Network | IPv6Network:
    """The subnet that holds the address of `text`; raises Invalid unless it is CIDR notation."""
    try:
        address.check(text)
        found = ip_network(text, strict=False)
    except address.Zoned:
        raise errors.Invalid(
            f'"{text}" is not a subnet: it names a link',
            hint=f"leave out what follows it: {address.without_zone(text)}",
            code=CODE,
        ) from None
    except ValueError:
        raise errors.Invalid(
            f'"{text}" is not a subnet', hint="write it as in 10.1.0.0/24", code=CODE
        ) from None
    if "/" not in text:
        raise errors.Invalid(
            f'the subnet "{text}" has no prefix length', hint=f"such as {text}/24", code=CODE
        )
    return found


def parse(text: str) -> IPv4Network | IPv6Network:
    """The subnet that `text` is; raises Invalid also for one with host bits."""
    found = loose(text)
    if found.network_address != ip_address(text.partition("/")[0]):
        raise errors.Invalid(
            f"{text} is an address of the subnet {found}, not a subnet: it has host bits set",
            hint=f"use {found}",
            code=CODE,
        )
    return found
