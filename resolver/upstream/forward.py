"""What to ask an upstream, whether its reply can be believed, and whom to ask next. Pure.

In: the client's message, replies, and the clock and random numbers as values. Out: messages and
decisions. Sources: RFC 5452 (matching), draft-vixie-dnsext-dns0x20, RFC 9520; dns_and_users.md A3
for the numbers.
"""

import math
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final, NamedTuple

from resolver.message import reply, wire
from resolver.upstream.cookies import Cookies
from resolver.upstream.rtt import UNMEASURED, Rtt

TRY_S: Final = 1.5
LOOK_S: Final = 0.75  # of silence to a question, before the server is asked one of our own
TOTAL_S: Final = 4.5  # stubs give up after 5
TRIES: Final = 3  # at once one after the other; and so many servers at most
RESEND_S: Final = (0.4, 1.6, 3.1, 4.0)  # after the first: whoever is silent is asked again
STREAM_S: Final = 1.2  # for the rest over TCP, of what came over UDP within a try
SILENCES: Final = 3  # in a row before a server is left alone (dns_and_users.md A3)
BESIDE_S: Final = 0.005  # after a doubtful server the next one is asked, at least
STRANGER_S: Final = 0.01  # the head start of a server that was never heard, or is silent for long
HEAD_START_S: Final = 0.01  # and of one that was heard: at least
DENIAL_S: Final = 0.05  # the same against a "no", which often only the first can tell
RTTS: Final = 2  # times as long as a server takes it may still be well; a try at most
INSTEAD_S: Final = 5  # for how long a "no" is kept of who answers for a silent server before it
DOUBT_S: Final = 0.25  # of a search list: who knows the next name of it waits so long for those
GONE_S: Final = 0.03  # that were silent lately, or for long
DOWN_FIRST_S: Final = 2.0
DOWN_LIMIT_S: Final = 30.0
PLAIN_S: Final = 900.0  # for how long a server is asked without EDNS once that helped
NEAR_MISSES: Final = 1  # forged replies, or what looks so, before a question goes over TCP
CASE_LOSSES: Final = 3  # replies in another case before a server is taken for one that forgets it

_FLAGS = struct.Struct(">H")
_QR, _OPCODE, _TC = 0x8000, 0x7800, 0x0200
_KEPT = 0x0100 | 0x0010 | 0x0020  # RD, CD and AD go on as asked (RFC 6840 §5.7)
_COUNTS = struct.Struct(">HHHH")
_RECORD = struct.Struct(">HHIH")
_OPTION = struct.Struct(">HH")
_OPT_BYTES = 1 + _RECORD.size
_PADDING: Final = 12
PAD_BLOCK: Final = 128
_CASE_BIT: Final = bytes(0x20 if 0x61 <= each <= 0x7A else 0 for each in range(256))  # noqa: PLR2004 - a … z
MARK: Final = 65313  # for local use (RFC 6891 §9): by it a question that came back is known
MARK_BYTES: Final = 8
BADCOOKIE: Final = 23  # RFC 7873 §8


class Sent(NamedTuple):
    """A question on its way: the bytes, and where its question section ends."""

    message: bytes
    end: int


class Trust(Enum):
    """What a datagram from the upstream's address is."""

    GOOD = auto()
    TRUNCATED = auto()  # ours, but the rest must be fetched over TCP
    OTHER_CASE = auto()  # ours but for the case of letters: to be asked again over TCP
    BARE = auto()  # an error without a question: whoever guesses the id can only send us elsewhere
    FOREIGN = auto()  # another id or question: spoofed or late; the right one may still come
    FORGED = auto()  # so many of these that the next one, were it right, would prove little


# All others are answers that another server may know better (docker.md F7; dns_and_users.md A3),
# and those that stubs do not know they wait out (musl).
FINAL: Final = frozenset({wire.Rcode.NOERROR, wire.Rcode.NXDOMAIN})


def question(
    data: bytes,
    query: wire.Query,
    identity: int,
    case: int,
    *,
    mark: bytes | None,
    cookie: bytes = b"",
    padded: bool = False,
) -> Sent:
    """The client's question under a new id, its letters' case mixed by the bits of `case`.

    OPT is ours, whatever the client's was, but for DO: it speaks of one hop (RFC 6891 §6.2.1), and
    a reply for one asker then serves all; None as `mark` leaves it out, empty is one without a
    mark. `cookie` is a whole option (`cookies`). `padded` hides the length where the rest is
    encrypted.
    """
    flags = _FLAGS.unpack_from(data, 2)[0] & _KEPT
    name = mixed(query.name, case)
    tail = b""
    if mark is not None:
        extended = 0x8000 if query.dnssec else 0
        options = (_OPTION.pack(MARK, len(mark)) + mark if mark else b"") + cookie
        bare = wire.HEADER + len(name) + 4 + _OPT_BYTES + len(options)
        options += _padding(bare) if padded else b""
        tail = b"\0" + _RECORD.pack(wire.OPT, wire.EDNS_LIMIT, extended, len(options)) + options
    counts = _COUNTS.pack(1, 0, 0, 1 if tail else 0)
    asked = name + struct.pack(">HH", query.kind, query.klass)
    message = struct.pack(">HH", identity, flags) + counts + asked + tail
    return Sent(message, wire.HEADER + len(asked))


def _padding(size: int) -> bytes:
    """The option that makes a message of `size` bytes fill whole blocks (RFC 7830, 8467 §4.1)."""
    length = -(size + _OPTION.size) % PAD_BLOCK
    return _OPTION.pack(_PADDING, length) + bytes(length)


def mixed(name: bytes, case: int) -> bytes:
    """The wire name with the letters turned to capitals whose bit in `case` is set (0x20).

    A letter's bit is the sixth of its octet, in a number of as many octets as the name has.
    """
    # A length octet is at most 63, below every letter: only letters are turned.
    turned = int.from_bytes(name.translate(_CASE_BIT)) & case
    return (int.from_bytes(name) ^ turned).to_bytes(len(name))


def judge(data: bytes, sent: Sent) -> Trust:
    """Whether `data` answers `sent`: id, opcode and the question byte for byte (RFC 5452 §9.1)."""
    if is_bare_error(data):
        return Trust.BARE if data[:2] == sent.message[:2] else Trust.FOREIGN
    if len(data) < sent.end or data[:2] != sent.message[:2] or data[4:6] != b"\0\1":
        return Trust.FOREIGN
    flags = _FLAGS.unpack_from(data, 2)[0]
    if not flags & _QR or flags & _OPCODE:
        return Trust.FOREIGN
    got, asked = data[wire.HEADER : sent.end], sent.message[wire.HEADER : sent.end]
    if got != asked:
        return Trust.OTHER_CASE if got.lower() == asked.lower() else Trust.FOREIGN
    return Trust.TRUNCATED if flags & _TC else Trust.GOOD


def aims_at(data: bytes, sent: Sent) -> bool:
    """Whether `data`, under whatever id, speaks of the question in `sent`: a guess at its answer.

    What answers another question, of this line or of one before it, is none.
    """
    end = sent.end
    return data[wire.HEADER : end].lower() == sent.message[wire.HEADER : end].lower()


def is_bare_error(data: bytes) -> bool:
    """Whether it is a header alone, of a server that could not read the question or will not.

    Old servers that stumble over EDNS say FORMERR like that, some SERVFAIL, REFUSED or NOTIMP.
    """
    if len(data) != wire.HEADER or data[4:] != bytes(8):
        return False
    flags = _FLAGS.unpack_from(data, 2)[0]
    return bool(flags & _QR) and not flags & _OPCODE and flags & 0xF not in FINAL


def asked_again(data: bytes, sent: Sent) -> bytes:
    """The bare error `data` with the question that it is taken for an answer to."""
    return data[:4] + b"\0\1" + data[6:] + sent.message[wire.HEADER : sent.end]


class State(Enum):
    """What may be expected of an upstream."""

    UP = "up"
    DUE = "due"  # silent a while ago: one question may find out
    DOWN = "down"


@dataclass(slots=True)
class Health:
    """What an upstream showed of itself; time is passed in, in seconds of a monotonic clock.

    `silent` counts silences in a row: questions of our own that brought nothing, while nothing else
    came from there either, each asked after the one before it had been given up. What was lost at
    one moment is one silence, and a name that takes the server long is none (CVE-2023-26437):
    askers choose names, and one that is to put a server down for all is easily made.
    `is_looked_at` while a question of ours is under way.
    """

    silent: int = 0
    silent_at: float = -math.inf
    silent_since: float = -math.inf
    heard_at: float = -math.inf
    down_until: float = 0.0
    pause_s: float = field(default=DOWN_FIRST_S)
    case_losses: int = 0
    plain_until: float = 0.0
    rtt: Rtt = UNMEASURED
    mark: bytes = b""
    cookies: Cookies = field(default_factory=Cookies)
    loops: int = 0
    no_stream_until: float = 0.0
    error: str = ""
    error_at: float = -math.inf
    is_looked_at: bool = False

    def heard(self, now: float) -> None:
        """Something came that can only be the server's: it works."""
        self.heard_at = now
        self.silent, self.down_until, self.pause_s = 0, 0.0, DOWN_FIRST_S

    def answered(self, now: float, seconds: float) -> None:
        """It works; `seconds` is how long it took."""
        self.heard(now)
        self.rtt = self.rtt.after(now - seconds, now, TOTAL_S)

    def is_open(self, asked_at: float) -> bool:
        """Whether nothing was learned since then: what was asked came to nothing yet."""
        return asked_at >= max(self.heard_at, self.silent_at)

    def failed(self, asked_at: float, now: float) -> None:
        """A question of ours brought no answer in time, or nobody is there.

        After three it is left alone for 2 s, doubling to 30 s.
        """
        if not self.is_open(asked_at):
            return
        if not self.silent:
            self.silent_since = now
        self.silent += 1
        self.silent_at = now
        if self.silent >= SILENCES:
            self.down_until = now + self.pause_s
            self.pause_s = min(DOWN_LIMIT_S, self.pause_s * 2)

    def erred(self, what: str, now: float) -> None:
        """For people: what was wrong the last time that anything was."""
        self.error, self.error_at = what, now

    def looped(self, now: float) -> None:
        """It asks us what we ask it: it is asked last, for as long as any server is left alone."""
        self.loops += 1
        self.silent = max(self.silent, SILENCES)
        self.down_until = now + DOWN_LIMIT_S

    def probed(self, now: float) -> None:
        """Somebody is finding out: nobody else needs to for a while."""
        self.down_until = now + self.pause_s

    def state(self, now: float) -> State:
        """Whether it may be asked first, should be tried beside another, or last."""
        if self.silent < SILENCES:
            return State.UP
        return State.DUE if now >= self.down_until else State.DOWN

    @property
    def shown_at(self) -> float:
        """When it showed anything the last time; minus infinity: never."""
        return max(self.heard_at, self.silent_at, self.error_at)

    @property
    def is_new(self) -> bool:
        """Whether it has shown nothing yet."""
        return self.shown_at == -math.inf

    @property
    def is_doubtful(self) -> bool:
        """Whether it was silent just now, so that nobody should wait for it alone."""
        return self.silent > 0

    @property
    def rtt_s(self) -> float:
        """How long it usually takes; 0 when that is not known."""
        return self.rtt.seconds

    @property
    def usual_s(self) -> float:
        """Within how long its answer should be there; 0 when that is not known.

        After a second silence what it took once says nothing. A lost packet of a server that is
        far away makes nobody else answer for it.
        """
        return min(TRY_S, RTTS * self.rtt_s) if self.silent <= 1 else 0.0

    @property
    def look_s(self) -> float:
        """How long it has to answer a question of ours: what is usual, and more."""
        return max(LOOK_S, min(TRY_S, RTTS * self.rtt_s))

    @property
    def beside_s(self) -> float:
        """How long after it, while it is doubtful, the next one is asked."""
        return max(BESIDE_S, self.usual_s)

    def head_start_s(self, *, denies: bool) -> float:
        """How long it may answer first while it is doubtful: as it used to, and a little more.

        `denies`: what another says meanwhile is a "no".
        """
        usual_s = self.usual_s
        return max(DENIAL_S if denies else HEAD_START_S, usual_s) if usual_s else STRANGER_S

    def takes_edns(self, now: float) -> bool:
        """Whether it is asked with EDNS: unless it answered only without, not long ago."""
        return now >= self.plain_until

    def needs_plain(self, now: float) -> None:
        """It refused a question and answered the same one without EDNS."""
        self.plain_until = now + PLAIN_S

    def has_stream(self, now: float) -> bool:
        """Whether TCP is worth a try: unless that failed not long ago."""
        return now >= self.no_stream_until

    def near_misses(self, now: float) -> int:
        """After how many forged replies a question goes over TCP; 0: never, for want of it."""
        return NEAR_MISSES if self.has_stream(now) else 0

    def lacks_stream(self, now: float) -> None:
        """It answers over UDP and not over TCP."""
        self.no_stream_until = now + DOWN_LIMIT_S

    def mixes(self) -> bool:
        """Whether it keeps the case of letters, so that mixing them proves something."""
        return self.case_losses < CASE_LOSSES


def order(healths: Sequence[Health], now: float) -> Sequence[int]:
    """Which upstreams to try, by index: those that are up as listed, then the others; three.

    One that is down is still asked when nobody else answers: better late than wrong.
    """
    rank = {State.UP: 0, State.DUE: 1, State.DOWN: 2}
    chosen = sorted(range(len(healths)), key=lambda at: rank[healths[at].state(now)])
    return chosen[:TRIES]


def to_probe(healths: Sequence[Health], now: float) -> Sequence[int]:
    """Which upstreams to ask as well, only to find out whether they are back.

    None when all were silent: then they are asked in earnest.
    """
    states = [each.state(now) for each in healths]
    if State.UP not in states:
        return ()
    return [at for at, state in enumerate(states) if state is State.DUE]


def patience_s(healths: Sequence[Health], now: float) -> float:
    """How long one waits who fares better without an answer than with a late one.

    As long as it may come (`TOTAL_S`) from a server that has not shown to be silent, and as it
    used to take from one that was silent once.
    """
    asked = [healths[at] for at in order(healths, now)]
    if not asked:
        return 0.0
    if not all(each.is_doubtful for each in asked):
        return TOTAL_S
    up = [max(DOUBT_S, each.usual_s) for each in asked if each.state(now) is State.UP]
    return max(up, default=GONE_S)


def wants_better(found: reply.Reply) -> bool:
    """Whether another server may know better: an error, or an answer that says nothing."""
    rcode = found.rcode
    if rcode == wire.Rcode.NOERROR and not found.is_cut:
        return not found.answers and found.is_lame
    return found.is_cut or rcode not in FINAL


def blames_edns(found: reply.Reply) -> bool:
    """Whether it says that the same question without EDNS may fare better (RFC 6891 §7).

    Servers from before EDNS say so by other errors too (RFC 2671 §5.3), some by a header alone.
    """
    if found.rcode in (wire.Rcode.FORMERR, wire.Rcode.BADVERS):
        return True
    return found.rcode not in FINAL and not found.has_opt


def helps(found: reply.Reply) -> bool:
    """Whether it is an answer, so that what was changed in the question was the right thing."""
    return found.rcode in FINAL


def best(replies: Iterable[reply.Reply]) -> reply.Reply | None:
    """The least bad of the replies that asked for another try.

    One that was cut is better than an empty one, and that than SERVFAIL.
    REFUSED and its like are never passed on: musl would wait its whole 5 s for another server.
    """
    known = sorted(replies, key=lambda each: not each.is_cut)
    for rcode in (wire.Rcode.NOERROR, wire.Rcode.NXDOMAIN, wire.Rcode.SERVFAIL):
        for each in known:
            if each.rcode == rcode:
                return each
    return None
