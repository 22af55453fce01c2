"""Text → a subnet; the one check of its form, for what people type and for what the API gets."""

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from sdd import errors

CODE = "SDD-NET-SUBNET"


def loose(text: str) -> IPv4Network | IPv6Network:
    """The subnet that holds the address of `text`; raises Invalid unless it is CIDR notation."""
    try:
        found = ip_network(text, strict=False)
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
