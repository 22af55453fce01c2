"""What must hold for any bytes: the question parser, the check of replies, resolv.conf.

Each target takes bytes and returns; whatever it raises is a defect. They are pure, so a finding
is repeated by its bytes alone.
"""

from collections.abc import Callable, Mapping
from typing import Final

from resolver import counters, protocol
from resolver.files import resolvconf
from resolver.listen import respond
from resolver.message import reply, wire
from resolver.names import answer, chase
from resolver.upstream import cache, forward

Target = Callable[[bytes], None]
OWNED: Final = b"\3web\0"
_ADDRESSES: Final = [wire.record(wire.A, 5, bytes((10, 0, 0, n))) for n in range(40)]
ELSEWHERE: Final = b"\3www\7example\0"
_TABLE: Final[protocol.Names] = {
    OWNED: {wire.A: _ADDRESSES, wire.AAAA: []},
    b"\2go\0": {wire.CNAME: [wire.record(wire.CNAME, 5, ELSEWHERE)]},
}
_VIEW: Final = protocol.View("s", "", ["t"], [wire.to_wire("net")], {}, [])
SCOPE: Final = answer.Scope.of(_VIEW, [_TABLE])
ASKED: Final = b"\xbe\xef\1\0\0\1" + bytes(6) + b"\3WwW\7eXample\0\0\1\0\1"
QUERY: Final = wire.parse(ASKED)


def question(data: bytes) -> None:
    """Any message gets one reply, or none; a reply echoes id and question and keeps its limit."""
    parsed = wire.parse(data)
    for stream in (False, True):
        responder = respond.Responder(counters.Counters(), lambda count: count - 1)
        said = responder.respond(data, SCOPE, stream=stream)
        if said is None:
            assert parsed is None
            assert len(data) < wire.HEADER or data[2] & 0x80
            continue
        if isinstance(said, wire.Query):
            assert said == parsed
            _asked_on(data, said)
            continue
        if isinstance(said, chase.Onward):
            assert (said.query, said.end.name) == (parsed, ELSEWHERE)
            _asked_on(said.message, said.end)
            said = _alias(said, stream=stream)
        assert len(said.reply) >= wire.HEADER
        assert said.reply[:2] == data[:2]
        assert said.reply[2] & 0x80
        assert said.reply[3] & 0x80
        if isinstance(parsed, wire.Query):
            assert said.reply[wire.HEADER : parsed.end] == data[wire.HEADER : parsed.end]
            assert len(said.reply) <= (wire.STREAM_LIMIT if stream else parsed.limit)
            assert reply.read(said.reply, parsed.end, dnssec=True) is not None


def _alias(asked: chase.Onward, *, stream: bool) -> respond.Said:
    """The whole answer, when nobody has the end of the alias."""
    again = wire.parse(asked.message)
    assert isinstance(again, wire.Query)
    assert (again.name, again.end) == (ELSEWHERE, asked.end.end)
    nobody = wire.respond(asked.message, asked.end, wire.Rcode.NXDOMAIN, stream=True)
    whole = chase.joined(asked, nobody, stream=stream)
    return respond.Said(whole, "", "", counters.Source.OWNED, False)


def _asked_on(data: bytes, query: wire.Query) -> None:
    """What is forwarded can be parsed again, and an answer to it is believed."""
    assert len(wire.option(data, query, forward.MARK)) <= len(data)
    for padded in (False, True):
        sent = forward.question(data, query, 7, 0x5A5A, mark=b"12345678", padded=padded)
        again = wire.parse(sent.message)
        assert isinstance(again, wire.Query)
        assert (again.name, again.kind) == (query.name, query.kind)
        assert wire.option(sent.message, again, forward.MARK) == b"12345678"
        mirrored = sent.message[:2] + b"\x80\x80" + sent.message[4:]
        assert forward.judge(mirrored, sent) is forward.Trust.GOOD


def upstream_reply(data: bytes) -> None:
    """What passes the check is whole, and stays whole when it is cut and aged for a client."""
    assert isinstance(QUERY, wire.Query)
    sent = forward.question(ASKED, QUERY, 0xBEEF, 0, mark=b"")
    forward.judge(data, sent)
    asked = sent.message[wire.HEADER : sent.end]
    image = sent.message[:2] + data[:2] + b"\0\1" + data[2:8].ljust(6, b"\0") + asked + data[8:]
    if forward.judge(image, sent) is forward.Trust.FOREIGN:
        return
    for dnssec in (False, True):
        found = reply.read(image, sent.end, dnssec=dnssec)
        if found is None:
            continue
        assert cache.lifetime_s(found) >= 0
        for kept in (found, reply.aged(found, 17)):
            _delivered(kept)


def _delivered(found: reply.Reply) -> None:
    assert isinstance(QUERY, wire.Query)
    for limit in (512, 1232):
        query = QUERY._replace(limit=limit, edns=limit > wire.CLASSIC_LIMIT)
        for stream in (False, True):
            told = reply.for_client(found, ASKED, query, stream=stream, aged_s=3)
            assert len(told) <= (wire.STREAM_LIMIT if stream else limit)
            assert told[:2] == ASKED[:2]
            assert told[wire.HEADER : query.end] == ASKED[wire.HEADER : query.end]
            assert reply.read(told, query.end, dnssec=True) is not None
            if stream:
                _continued(told, query)


def _continued(told: bytes, query: wire.Query) -> None:
    """What is said of the end of an alias is whole behind the alias as well."""
    path = (wire.POINTER + wire.record(wire.CNAME, 5, query.name),)
    data = ASKED[: wire.HEADER] + b"\2go\0" + ASKED[query.end - 4 :]
    first = wire.parse(data)
    assert isinstance(first, wire.Query)
    for stream in (False, True):
        whole = chase.joined(chase.onward(first, data, path, query.name), told, stream=stream)
        assert len(whole) <= (wire.STREAM_LIMIT if stream else first.limit)
        assert whole[wire.HEADER : first.end] == data[wire.HEADER : first.end]
        assert reply.read(whole, first.end, dnssec=True) is not None


def resolv_conf(data: bytes) -> None:
    """What is read is bounded, and writing it gives a file that says the same."""
    host = resolvconf.parse(data.decode("utf-8", errors="replace"))
    for values in (host.servers, host.search, host.options, host.invalid):
        assert len(values) <= resolvconf.MOST_VALUES
    search = resolvconf.searched(host.search)
    options = resolvconf.with_ndots(host.options)
    wanted = resolvconf.Wanted(servers=host.servers, search=search, options=options)
    text = resolvconf.render(wanted)
    assert all(char == "\n" or (char.isascii() and char.isprintable()) for char in text)
    again = resolvconf.parse(text)
    assert again.servers == host.servers
    if len(" ".join(("search", *search))) <= resolvconf.MOST_LINE:
        assert again.search == search
    assert not again.invalid
    for bad in host.invalid:
        assert bad.isprintable()


TARGETS: Final[Mapping[str, Target]] = {
    each.__name__: each for each in (question, upstream_reply, resolv_conf)
}
