"""What `sdctl dns` shows of the DNS server, as frozen values."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheEntry:
    """One remembered answer. `left_s` below 0: kept only to be given when nobody answers.

    `sandbox` is empty for what all sandboxes share whose upstreams are `servers`. `flags` are those
    with which it was asked: `rd`, `cd` and `do`, as dig writes them.
    """

    name: str
    rdtype: str
    rcode: str
    records: int
    left_s: int
    sandbox: str
    servers: tuple[str, ...]
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """One server. `state` is new, up, due (may be asked again) or down, `rtt_ms` 0 if never heard.

    `zones` are those whose names it is asked for, "." for all that are in no other.
    `silent` counts the tries in a row without an answer. `sandbox` is the one from inside which it
    is asked, empty for the host's namespace. `error` was wrong `error_s` seconds ago and nothing
    after it; empty when nothing ever was.
    """

    address: str
    port: int
    sandbox: str
    state: str
    silent: int
    rtt_ms: float
    edns: bool
    keeps_case: bool
    zones: tuple[str, ...] = ()
    error: str = ""
    error_s: float = 0.0
