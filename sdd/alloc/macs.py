"""Link addresses: made from the IPv4 address as Docker does, else from random bytes; checked text.

An address made from the IP stays right in the neighbours' ARP tables when a sandbox is made again
with the same address.
"""

import re
from collections.abc import Iterable
from ipaddress import IPv4Interface, IPv6Interface

from sdd import errors

RANDOM_BYTES = 5
PREFIX = "02:42"  # locally administered; what people know from Docker
FORM = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


def of(addresses: Iterable[IPv4Interface | IPv6Interface], entropy: bytes) -> str:
    """`02:42:` + the first IPv4 address; without one `02:` + five random bytes."""
    for each in addresses:
        if isinstance(each, IPv4Interface):
            return f"{PREFIX}:{each.ip.packed.hex(':')}"
    if len(entropy) != RANDOM_BYTES:
        raise ValueError(f"a MAC needs {RANDOM_BYTES} random bytes, got {len(entropy)}")
    return f"02:{entropy.hex(':')}"


def checked(text: str) -> str:
    """`text` in lower case with colons; raises Invalid for what no interface can have."""
    mac = text.strip().lower().replace("-", ":")
    if not FORM.fullmatch(mac):
        raise _invalid(text, "six pairs of hex digits with colons are needed")
    if int(mac[:2], 16) & 1:
        raise _invalid(text, "it is a multicast address")
    if mac == "00:00:00:00:00:00":
        raise _invalid(text, "it is all zeros")
    return mac


def _invalid(text: str, why: str) -> errors.Invalid:
    return errors.Invalid(
        f"MAC address {errors.quoted(text)} cannot be used: {why}",
        hint="example of a free choice: 02:00:00:12:34:56",
        code="SDD-NET-MAC",
    )
