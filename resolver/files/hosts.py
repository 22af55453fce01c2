"""The hosts file of a sandbox: localhost, added hosts, then its own addresses.

In: the sandbox and its endpoints in gateway order. Out: text (docker.md R11, R13).
"""

from collections.abc import Iterable
from typing import Final

from sdd.model import endpoint, loopback, sandbox

BASE: Final = (
    "127.0.0.1\tlocalhost",
    "::1\tlocalhost ip6-localhost ip6-loopback",
    "fe00::\tip6-localnet",
    "ff00::\tip6-mcastprefix",
    "ff02::1\tip6-allnodes",
    "ff02::2\tip6-allrouters",
)


def render(box: sandbox.Sandbox, ends: Iterable[endpoint.Endpoint]) -> str:
    """The file's text; own lines name the hostname, with its first label when it has dots.

    A hostname of `localhost` or below it stays the loopback address alone (RFC 6761 §6.3).
    """
    is_loopback = loopback.is_loopback(box.hostname)
    own = box.name if is_loopback else box.hostname or box.name
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


def kept_up(there: bytes, before: bytes, now: bytes) -> bytes:
    """A file that somebody edited, with the lines that are ours as they are `now`.

    `before` is what we said the last time. A line goes when it is byte for byte one that we do not
    say any more, what is new comes at the end; all else is left alone, and in its order
    (docker.md R14). Who took a line of ours out does not get it again.
    """
    old, new = ([line for line in text.split(b"\n") if line] for text in (before, now))
    gone = set(old) - set(new)
    kept = [line for line in there.split(b"\n") if line not in gone]
    said = {*old, *kept}
    more = [line for line in new if line not in said]
    text = b"\n".join(kept)
    if more and text and not text.endswith(b"\n"):
        text += b"\n"
    return text + b"".join(line + b"\n" for line in more)


def _ordered(end: endpoint.Endpoint) -> list[str]:
    return [str(each) for each in sorted(end.hosts, key=lambda address: address.version)]
