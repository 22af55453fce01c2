"""resolv.conf: what a host's says, and what a sandbox's shall say.

In: hostile text; the settings of a sandbox, its networks and the daemon. Out: values and text,
nothing is read or written here. Rules: resolv.conf(5), Docker's (docker.md R1-R7).
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Final

from sdd.model import nameserver
from sdd.model.network import IPAddress

EMBEDDED: Final = nameserver.OURS
PORT: Final = 53  # and where programs ask it: resolv.conf(5) knows no other
MOST_LINE: Final = 1024  # characters; a longer line is ignored, no resolver reads one
MOST_SEARCH: Final = 254  # characters of a line, all that musl reads (dns_and_users.md A1)
MOST_VALUES: Final = 32  # of each kind; a resolver uses 3 servers and 6 domains
_DOMAIN = re.compile(r"\.|[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_.])?")
_OPTION = re.compile(r"[a-z0-9-]{1,32}(:[0-9]{1,5})?")
_KEYWORD = re.compile(r"[a-z]{1,32}")
_WORD = re.compile(r"[!-~]+")
_SCOPE = re.compile(r"[A-Za-z0-9_.-]{1,15}")  # an interface name
_NDOTS = re.compile(r"ndots:[0-9]{1,5}")
_DEFAULT_NDOTS: Final = 1  # resolv.conf(5)
_MOST_NDOTS: Final = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What a host's file says.

    `invalid` holds the nameservers that are no addresses, `skipped` what else was left out, as it
    may be shown; `others` the lines whose keyword means nothing to us.
    """

    path: str = "/etc/resolv.conf"
    servers: tuple[IPAddress, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    invalid: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A sandbox's resolv.conf before it is text.

    `upstreams` are told in comments, as (address, where it comes from); so are `origins`, as
    (which line, where it comes from).
    """

    servers: tuple[IPAddress, ...]
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    upstreams: tuple[tuple[str, str], ...] = ()
    origins: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


def parse(text: str, path: str = "/etc/resolv.conf") -> Host:
    """What `text` says; whatever is not understood is left out, nothing is raised.

    The last of `search` and `domain` wins, `options` add up, the last `ndots` wins.
    """
    servers: list[IPAddress] = []
    invalid: list[str] = []
    search: tuple[str, ...] = ()
    options: list[str] = []
    others: list[str] = []
    skipped: list[str] = []
    for line in _lines(text):
        keyword, *values = line.split()
        if line[0].isspace():  # neither glibc nor musl looks behind the blank
            skipped.append(f"{_printable(line.lstrip())} (behind a blank)")
            continue
        if len(line) > MOST_LINE:
            skipped.append(f"{_printable(line)}… ({len(line)} characters)")
            continue
        match keyword:
            case "nameserver":
                address = _address(values[0])
                if address is None:
                    invalid.append(_printable(values[0]))
                elif address not in servers:
                    servers.append(address)
            case "search" | "domain":
                search = tuple(name for name in values if _DOMAIN.fullmatch(name))
                skipped += _left_out(keyword, values, _DOMAIN)
            case "options":
                options += (each for each in values if _OPTION.fullmatch(each))
                skipped += _left_out(keyword, values, _OPTION)
            case _ if _KEYWORD.fullmatch(keyword) and all(map(_WORD.fullmatch, values)):
                others.append(" ".join((keyword, *values)))
            case _:
                skipped.append(_printable(line))
    return Host(
        path=path,
        servers=tuple(servers[:MOST_VALUES]),
        search=tuple(dict.fromkeys(search))[:MOST_VALUES],
        options=tuple(dict.fromkeys(options))[:MOST_VALUES],
        invalid=tuple(invalid[:MOST_VALUES]),
        skipped=tuple(dict.fromkeys(skipped))[:MOST_VALUES],
        others=tuple(dict.fromkeys(others))[:MOST_VALUES],
    )


def with_ndots(options: Sequence[str]) -> tuple[str, ...]:
    """`options` with the last valid ndots, `ndots:0` where there is none (docker.md R6).

    With ndots:0 a bare name is asked as it is, first: that is how names of a network are found.
    """
    valid = [each for each in options if is_ndots(each)]
    others = dict.fromkeys(each for each in options if not each.startswith("ndots"))
    return (*others, valid[-1] if valid else "ndots:0")


def is_ndots(option: str) -> bool:
    """Whether `option` is a valid ndots."""
    return bool(_NDOTS.fullmatch(option))


def ndots(options: Iterable[str]) -> int:
    """The last ndots of the options, 1 without any, at most 15 (as glibc)."""
    given = [each.removeprefix("ndots:") for each in options if each.startswith("ndots:")]
    return min(int(given[-1]), _MOST_NDOTS) if given else _DEFAULT_NDOTS


def searched(domains: Iterable[str]) -> tuple[str, ...]:
    """`domains` without `.`, which says "none"."""
    return tuple(dict.fromkeys(name for name in domains if name != "."))


def unread(domains: Sequence[str]) -> str:
    """That one C library passes over a search list, as it is too long; empty when none does."""
    length = len(_search(domains))
    if length <= MOST_SEARCH:
        return ""
    return (
        f"the search line has {length} characters, and musl (Alpine) takes no note of one that has"
        f" more than {MOST_SEARCH}: programs there have no search list"
    )


def _search(domains: Iterable[str]) -> str:
    return f"search {' '.join(domains)}"


def render(wanted: Wanted) -> str:
    """The file's text: what resolvers read first, then comments for people."""
    lines = ["# Written by sdd. Change it and sdd never touches it again."]
    lines += (f"nameserver {address}" for address in wanted.servers)
    if wanted.search:
        lines.append(_search(wanted.search))
    if wanted.options:
        lines.append(f"options {' '.join(wanted.options)}")
    lines += wanted.others
    lines.append("")
    lines += (f"# {what}: {origin}" for what, origin in wanted.origins)
    lines += (f"# upstream: {address} ({origin})" for address, origin in wanted.upstreams)
    lines += (f"# {note}" for note in (*wanted.notes, unread(wanted.search)) if note)
    return "\n".join(lines).rstrip("\n") + "\n"


def _lines(text: str) -> Iterator[str]:
    """The lines that say something."""
    # No splitlines(): a form feed or U+2028 ends no line for a resolver.
    for line in text.replace("\r", "\n").split("\n"):
        words = line.split()
        if len(words) > 1 and not words[0].startswith(("#", ";")):
            yield line


def _left_out(keyword: str, values: Iterable[str], form: re.Pattern[str]) -> Iterator[str]:
    return (f"{keyword} {_printable(each)}" for each in values if not form.fullmatch(each))


def _address(text: str) -> IPAddress | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    scope = address.scope_id if isinstance(address, IPv6Address) else None
    return address if scope is None or _SCOPE.fullmatch(scope) else None


def _printable(text: str) -> str:
    """The beginning of hostile text, fit for a comment."""
    return "".join(char if char.isascii() and char.isprintable() else "?" for char in text[:64])
