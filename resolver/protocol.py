"""What sdd and a DNS worker say to each other over `<exec-root>/dns.sock` (SOCK_SEQPACKET).

In and out: one message per datagram, msgpack by msgspec, at most `MOST_BYTES`; descriptors ride
along as SCM_RIGHTS. What has a field `more` is sent in as many messages as it takes
(`resolver.parts`). A worker first says what it has (`Inventory`); sdd sends only what differs and
closes with `Apply`, at which everything staged becomes visible at once: an answer never mixes two
revisions. Both ends of a pair may be of different releases: an unknown message ends the
connection, and a worker whose `release` differs is replaced.
"""

from enum import IntEnum
from typing import Final, Generic, NamedTuple, TypeVar

import msgspec

SOCKET: Final = "dns.sock"  # in the exec-root
CONFINED: Final = 19  # the first release whose workers cannot change or leave what they were lent
RELEASE: Final = 25  # grows with every change of a message or of what a table means
MOST_BYTES: Final = 1 << 16  # well below the default wmem_max, so a send never needs privileges
GROUPS_A_PART: Final = 250  # 20 KiB as a rule; whoever takes them up keeps his askers waiting
MOST_DESCRIPTORS: Final = 32
FORWARD_ZONE: Final = "forward zone"  # the stage of a `Step`, whose text is the zone
OWN_ZONE: Final = "own zone"  # the same of a zone of our networks
_DNS_PORT, _DNS_PATH = 53, "/dns-query"  # what goes without saying of a server

# One name of a table: record type → the resource records of that type as wire bytes, each after
# the owner name (type, class, TTL, length, data). A name without the asked type is NODATA; one
# without any type (`{}`) has only names below it and gives way to another table's.
Entry = dict[int, list[bytes]]
Names = dict[bytes, Entry]  # lower-cased wire name → records
# Names that have the same records, as most have with another one. Sent they have an `Entry`; who
# takes them reads it when somebody asks.
Group = tuple[list[bytes], Entry]
E = TypeVar("E", Entry, msgspec.Raw)


class Message(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """Base of all messages."""


class Family(IntEnum):
    """Of addresses. A socket that has spoken IPv4 by a mapped address never speaks IPv6 again."""

    IPV4 = 4
    IPV6 = 6


class Listening(msgspec.Struct, frozen=True, array_like=True):
    """The listeners of one sandbox: ports of 127.0.0.11 in the namespace `inode`."""

    inode: int
    udp_port: int
    tcp_port: int


class Outward(msgspec.Struct, frozen=True, array_like=True):
    """How many sockets towards upstreams of one family a sandbox has, in the namespace `inode`."""

    inode: int
    udp: int
    tcp: int


Reach = dict[Family, Outward]  # of one sandbox; without those of which it has none


class Inventory(Message, frozen=True):
    """The worker's first message: what it serves. Digests are the sender's own, opaque here."""

    release: int
    pid: int
    revision: int
    tables: dict[str, str]
    views: dict[str, str]
    listeners: dict[str, Listening]
    quic: bool = False  # whether it has loaded the library for QUIC
    more: bool = False
    outward: dict[str, Reach] = {}


class TablePart(Message, Generic[E], frozen=True):
    """More names of the table `id`, and `further` records of those before; until its `TableEnd`."""

    id: str
    groups: list[tuple[list[bytes], E]]
    further: list[tuple[list[bytes], E]] = []


class TableEnd(Message, frozen=True):
    """The table `id` is complete: it replaces the one of that id."""

    id: str
    digest: str


class TableChange(Message, Generic[E], frozen=True):
    """The table `id` with the digest `base` becomes the one with `digest`, by a few names."""

    id: str
    base: str
    digest: str
    put: list[tuple[list[bytes], E]]
    gone: list[bytes]
    further: list[tuple[list[bytes], E]] = []


class TableGone(Message, frozen=True):
    """No view uses the table any more."""

    id: str


class Upstream(msgspec.Struct, frozen=True, array_like=True, cache_hash=True):
    """A server to forward to; `inside` is dialled with the sandbox's own sockets.

    `transport` is one of sdd.model.nameserver; for encrypted ones `name` is whom the certificate
    must name (empty: the address) and `ca` the file of authorities (empty: the system's).
    """

    address: str
    port: int
    inside: bool
    transport: str = "udp"
    name: str = ""
    path: str = ""
    ca: str = ""

    @property
    def label(self) -> str:
        """How people and metrics call it: the address, with what is not plain DNS.

        Two servers of one address are two: by port, path or the name that is to be proved.
        """
        if self.transport == "udp" and self.port == _DNS_PORT:
            return self.address
        host = f"[{self.address}]" if ":" in self.address else self.address
        path = "" if self.path == _DNS_PATH else self.path
        name = f"#{self.name}" if self.name else ""
        return f"{self.transport}://{host}:{self.port}{path}{name}"

    @property
    def family(self) -> Family:
        """Which sockets reach it."""
        return Family.IPV6 if ":" in self.address else Family.IPV4


class View(Message, frozen=True):
    """What one sandbox sees: tables in order (the first that has a name answers for it).

    `suffixes` are wire names (the networks' names and reverse zones): what ends in one and is in
    no table does not exist, and may be remembered as such for `ttl` seconds. `own` are the
    sandbox's added hosts. `keeps_single` means: what has one label only is never forwarded. No
    upstream means: a foreign name is SERVFAIL, nothing leaves; it is said not to be there where the
    sandbox is `sealed`: nobody may be asked as long as its networks are what they are. `wild` are
    those of `tables` that have wildcards. Questions are counted under `network`, the first one's
    name; `rate` of them a second may be sent on (0: no limit). `forwarded` are wire names of zones
    that are forwarded although they have a special use, or are private. `search` are the domains
    that the sandbox's programs try behind names of fewer dots than `ndots`, before these
    themselves.
    `routes` are zones that have servers of their own, by wire name.
    """

    sandbox: str
    digest: str
    tables: list[str]
    suffixes: list[bytes]
    own: Names
    upstreams: list[Upstream]
    ttl: int = 5
    keeps_single: bool = False
    wild: list[str] = []
    network: str = ""
    rate: int = 0
    forwarded: list[bytes] = []
    search: list[bytes] = []
    ndots: int = 0
    routes: dict[bytes, list[Upstream]] = {}
    sealed: bool = False
    more: bool = False


class Listen(Message, frozen=True):
    """Serve the sandbox on the descriptors that came along: UDP, TCP.

    Replaces the listeners that it has, which go on answering until `Led`: they are what port 53
    leads to until sdd knows that these serve. Where not both came it stays with those.
    """

    sandbox: str
    listening: Listening


class Lend(Message, frozen=True):
    """Ask the sandbox's own upstreams of `family` with the descriptors that came: UDP, then TCP.

    Replaces those that it has; with none at all it needs none any more. Where fewer came than it
    has, and not all, it stays with those.
    """

    sandbox: str
    family: Family
    outward: Outward


class Led(Message, frozen=True):
    """Port 53 of the sandbox leads to its newest listeners: close the former ones, if any."""

    sandbox: str


class Gone(Message, frozen=True):
    """The sandbox is gone: close its sockets and forget its view."""

    sandbox: str


class Apply(Message, frozen=True):
    """Make everything staged since the last one visible; answered by `Applied`."""

    revision: int


class Applied(Message, frozen=True):
    """All staged changes are in force; `problems` maps sandboxes to what went wrong.

    `listeners` are what those are served on all the same.
    """

    revision: int
    problems: dict[str, str]
    listeners: dict[str, Listening] = {}
    more: bool = False


class Count(Message, frozen=True):
    """Asks for the counters; answered by `Counted`."""


class Counted(Message, frozen=True):
    """Sums since the worker started, by (name, label values…) as in resolver.counters."""

    pid: int
    started: float
    sums: list[tuple[list[str], float]]
    more: bool = False


class Explain(Message, frozen=True):
    """Asks what would be said to a question from the sandbox; answered by `Explained`."""

    sandbox: str
    name: bytes
    kind: int


class Step(NamedTuple):
    """One decision: what decides ("network ID", "cache", "upstream", "tried" …), and its words.

    `number` tells one "tried" from another that went alike; 0 for everything else.
    """

    stage: str
    text: str
    number: int = 0


class Explained(Message, frozen=True):
    """The decisions in order; the last one decided."""

    steps: list[Step]
    more: bool = False


class ListCache(Message, frozen=True):
    """Asks for entries of the cache from the `after`-th on; answered by `CacheListed`."""

    after: int


class CacheRow(msgspec.Struct, frozen=True, array_like=True):
    """One entry: `left_s` is negative for an answer that is kept to be given as stale.

    `sandbox` is empty for entries that all sandboxes with the same `servers` share. `flags` are
    those of the question: answers to others may differ.
    """

    name: bytes
    kind: int
    rcode: int
    records: int
    left_s: int
    sandbox: str
    servers: list[str]
    flags: list[str]


class CacheListed(Message, frozen=True):
    """Some entries, and whether there are others to ask for."""

    rows: list[CacheRow]
    others: bool


class Flush(Message, frozen=True):
    """Forget the cached answers for `name` and all below it; answered by `Flushed`."""

    name: bytes


class Flushed(Message, frozen=True):
    """How many answers were forgotten."""

    count: int


class ListUpstreams(Message, frozen=True):
    """Asks for upstream servers from the `after`-th on; answered by `UpstreamsListed`."""

    after: int


class UpstreamRow(msgspec.Struct, frozen=True, array_like=True):
    """One server: `state` is new, up, due or down, `rtt_ms` its smoothed time, 0 when never heard.

    `sandbox` is the one from inside which it is asked, empty for the host's namespace. `error` is
    what was wrong the last time that anything was, `error_s` how long ago; empty when nothing was.
    `zones` are the wire names of those whose names it is asked for, the root for all others; none
    for one that nobody asks any more.
    """

    address: str
    port: int
    sandbox: str
    state: str
    silent: int
    rtt_ms: float
    edns: bool
    keeps_case: bool
    error: str = ""
    error_s: float = 0.0
    zones: list[bytes] = []


class UpstreamsListed(Message, frozen=True):
    """Some of the servers, and whether there are others to ask for."""

    rows: list[UpstreamRow]
    others: bool


class Ping(Message, frozen=True):
    """Asks whether the worker still turns; answered by `Pong`."""


class Pong(Message, frozen=True):
    """It does; `notes` are lines for people since the last one (`resolver.notes`)."""

    notes: list[str] = []


Sockets = Listen | Lend
_Staging = TableEnd | TableGone | View | Sockets | Led | Gone
Staging = TablePart[Entry] | TableChange[Entry] | _Staging
Staged = TablePart[msgspec.Raw] | TableChange[msgspec.Raw] | _Staging  # the same, taken
Question = Count | Explain | ListCache | Flush | ListUpstreams | Ping
ToWorker = Staging | Apply | Question
Told = Staged | Apply | Question
FromWorker = (
    Inventory | Applied | Counted | Explained | CacheListed | Flushed | UpstreamsListed | Pong
)

_encoder = msgspec.msgpack.Encoder()
_to_worker: msgspec.msgpack.Decoder[Told] = msgspec.msgpack.Decoder(Told)
_entry: msgspec.msgpack.Decoder[Entry] = msgspec.msgpack.Decoder(Entry)
_from_worker: msgspec.msgpack.Decoder[FromWorker] = msgspec.msgpack.Decoder(FromWorker)


def encode(message: Message) -> bytes:
    """The datagram of `message`."""
    return _encoder.encode(message)


def size(value: object) -> int:
    """How many bytes `value` takes within a message."""
    return len(_encoder.encode(value))


def decode_entry(raw: msgspec.Raw) -> Entry:
    """What a name of `Staged` says; raises as `decode_to_worker`."""
    return _entry.decode(raw)


def decode_to_worker(datagram: bytes) -> Told:
    """What sdd says; raises msgspec.DecodeError (ValidationError) for anything else."""
    return _to_worker.decode(datagram)


def decode_from_worker(datagram: bytes) -> FromWorker:
    """What a worker says; raises msgspec.DecodeError for anything else. A worker is not trusted."""
    return _from_worker.decode(datagram)
