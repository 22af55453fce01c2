"""The hosts file of a sandbox: localhost, added hosts, then its own addresses.

In: the sandbox and its endpoints in gateway order. Out: text (docker.md R11, R13).
"""

from collections.abc import Iterable
from typing import Final

from sdd.model import endpoint, sandbox

BASE: Final = (
    "127.0.0.1\tlocalhost",
    "::1\tlocalhost ip6-localhost ip6-loopback",
    "fe00::\tip6-localnet",
    "ff00::\tip6-mcastprefix",
    "ff02::1\tip6-allnodes",
    "ff02::2\tip6-allrouters",
)


def render(box: sandbox.Sandbox, ends: Iterable[endpoint.Endpoint]) -> str:
    """The file's text; own lines name the hostname, with its first label when it has dots."""
    own = box.hostname or box.name
    names = f"{own} {own.partition('.')[0]}" if "." in own else own
    lines = [
        *BASE,
        *(f"{each.address}\t{each.name}" for each in box.extra_hosts),
        *(f"{address}\t{names}" for end in ends for address in _ordered(end)),
    ]
    return "\n".join(lines) + "\n"


def without_ipv6(text: str) -> str:
    """The same file for a sandbox in which IPv6 is switched off (docker.md R12)."""
    kept = [line for line in text.splitlines(keepends=True) if ":" not in line.partition("\t")[0]]
    return "".join(kept)


def _ordered(end: endpoint.Endpoint) -> list[str]:
    return [str(each) for each in sorted(end.hosts, key=lambda address: address.version)]
