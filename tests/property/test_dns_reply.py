"""Replies of others: the short way of reading them says just what the long way says."""

import struct

from hypothesis import example, given
from hypothesis import strategies as st

from resolver.message import reply, wire

OWNERS = st.sampled_from([b"\xc0\x0c", b"\xc0\x0c", b"\xc0\x0c", b"\3www\0", b"\xc0\x10"])
KINDS = st.sampled_from([wire.A, wire.A, wire.AAAA, wire.CNAME, wire.TXT])
TTLS = st.sampled_from([0, 1, 60, 3600, 3601, 0x7FFFFFFF, 0x80000001])
QUESTIONS = st.sampled_from([b"\3www\7example\0", b"\0", b"\3www\xc0\x0c", b"\5www\0"])
OPTS = st.sampled_from(
    [
        b"",
        b"\0\0\x29\4\xd0\0\0\0\0\0\0",
        b"\0\0\x29\4\xd0\1\0\0\0\0\0",
        b"\0\0\x29\4\xd0\0\0\0\0\0\1x",
    ]
)
ASKED = b"\0\1\0\1"
CUT = b"\0\7\x81\x80\0\1\0\1\0\0\0\0\3www\0" + ASKED + b"\xc0\x0c\0\1\0\1\0\0\0\5\0\4\1\2\3"


@st.composite
def records(draw: st.DrawFn) -> bytes:
    kind = draw(KINDS)
    usual = {wire.A: 4, wire.AAAA: 16}.get(kind, 5)
    size = draw(st.sampled_from([usual, usual, usual, usual, 3]))
    klass = draw(st.sampled_from([1, 1, 1, 1, 3]))
    return draw(OWNERS) + struct.pack(">HHIH", kind, klass, draw(TTLS), size) + bytes(size)


ALIKE = st.builds(
    lambda kind, ttls: [
        b"\xc0\x0c"
        + struct.pack(">HHIH", kind, 1, ttl, 4 if kind == wire.A else 16)
        + bytes(4 if kind == wire.A else 16)
        for ttl in ttls
    ],
    st.sampled_from([wire.A, wire.AAAA]),
    st.lists(TTLS, min_size=1, max_size=5),
)


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    answers = draw(ALIKE | st.lists(records(), min_size=1, max_size=4))
    authority, opt = draw(st.lists(records(), max_size=1)), draw(OPTS)
    head = struct.pack(">HHHHHH", 7, 0x8180, 1, len(answers), len(authority), int(bool(opt)))
    data = head + draw(QUESTIONS) + ASKED + b"".join((*answers, *authority)) + opt
    whole = len(data) - draw(st.sampled_from([0, 0, 0, 1, 5]))
    return data[:whole] + draw(st.sampled_from([b"", b"", b"x"]))


@given(data=messages(), dnssec=st.booleans())
@example(data=CUT, dnssec=False)
def test_addresses_are_read_as_any_records_are(data: bytes, *, dnssec: bool) -> None:
    end = data.index(ASKED) + len(ASKED)
    counts = struct.unpack_from(">HHH", data, 6)
    short = reply.read(data, end, dnssec=dnssec)
    assert short == reply._record_by_record(data, end, counts, dnssec=dnssec, is_checked=False)
