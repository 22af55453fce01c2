"""Text → an IP address; the one check of its form, wherever people give an address.

Python's own parser takes a zone, `fe80::1%eth0` (RFC 4007 §11). It names a link of one host, and
nothing that is stored here is about one link: names, tables and claims would tell apart what is one
address on the wire.
"""

from ipaddress import IPv4Address, IPv6Address, IPv6Interface, IPv6Network, ip_address

IPAddress = IPv4Address | IPv6Address


class Zoned(ValueError):
    """An address that names a link; says what to give instead."""

    def __init__(self, text: str) -> None:
        super().__init__(
            f'in "{text}" what follows "%" names a link of one host;'
            f" leave it out: {without_zone(text)}"
        )


def parse(text: str) -> IPAddress:
    """The address that `text` is. Raises ValueError, `Zoned` for one with a zone."""
    check(text)
    return ip_address(text)


def parse_v6(text: str) -> IPv6Address:
    """The IPv6 address that `text` is. Raises as `parse` does."""
    check(text)
    return IPv6Address(text)


def without_zone(text: str) -> str:
    """The address or prefix without the link that it names."""
    bare, _, rest = text.partition("%")
    _, slash, length = rest.partition("/")
    return f"{bare}{slash}{length}"


def check(text: str) -> None:
    """Raises `Zoned` if the text of an address or prefix names a link."""
    if "%" in text and ":" in text:
        raise Zoned(text)


def check_stored(*values: object) -> None:
    """Raises `Zoned` if one of the addresses or prefixes names a link: older releases kept such."""
    for each in values:
        if is_zoned(each):
            raise Zoned(str(each))


def is_zoned(value: object) -> bool:
    """Whether an address, prefix or interface address names a link."""
    match value:
        case IPv6Network():
            return value.network_address.scope_id is not None
        case IPv6Address() | IPv6Interface():
            return value.scope_id is not None
        case _:
            return False
