"""Why a question has no good answer: the extended errors of our replies (RFC 8914).

In: what upstream servers did and said. Out: codes of the registry with a short text.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from resolver.message import wire

OTHER: Final = 0
CACHED: Final = 13  # RFC 8914 §4.14
UNREACHABLE: Final = 22  # §4.23
NETWORK: Final = 23  # §4.24: not even asked
# How those begin that no way leads to, or to which there is no socket.
AWAY: Final = ("unreachable", "replaced", "short")
OVERLOADED: Final = wire.Explain(OTHER, "too many questions are under way")
REPLACED: Final = wire.Explain(
    OTHER, "the servers of this sandbox were just replaced: the next question is asked of others"
)
LOOP: Final = wire.Explain(OTHER, "this question came back: an upstream server asks us")
NO_UPSTREAM: Final = wire.Explain(OTHER, "no upstream server may be asked from this sandbox")
SEALED: Final = wire.Explain(
    OTHER, "no upstream server may be asked from this sandbox: all its networks are internal"
)
NOT_READY: Final = wire.Explain(  # §4.15: later there may be some
    14,
    "no upstream server is known: no --dns, no dns of the daemon, none in the host's resolv.conf",
)
NO_NETWORK: Final = wire.Explain(  # the same
    14, "the sandbox is on no network: sdctl network connect NETWORK SANDBOX"
)
CIRCLE: Final = wire.Explain(
    OTHER, "aliases of several servers, or of theirs and ours, lead to each other"
)
ALIASES: Final = wire.Explain(
    OTHER, "aliases of ours lead in a circle, or are more than 8 in a row"
)
TOO_MANY: Final = wire.Explain(
    OTHER, "its aliases lead through more names of others than are asked for one question"
)
STALE: Final = wire.Explain(3, "the upstream servers do not answer")
SPECIAL: Final = wire.Explain(
    OTHER,
    "names with this ending are asked nobody, unless dns-forward-zones"
    " or a network's --dns-forward-zone has it",
)
PASSED_OVER: Final = "passed over"
TOO_LATE: Final = wire.Explain(UNREACHABLE, "no upstream server answered in time")
TOO_SLOW: Final = wire.Explain(
    OTHER, "its aliases lead through names of others that took all the time of one question"
)
CUT: Final = wire.Explain(
    OTHER, "the answer is too long for UDP, and the upstream server gave none over TCP"
)
# Nothing is known of what was asked for, nor soon will be: to ask again is right.
PASSING: Final = frozenset({OVERLOADED, REPLACED, LOOP})
MOST_TEXT: Final = 160
# The registry's words, for people who read codes of servers.
NAMES: Final = {
    1: "Unsupported DNSKEY Algorithm",
    2: "Unsupported DS Digest Type",
    3: "Stale Answer",
    4: "Forged Answer",
    5: "DNSSEC Indeterminate",
    6: "DNSSEC Bogus",
    7: "Signature Expired",
    8: "Signature Not Yet Valid",
    9: "DNSKEY Missing",
    10: "RRSIGs Missing",
    11: "No Zone Key Bit Set",
    12: "NSEC Missing",
    13: "Cached Error",
    14: "Not Ready",
    15: "Blocked",
    16: "Censored",
    17: "Filtered",
    18: "Prohibited",
    19: "Stale NXDOMAIN Answer",
    20: "Not Authoritative",
    21: "Not Supported",
    22: "No Reachable Authority",
    23: "Network Error",
    24: "Invalid Data",
}


def failed(results: Iterable[tuple[str, str, bool]]) -> wire.Explain:
    """Which server did what: (server, what it did, whether it spoke), the last of each counting."""
    last = {server: (what, spoke) for server, what, spoke in results}
    told = ", ".join(f"{server} {what}" for server, (what, _) in last.items())
    if any(spoke for _, spoke in last.values()):
        return wire.Explain(OTHER, f"no good answer: {told}"[:MOST_TEXT])
    is_away = bool(last) and all(what.startswith(AWAY) for what, _ in last.values())
    code = NETWORK if is_away else UNREACHABLE
    return wire.Explain(code, f"no upstream server answered: {told}"[:MOST_TEXT])


def again(explain: Sequence[wire.Explain]) -> tuple[wire.Explain, ...]:
    """The same, of a failure that is remembered: what servers said, then our own word of it."""
    *said, ours = explain or (wire.Explain(OTHER),)
    return (*said, wire.Explain(CACHED, f"a moment ago: {ours.text}"[:MOST_TEXT]))


def passed_over(ours: str) -> wire.Explain:
    """Why there is "no such name" for a failure: the search list has a name of ours beside it.

    `ours` says which one, and where.
    """
    return wire.Explain(OTHER, f"{PASSED_OVER}: {ours} in the search list"[:MOST_TEXT])


def followed(ours: str) -> wire.Explain:
    """Why nobody is asked: the same stub was told of a name of ours a moment ago."""
    return wire.Explain(OTHER, f"not asked: {ours} in the search list"[:MOST_TEXT])


def told(explain: Iterable[wire.Explain]) -> str:
    """For people: `6 DNSSEC Bogus: no signature`; several after each other."""
    return ", ".join(map(_told, explain))


def _told(one: wire.Explain) -> str:
    name = " ".join(filter(None, (str(one.code), NAMES.get(one.code, ""))))
    return f"{name}: {one.text}" if one.text else name
